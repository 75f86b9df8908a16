"""Recovery: copies of data in another region, and the standby that works with the copies."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase

import pulumi
import pytest

COPY_KEY = "arn:aws:kms:us-west-2:123456789012:key/keys-data-copy"
PRIMARY = "organization/infrafabric/prod"
UNWATCHED = {"observability": None, "guardrails": None}  # a smaller stack, for tests that need neither


def test_the_data_key_is_the_same_key_in_both_regions(prod, dev):
    assert prod.of("kms/key:Key")["keys-data"]["multiRegion"] is True
    (copy,) = prod.of("kms/replicaKey:ReplicaKey").values()
    assert copy["region"] == "us-west-2"
    assert copy["primaryKeyArn"] == "arn:aws:kms:us-east-1:123456789012:key/keys-data"
    assert "logs.us-west-2.amazonaws.com" in copy["policy"]
    assert not dev.of("kms/replicaKey:ReplicaKey")


def test_a_second_region_can_come_later_without_another_data_key(primary):
    """A replaced data key would lose everything that it encrypted, and prod protects the key."""
    assert primary.of("kms/key:Key")["keys-data"]["multiRegion"] is True


def test_the_data_key_lets_its_account_copy_it_and_keep_the_copy_alike(prod):
    (copy,) = prod.of("kms/replicaKey:ReplicaKey").values()
    for key in (prod.of("kms/key:Key")["keys-data"], copy):
        (account,) = (s for s in json.loads(key["policy"])["Statement"] if s["Sid"] == "IamOfThisAccountDecides")
        needed = {"kms:ReplicateKey", "kms:SynchronizeMultiRegionKey", "kms:UpdatePrimaryRegion"}
        assert needed <= set(account["Action"]), "what a key's policy leaves out, no administrator can do"


def test_s3_may_write_copies_where_they_belong_whatever_else_is_allowed(lavish):
    boundary = json.loads(lavish.of("iam/policy:Policy")["boundary-policy"]["policy"])
    (elsewhere,) = (s for s in boundary["Statement"] if s["Sid"] == "NoOtherRegion")
    assert elsewhere["Condition"]["StringNotEquals"] == {"aws:RequestedRegion": ["us-east-1", "us-west-2"]}


def test_a_replica_of_the_table_is_protected_as_the_table_is(prod, stand_up_stack):
    copied = {"recovery": {"region": "us-west-2"}, "database": None, **UNWATCHED}
    for estate, protected in ((prod, True), (stand_up_stack("dev", copied), False)):
        table = estate.of("dynamodb/table:Table")["sessions-table"]
        (replica,) = table["replicas"]
        assert (table["deletionProtectionEnabled"], replica["deletionProtectionEnabled"]) == (protected, protected)


@pytest.mark.parametrize("label", ["results", "assets"])
def test_a_bucket_and_its_copy_are_kept_alike_in_both_directions_deletions_too(prod, label):
    configs = prod.of("s3/bucketReplicationConfig:BucketReplicationConfig")
    here, there = (f"infrafabric-prod-{label}-123456789012-{region}" for region in ("us-east-1", "us-west-2"))
    for direction, source, target, region in (("out", here, there, None), ("back", there, here, "us-west-2")):
        config = configs[f"storage-replication-{label}-{direction}"]
        (rule,) = config["rules"]
        assert (config["bucket"], config.get("region")) == (source, region)
        assert rule["destination"]["bucket"] == f"arn:aws:s3:::{target}"
        assert rule["deleteMarkerReplication"] == {"status": "Enabled"}
        assert rule["sourceSelectionCriteria"]["sseKmsEncryptedObjects"] == {"status": "Enabled"}
        assert rule["sourceSelectionCriteria"]["replicaModifications"] == {"status": "Enabled"}
        versioned = {f"storage-{label}-versions", f"storage-{label}-copy-versions", "storage-replication-policy"}
        assert versioned <= prod.before(f"storage-replication-{label}-{direction}"), "S3 refuses it without versions"
    key = configs[f"storage-replication-{label}-out"]["rules"][0]["destination"]["encryptionConfiguration"]
    assert key == {"replicaKmsKeyId": COPY_KEY}


def test_the_registry_is_copied_nowhere(prod):
    """A role that replicates the registry back could forge keys."""
    state = prod.exports["state_bucket"]
    assert state not in json.dumps(prod.of("s3/bucketReplicationConfig:BucketReplicationConfig"))
    assert state not in json.dumps(prod.granted("storage-replication"))


def test_a_copy_is_locked_like_its_source(prod):
    copies = {n: i for n, i in prod.of("s3/bucket:Bucket").items() if i.get("region")}
    assert set(copies) == {"storage-results-copy-bucket", "storage-assets-copy-bucket"}
    for kind in ("BucketPublicAccessBlock", "BucketOwnershipControls", "BucketPolicy", "BucketVersioning"):
        made = prod.of(f"s3/{kind[0].lower()}{kind[1:]}:{kind}").values()
        there = {i["bucket"] for i in made if i.get("region") == "us-west-2"}
        assert there == {i["bucket"] for i in copies.values()}, f"{kind} of a copy is declared in the wrong region"
    encrypted = prod.of("s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration")
    for name in ("results", "assets"):
        (rule,) = encrypted[f"storage-{name}-copy-encryption"]["rules"]
        assert rule["applyServerSideEncryptionByDefault"]["kmsMasterKeyId"] == COPY_KEY


def test_the_sessions_table_is_global_with_a_key_of_the_other_region(prod, dev):
    table = prod.of("dynamodb/table:Table")["sessions-table"]
    (replica,) = table["replicas"]
    assert (replica["regionName"], replica["kmsKeyArn"]) == ("us-west-2", COPY_KEY)
    assert replica["pointInTimeRecovery"] is replica["deletionProtectionEnabled"] is True
    alone = dev.of("dynamodb/table:Table")["sessions-table"]
    assert "replicas" not in alone


def test_the_stream_that_feeds_a_replica_stays_when_the_replica_goes(prod, dev):
    """DynamoDB refuses to switch the stream off while a replica exists, and the provider would do so first."""
    for estate in (prod, dev):
        table = estate.of("dynamodb/table:Table")["sessions-table"]
        assert (table["streamEnabled"], table["streamViewType"]) == (True, "NEW_AND_OLD_IMAGES")


def test_every_secret_has_a_replica_where_the_standby_reads_it(prod):
    for name, secret in prod.of("secretsmanager/secret:Secret").items():
        assert secret["replicas"] == [{"region": "us-west-2", "kmsKeyId": COPY_KEY}], name


def test_a_standby_makes_no_data_of_its_own(standby):
    assert all("leases" in name for name in standby.of("dynamodb/table:Table"))
    assert not standby.of("secretsmanager/secret:Secret")
    assert "keys-data" not in standby.of("kms/key:Key")
    buckets = {n.removesuffix("-bucket").removeprefix("storage-") for n in standby.of("s3/bucket:Bucket")}
    assert buckets == {"state", "logs"}


def test_a_standby_works_with_what_its_primary_hands_over(standby):
    variables = standby.of("lambda/function:Function")["coordinator-function"]["environment"]["variables"]
    assert variables["RESULTS_BUCKET"] == "infrafabric-prod-results-123456789012-us-west-2"
    assert variables["SESSIONS_TABLE"] == "infrafabric-prod-sessions"
    granted = standby.granted("coordinator")
    assert granted["Sessions"]["Resource"] == [
        "arn:aws:dynamodb:us-west-2:123456789012:table/infrafabric-prod-sessions"
    ]
    assert granted["UseDataKeyThroughDynamodb"]["Resource"] == [COPY_KEY]
    (secret,) = granted["ReadApiKey"]["Resource"]
    assert secret.startswith("arn:aws:secretsmanager:us-west-2:123456789012:secret:infrafabric-prod-anthropic-api-key")


def test_a_standbys_principals_have_keys_and_a_registry_of_their_own(standby, prod):
    assert set(standby.of("kms/key:Key")) == {n for n in prod.of("kms/key:Key") if n != "keys-data"}
    assert standby.exports["registry_uri"] != prod.exports["registry_uri"]


def test_its_database_follows_the_primarys(standby):
    (instance,) = standby.of("rds/instance:Instance").values()
    assert instance["replicateSourceDb"] == "arn:aws:rds:us-east-1:123456789012:db:infrafabric-prod-database"
    assert instance["kmsKeyId"] == COPY_KEY
    assert not {"username", "password", "dbName", "engineVersion", "allocatedStorage"} & set(instance)
    assert "engineLifecycleSupport" not in instance, "no replica can be made with it, and it cannot be changed later"


def test_a_replica_leaves_no_last_snapshot_which_rds_would_refuse_and_a_promoted_database_does(standby, taken_over):
    (replica,), (promoted,) = (e.of("rds/instance:Instance").values() for e in (standby, taken_over))
    assert replica["skipFinalSnapshot"] is True
    assert "finalSnapshotIdentifier" not in replica
    assert (promoted["skipFinalSnapshot"], promoted["finalSnapshotIdentifier"]) == (
        False,
        "infrafabric-prod-secondary-database-final",
    )


def test_after_a_failover_nothing_waits_for_the_maintenance_window(standby, taken_over):
    (replica,), (promoted,) = (e.of("rds/instance:Instance").values() for e in (standby, taken_over))
    assert (replica["applyImmediately"], promoted["applyImmediately"]) == (False, True)


def test_until_its_database_is_promoted_records_wait_in_their_queue(standby):
    assert standby.of("lambda/eventSourceMapping:EventSourceMapping")["recorder-feed"]["enabled"] is False
    assert standby.of("lambda/invocation:Invocation") == {}


def test_promoting_a_database_asks_nothing_of_services_that_are_written_in_us_east_1_alone(standby, taken_over):
    """A promotion may follow the loss of us-east-1. Only the application, a separate section, waits for that region."""
    for kind in ("iam/", "route53/", "cloudfront/"):
        types = {resource.type.removeprefix("aws:") for resource in taken_over.graph("prod-secondary").custom}
        for type_ in sorted(name for name in types if name.startswith(kind)):
            held = standby.of(type_)
            for name, inputs in taken_over.of(type_).items():
                if not name.startswith(("face-app", "github")):
                    assert held.get(name) == inputs, f"{type_} {name}"


def test_a_promoted_database_lets_go_and_history_is_written(taken_over):
    (instance,) = taken_over.of("rds/instance:Instance").values()
    assert "replicateSourceDb" not in instance
    assert taken_over.of("lambda/eventSourceMapping:EventSourceMapping")["recorder-feed"]["enabled"] is True
    (read,) = taken_over.granted("migrator")["ReadMasterSecret"]["Resource"]
    assert read.startswith("arn:aws:secretsmanager:us-west-2:")


@pytest.mark.parametrize("stack", ["prod", "taken_over"])
def test_what_stands_in_the_vpc_gets_to_all_the_objects_that_it_may_touch(request, stack):
    """A standby works on its primary's copies, whose names are the primary's; the endpoint admits both."""
    estate = request.getfixturevalue(stack)
    (endpoint,) = (e for n, e in estate.of("ec2/vpcEndpoint:VpcEndpoint").items() if n.endswith("-s3"))
    (passing,) = json.loads(endpoint["policy"])["Statement"]
    for role in ("face-app", "face-app-tenant", "recorder"):
        for statement in estate.granted(role).values():
            for arn in (r for r in statement["Resource"] if r.startswith("arn:aws:s3:::")):
                assert any(fnmatchcase(arn, pattern) for pattern in passing["Resource"]), f"{role}: {arn}"


def test_clients_that_a_name_leads_to_the_standby_send_the_key_that_they_have(prod, standby):
    (ours,), (theirs,) = (e.of("apigateway/apiKey:ApiKey").values() for e in (prod, standby))
    assert "value" not in ours, "API Gateway makes prod's"
    assert theirs["value"] == prod.exports["api_key"] == prod.exports["api_keys"]["default"]["current"]
    assert "value" in standby.secrets_in("api-clients-default-current")
    assert standby.secret_exports == {"api_key", "api_keys"}, "the keys are no part of what else is handed over"


CLIENTS = {"default": {}, "partner": {"keys": 2}}


def test_every_key_of_every_client_is_the_same_in_both_regions(stand_up_stack):
    primary = stand_up_stack("prod", {"api.clients": CLIENTS})
    standby = stand_up_stack("prod-secondary", {**UNWATCHED, "api.clients": CLIENTS}, stacks={PRIMARY: primary.exports})
    theirs = {name: key["value"] for name, key in standby.of("apigateway/apiKey:ApiKey").items()}
    assert theirs == {
        f"api-clients-{client}-{label}": value
        for client, keys in primary.exports["api_keys"].items()
        for label, value in keys.items()
    }
    assert len(set(theirs.values())) == 3


@pytest.mark.parametrize(
    ("clients", "named"),
    [
        ({"default": {}}, "only one of the two has partner (current), partner (next): change the settings of one"),
        ({**CLIENTS, "partner": {}}, "only one of the two has partner (next)"),
        ({**CLIENTS, "other": {}}, "only one of the two has other (current)"),
    ],
)
def test_a_standby_with_other_clients_than_its_primary_is_refused(stand_up_stack, prod, clients, named):
    """A client that the standby does not know would be locked out by a failover."""
    keys = {
        client: dict.fromkeys(("current", "next")[: limits.get("keys", 1)], "k") for client, limits in CLIENTS.items()
    }
    stacks = {PRIMARY: {**prod.exports, "api_keys": keys}}
    with pytest.raises(pulumi.RunError) as refusal:
        stand_up_stack("prod-secondary", {**UNWATCHED, "api.clients": clients}, stacks=stacks)
    assert str(refusal.value).startswith(f"settings.api.clients must name the clients and keys of stack '{PRIMARY}'")
    assert named in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("exports", "said"),
    [
        ({}, "has no output 'handover': set recovery.region there, and run pulumi up"),
        ({"handover": {"version": 0}}, "handover has version 0, but this program reads 1: run pulumi up"),
        ({"handover": {"version": 1, "results_bucket": "b"}}, "lacks assets_bucket, data_key_arn, sessions_table"),
    ],
)
def test_a_primary_of_another_shape_is_named_with_what_to_run(stand_up_stack, exports, said):
    with pytest.raises(pulumi.RunError) as refusal:
        stand_up_stack("prod-secondary", UNWATCHED, stacks={PRIMARY: exports})
    assert f"stack '{PRIMARY}' (settings.primary.stack)" in str(refusal.value)
    assert said in str(refusal.value)
    assert f"pulumi up --stack {PRIMARY} with this program first" in str(refusal.value)


def test_a_primary_without_a_key_is_named_too(stand_up_stack, prod):
    with pytest.raises(pulumi.RunError, match=f"stack '{PRIMARY}' .* has no output 'api_keys': run pulumi up"):
        stand_up_stack("prod-secondary", UNWATCHED, stacks={PRIMARY: {"handover": prod.exports["handover"]}})


def test_a_standby_with_a_database_needs_a_primary_with_one(stand_up_stack, prod):
    bare = {key: value for key, value in prod.exports["handover"].items() if not key.startswith("database")}
    with pytest.raises(
        pulumi.RunError, match=r"settings.database is set, but the primary stack has no database to replicate"
    ):
        stand_up_stack("prod-secondary", UNWATCHED, stacks={PRIMARY: {**prod.exports, "handover": bare}})


@pytest.mark.parametrize("names", [True, False])
def test_a_standby_needs_the_primarys_zone_only_for_names_of_its_own(stand_up_stack, prod, names):
    bare = {key: value for key, value in prod.exports["handover"].items() if key != "zone_id"}
    changes = UNWATCHED if names else {**UNWATCHED, "dns": None, "failover": False}
    stacks = {PRIMARY: {**prod.exports, "handover": bare}}
    if names:
        with pytest.raises(pulumi.RunError, match=r"settings.dns is set, but the primary stack has no hosted zone"):
            stand_up_stack("prod-secondary", changes, stacks=stacks)
    else:
        assert not stand_up_stack("prod-secondary", changes, stacks=stacks).of("route53/record:Record")
