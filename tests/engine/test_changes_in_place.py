"""Changes of existing resources: replicas in a second Region, another domain, CloudFront distributions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.engine.conftest import Engine

_BEHAVIOR = {
    "targetOriginId": "app",
    "allowedMethods": ["GET", "HEAD"],
    "cachedMethods": ["GET", "HEAD"],
    "viewerProtocolPolicy": "redirect-to-https",
    "cachePolicyId": "4135ea2d-6df8-44a3-9df3-4b5a84be39ad",
}
EDGE = {
    "comment": "before",
    "enabled": True,
    "aliases": [],
    "orderedCacheBehaviors": [],
    "origins": [{"originId": "app", "domainName": "app.infrafabric.example"}],
    "defaultCacheBehavior": _BEHAVIOR,
    "viewerCertificate": {"cloudfrontDefaultCertificate": True},
    "restrictions": {"geoRestriction": {"restrictionType": "none", "locations": []}},
}


@pytest.mark.parametrize(
    ("type_", "inputs", "changes"),
    [
        ("aws:route53/zone:Zone", {"name": "old.example"}, {"name": "new.example"}),
        (
            "aws:route53/healthCheck:HealthCheck",
            {"type": "HTTPS", "fqdn": "api.old.example"},
            {"fqdn": "api.new.example"},
        ),
    ],
)
def test_a_replacement_is_another_one_while_the_old_one_stands(
    engine: Engine, type_: str, inputs: dict[str, Any], changes: dict[str, Any]
) -> None:
    old, new = engine.create(type_, "named", inputs), engine.create(type_, "named", {**inputs, **changes})

    assert old.id != new.id


def test_a_table_in_another_region_comes_and_goes_with_the_setting(engine: Engine) -> None:
    table = engine.create(
        "aws:dynamodb/table:Table",
        "copied",
        {
            "name": "copied",
            "hashKey": "pk",
            "attributes": [{"name": "pk", "type": "S"}],
            "streamEnabled": True,
            "streamViewType": "NEW_AND_OLD_IMAGES",
            "billingMode": "PAY_PER_REQUEST",
        },
    )

    def replica_tables() -> list[str]:
        return engine.platform.client("dynamodb", "us-west-2").list_tables()["TableNames"]

    copied = engine.update(table, replicas=[{"regionName": "us-west-2"}])
    assert replica_tables() == ["copied"]

    engine.update(copied, replicas=None)
    assert replica_tables() == []


def test_a_secret_is_copied_once_a_second_region_asks_for_it(engine: Engine) -> None:
    secret = engine.create("aws:secretsmanager/secret:Secret", "copied", {"name": "copied"})

    engine.update(secret, replicas=[{"region": "us-west-2"}])

    description = engine.platform.client("secretsmanager", "us-west-2").describe_secret(SecretId="copied")
    assert description["PrimaryRegion"] == engine.platform.client("sts").meta.region_name


def test_the_policy_of_a_copied_key_is_changed_in_place(engine: Engine) -> None:
    key = engine.create("aws:kms/key:Key", "shared", {"description": "shared", "multiRegion": True})
    copy = engine.create(
        "aws:kms/replicaKey:ReplicaKey", "shared-copy", {"primaryKeyArn": key.outputs["arn"], "region": "us-west-2"}
    )
    policy = json.dumps({"Version": "2012-10-17", "Statement": []})

    assert list(engine.diff(copy, policy=policy).replaces) == []
    engine.update(copy, policy=policy)

    policy_text = engine.platform.client("kms", "us-west-2").get_key_policy(KeyId=copy.id, PolicyName="default")[
        "Policy"
    ]
    assert json.loads(policy_text) == json.loads(policy)


def test_an_edge_is_changed_in_place(engine: Engine) -> None:
    """A replacement with the same names would be refused; with the same caller reference, AWS returns the old one."""
    edge = engine.create("aws:cloudfront/distribution:Distribution", "edge", EDGE)

    assert list(engine.diff(edge, comment="after").replaces) == []
    after = engine.update(edge, comment="after")

    config = engine.platform.client("cloudfront").get_distribution_config(Id=edge.id)["DistributionConfig"]
    assert (config["Comment"], after.outputs["arn"]) == ("after", edge.outputs["arn"])


def test_an_index_comes_and_goes_with_its_table_in_place(engine: Engine) -> None:
    keys = [{"name": name, "type": "S"} for name in ("pk", "one", "other")]
    indexes = [
        {
            "name": f"by_{name}",
            "keySchemas": [{"attributeName": name, "keyType": "HASH"}],
            "projectionType": "ALL",
        }
        for name in ("one", "other")
    ]
    table = engine.create(
        "aws:dynamodb/table:Table",
        "indexed",
        {
            "name": "indexed",
            "hashKey": "pk",
            "attributes": keys[:2],
            "globalSecondaryIndexes": indexes[:1],
            "billingMode": "PAY_PER_REQUEST",
        },
    )

    def names() -> set[str]:
        described = engine.platform.client("dynamodb").describe_table(TableName="indexed")["Table"]
        return {index["IndexName"] for index in described["GlobalSecondaryIndexes"]}

    assert list(engine.diff(table, attributes=keys, globalSecondaryIndexes=indexes).replaces) == []
    more = engine.update(table, attributes=keys, globalSecondaryIndexes=indexes)
    assert names() == {"by_one", "by_other"}

    engine.update(more, attributes=[keys[0], keys[2]], globalSecondaryIndexes=indexes[1:])
    assert names() == {"by_other"}
