"""Properties of every declared resource, in every stack."""

from __future__ import annotations

import inspect
import json
import re

import pulumi_aws as aws

from infra.pages import components_table
from tests.conftest import Estate

TAGS = {"Project", "Environment", "Component", "ManagedBy", "CostCenter", "DataClass"}

# Statements on all resources, because AWS has no resource-level permissions for their actions.
WIDE = {
    "Trace": {"xray:PutTelemetryRecords", "xray:PutTraceSegments"},
    "SeeInterfaces": {"ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets"},
}
LONGEST_ROLE_POLICY = 10_240  # characters, sum of a role's inline policies (IAM quotas)


def takes_tags(type_: str) -> bool:
    module, name = type_.split(":")[1].split("/", maxsplit=1)[0], type_.split(":")[2]
    made = getattr(getattr(aws, {"lambda": "lambda_"}.get(module, module)), name)
    return "tags" in inspect.signature(made._internal_init).parameters


def tags_of(inputs):
    """Return a resource's tags; an Auto Scaling group has a list of tags with a flag for its instances."""
    tags = inputs.get("tags") or {}
    return tags if isinstance(tags, dict) else {tag["key"]: tag["value"] for tag in tags}


def policies(estate):
    """Yield logical name and statements of every policy document, on any resource."""
    for _, name, inputs in estate.resources:
        if inputs.get("policy", "").startswith("{"):
            yield name, json.loads(inputs["policy"])["Statement"]


def grants(estate):
    """Return ``policies`` without the boundary, which grants nothing."""
    return ((name, statements) for name, statements in policies(estate) if name != "boundary-policy")


def as_list(value):
    return value if isinstance(value, list) else [value]


def test_everything_that_can_carries_all_tags(estate):
    bare = {
        name: sorted(TAGS - set(tags_of(inputs)))
        for type_, name, inputs in estate.resources
        if takes_tags(type_) and not set(tags_of(inputs)) >= TAGS
    }
    assert bare == {}


def test_everything_comes_from_the_stacks_own_provider(estate):
    strangers = {n for _, n, _ in estate.resources if "pulumi:providers:aws::here::" not in estate.options[n].provider}
    assert strangers == set(), "a forgotten provider deploys into the region of somebody's shell"


def test_everything_belongs_to_a_component_that_gives_it_its_name(estate):
    for _, name, _ in estate.resources:
        parent = estate.options[name].parent
        assert "infrafabric:" in parent.split("::")[-2], f"{name} is outside a component"
        assert name.startswith(f"{parent.split('::')[-1]}-"), f"{name} is not named after {parent.split('::')[-1]}"


def test_no_action_is_a_wildcard_and_no_resource_without_a_reason(estate):
    keys = {*estate.of("kms/key:Key"), *estate.of("kms/replicaKey:ReplicaKey")}
    for name, statements in grants(estate):
        for statement in (s for s in statements if s["Effect"] == "Allow"):
            actions, resources = as_list(statement["Action"]), as_list(statement["Resource"])
            assert not [a for a in actions if a == "*" or a.endswith(":*")], f"{name} {statement['Sid']}"
            if "*" in resources and name not in keys:  # in its policy "*" means the key itself
                assert set(actions) == WIDE.get(statement["Sid"]), f"{name} {statement['Sid']} is allowed on everything"


def test_nobody_outside_is_let_in_by_a_resources_own_policy(estate):
    for name, statements in policies(estate):
        for statement in (s for s in statements if s["Effect"] == "Allow"):
            if statement.get("Principal") == "*":
                assert "aws:PrincipalAccount" in json.dumps(statement["Condition"]), f"{name} is open to the world"


def test_a_roles_policy_fits(estate):
    written = {n: len(i["policy"]) for n, i in estate.of("iam/rolePolicy:RolePolicy").items()}
    assert max(written.values()) < LONGEST_ROLE_POLICY


def test_every_queue_has_a_dead_letter_queue_that_takes_its_messages_alone(estate):
    queues = estate.of("sqs/queue:Queue")
    dead = {n for n in queues if n.endswith("-dlq-queue")}
    allowed = {
        i["queueUrl"]: i["redriveAllowPolicy"] for i in estate.of("sqs/redriveAllowPolicy:RedriveAllowPolicy").values()
    }
    assert len(dead) == len(allowed)
    for name in set(queues) - dead:
        redrive = json.loads(queues[name]["redrivePolicy"])
        target = redrive["deadLetterTargetArn"].rsplit(":", 1)[-1]
        assert redrive["maxReceiveCount"] >= 5
        url = f"https://sqs.{estate.region}.amazonaws.com/123456789012/{target}"
        arn = f"arn:aws:sqs:{estate.region}:123456789012:{queues[name]['name']}"
        assert json.loads(allowed[url]) == {"redrivePermission": "byQueue", "sourceQueueArns": [arn]}


def test_every_queue_is_encrypted_keeps_messages_for_two_weeks_and_refuses_plain_http(estate):
    queue_policies = {
        i["queueUrl"].rsplit("/", 1)[-1]: i["policy"] for i in estate.of("sqs/queuePolicy:QueuePolicy").values()
    }
    for name, queue in estate.of("sqs/queue:Queue").items():
        assert queue["sqsManagedSseEnabled"] is True, name
        assert queue["messageRetentionSeconds"] == 14 * 24 * 3600, name
        refusals = [s for s in json.loads(queue_policies[queue["name"]])["Statement"] if s["Effect"] == "Deny"]
        assert [s["Condition"] for s in refusals] == [{"Bool": {"aws:SecureTransport": "false"}}], name


def test_every_bucket_is_locked(estate):
    buckets = {i["bucket"] for i in estate.of("s3/bucket:Bucket").values()}
    assert buckets
    for kind in ("BucketVersioning", "BucketPolicy", "BucketPublicAccessBlock", "BucketOwnershipControls"):
        made = estate.of(f"s3/{kind[0].lower()}{kind[1:]}:{kind}")
        assert {i["bucket"] for i in made.values()} == buckets, kind
    for inputs in estate.of("s3/bucketPublicAccessBlock:BucketPublicAccessBlock").values():
        locks = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
        assert all(inputs[lock] is True for lock in locks)
    for inputs in estate.of("s3/bucketOwnershipControls:BucketOwnershipControls").values():
        assert inputs["rule"] == {"objectOwnership": "BucketOwnerEnforced"}
    for inputs in estate.of("s3/bucketPolicy:BucketPolicy").values():
        first = json.loads(inputs["policy"])["Statement"][0]
        assert (first["Effect"], first["Action"], first["Condition"]) == (
            "Deny",
            "s3:*",
            {"Bool": {"aws:SecureTransport": "false"}},
        )


def test_every_log_group_ends_its_logs_and_is_encrypted_with_our_key(estate):
    for name, group in estate.of("cloudwatch/logGroup:LogGroup").items():
        assert group["retentionInDays"] in (14, 365), name
        assert group["kmsKeyId"].endswith(("key/keys-data", f"{estate.region}:123456789012:key/keys-data-copy")), name


# Rules with addresses: the application's public ports, and the instances' egress to AWS.
OPEN = {
    **{f"face-app-front-from-world-{port}-{v}": port for port in (80, 443) for v in ("v4", "v6")},
    "face-app-to-aws": 443,
    "face-app-to-aws-by-nat": 443,
}


def test_no_security_group_is_open_to_addresses_without_a_reason(estate):
    for type_ in (
        "vpc/securityGroupIngressRule:SecurityGroupIngressRule",
        "vpc/securityGroupEgressRule:SecurityGroupEgressRule",
    ):
        assert estate.of(type_), type_
        for name, rule in estate.of(type_).items():
            if {"cidrIpv4", "cidrIpv6"} & set(rule):
                assert OPEN.get(name) == rule["fromPort"], f"{name} is open"
            assert rule["fromPort"] == rule["toPort"], name
    for group in estate.of("ec2/securityGroup:SecurityGroup").values():
        assert not {"ingress", "egress"} & set(group), "rules are resources of their own"


def test_ec2_takes_the_description_of_every_security_group_and_rule(estate):
    taken = re.compile(r"[A-Za-z0-9. _\-:/()#,@\[\]+=&;{}!$*]{1,255}")
    for type_, name, inputs in estate.resources:
        if "securityGroup" in type_:
            assert taken.fullmatch(inputs["description"]), f"{name}: {inputs['description']}"


def test_the_first_preview_of_an_empty_account_shows_what_an_update_makes(stand_up_stack, prod):
    """No declaration depends on a value that only an update knows."""
    shown = stand_up_stack("prod", into=Estate(preview=True))
    assert shown.inputs.keys() == prod.inputs.keys()
    assert all(shown.inputs[type_].keys() == named.keys() for type_, named in prod.inputs.items())


def test_a_program_run_twice_gives_the_same_graph(stand_up_stack, prod):
    assert stand_up_stack("prod").written() == prod.written()


# Types whose names must be unique only within their parent.
INNER = ("apigateway/model", "apigateway/requestValidator", "iam/rolePolicy", "lambda/alias")


def test_names_differ_by_stack_so_that_two_may_share_an_account(dev, prod):
    def names(estate):
        for type_, name, inputs in estate.resources:
            for key in ("name", "bucket", "identifier", "layerName"):
                if isinstance(inputs.get(key), str) and type_.split(":")[1] not in INNER:
                    yield inputs[key], name

    shared = dict(names(dev)).keys() & dict(names(prod)).keys()
    assert {n for n in shared if not n.startswith("API-Gateway-Execution-Logs_")} == set(), "the mock API has one id"


# A parent has one resource of each type, every change is a replacement, and a deletion addresses the parent. Deleted
# last, as by default, the old resource would remove its replacement.
ONE_OF_EACH = (
    "backup/vaultLockConfiguration:VaultLockConfiguration",
    "route53/queryLog:QueryLog",
    "wafv2/webAclAssociation:WebAclAssociation",
    "wafv2/webAclLoggingConfiguration:WebAclLoggingConfiguration",
)


def test_what_a_thing_has_one_of_goes_before_its_replacement_comes(prod):
    for type_ in ONE_OF_EACH:
        assert prod.of(type_), type_
        assert all(prod.options[name].deleteBeforeReplace for name in prod.of(type_)), type_


def test_names_fit_what_aws_allows(estate):
    assert all(len(i["name"]) <= 64 for i in estate.of("iam/role:Role").values())
    assert all(re.fullmatch(r"[a-z0-9-]{3,63}", i["bucket"]) for i in estate.of("s3/bucket:Bucket").values())
    assert all(len(i["name"]) <= 80 for i in estate.of("sqs/queue:Queue").values())


def test_a_deleted_secret_of_prod_can_be_had_back_and_one_of_dev_leaves_its_name_free(dev, prod):
    windows = {
        stack: {secret["recoveryWindowInDays"] for secret in estate.of("secretsmanager/secret:Secret").values()}
        for stack, estate in {"dev": dev, "prod": prod}.items()
    }
    assert windows == {"dev": {0}, "prod": {30}}


def test_secrets_are_secret_from_end_to_end(dev, prod):
    for estate in (dev, prod):
        assert estate.secret_exports == {"api_key", "api_keys"}
        assert "sk-ant-hidden" not in estate.in_clear()
        assert "correct-horse-battery" not in estate.in_clear()
    assert "secretString" in dev.secrets_in("model-api-key-value")
    assert {"password"} <= prod.secrets_in("database-instance")
    assert "secretString" in prod.secrets_in("database-master-value")


def test_what_holds_data_is_protected_in_prod_and_free_in_dev(dev, prod):
    assert prod.options["face-app-front-balancer"].protect, "AWS would refuse its deletion in the middle of an update"
    assert prod.options["network-vpc"].protect, "another range would take the rules of all in it before AWS refuses"
    held = {"database-instance", "sessions-table", "storage-results-bucket", "storage-state-bucket", "keys-data"}
    assert {name for name in {*held, "trail-audit-bucket", "backups-vault"} if not prod.options[name].protect} == set()
    assert {name for name in held if dev.options[name].protect} == set()


def test_what_stays_readable_when_prod_goes_is_its_key_its_backups_and_its_audit_log(dev, prod, lavish):
    """AWS refuses to delete the last two while they are not empty, and every later update would fail."""
    audit = {name for name, made in prod.options.items() if made.type.startswith("aws:") and "trail-audit-" in name}
    assert len(audit) > 8, "with its policy, its lock and what expires its records"
    kept = {name for name, made in lavish.options.items() if made.retainOnDelete}
    assert kept == {*audit, "api-account", "backups-vault", "keys-data"}
    assert {name for name, made in dev.options.items() if made.retainOnDelete} == {"api-account"}, "dev goes whole"


def test_the_exports_have_the_shape_that_operators_script_against(estate, prod, standby):
    more = {"handover"} if estate is prod else set()
    less = {"migrations"} if estate is standby else set()  # a replica has the schema of its source
    assert set(estate.exports) | less - more == more | {
        "agents",
        "api_key",
        "api_keys",
        "api_url",
        "bus_topic_arn",
        "coordinator_arn",
        "database",
        "migrations",
        "model_api_key_secret_arn",
        "record_queue_url",
        "registry_uri",
        "results_bucket",
        "sessions_table",
        "state_bucket",
        "zone",
    }
    assert set(estate.exports["agents"]) == {f"h{n:02}" for n in range(1, 11)}
    assert set(estate.exports["agents"]["h01"]) == {"queue_url", "dlq_url", "function_name", "principal"}
    assert estate.exports["agents"]["h01"]["principal"] == "if://agent/h01"
    assert set(estate.exports["database"]) == {"endpoint", "port", "name"}


def test_every_component_has_its_row_in_the_table_of_parts(lavish):
    graph = lavish.graph("prod")
    written = components_table.table({"prod": graph})
    tokens = {r.type for r in graph.resources if r.type.startswith("infrafabric:")}
    names = {component.token: component.name for component in components_table.components()}
    rows = {name: int(count or 0) for name, count in re.findall(r"^\| \[(\w+)\].* \| (\d*) \|$", written, re.MULTILINE)}
    assert tokens <= set(names)
    assert all(rows[names[token]] for token in tokens), "each component holds resources"
    assert rows["Network"] == len([r for r in graph.custom if r.name.startswith("network-")])
