"""Refresh and import: what hands change on the emulator is seen, is undone by the next update, and can be taken in.

One case per type that lists ``reads``; the walk in test_rehearsal.py does the same with the real engine.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import grpc
import pytest

from local import types, wire
from local.engine import drift
from tests.engine.conftest import Engine, EngineResource, only_hashes

REGION, ACCOUNT = "us-east-1", "000000000000"
Client = Callable[[str], Any]


def _document(*actions: str, resource: str = "*") -> str:
    statement = {"Effect": "Deny", "Principal": "*", "Action": list(actions), "Resource": resource}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _trust(service: str) -> str:
    statement = {"Effect": "Allow", "Principal": {"Service": f"{service}.amazonaws.com"}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@dataclass
class World:
    """What the cases stand on: a queue, a topic, a bucket, a role, a function, an API, a network."""

    engine: Engine
    handler: Path

    label: str  # tests share the emulator, so that names must differ

    def name(self, kind: str) -> str:
        return f"{kind}-{self.label}"

    def make(self, token: str, **inputs: Any) -> EngineResource:
        return self.engine.create(token, "support", inputs)

    def queue(self) -> EngineResource:
        return self.make("aws:sqs/queue:Queue", name=self.name("queue"))

    def bucket(self) -> EngineResource:
        return self.make("aws:s3/bucket:Bucket", bucket=self.name("bucket"))

    def role(self) -> EngineResource:
        return self.make("aws:iam/role:Role", name=self.name("role"), assumeRolePolicy=_trust("lambda"))

    def function_inputs(self) -> dict[str, Any]:
        return {
            "name": self.name("function"),
            "role": self.role().outputs["arn"],
            "handler": "index.handler",
            "runtime": "python3.13",
            "code": {wire.SIGNATURE: wire._ARCHIVE, "path": str(self.handler), "hash": "one"},
            "memorySize": 256,
            "environment": {"variables": {"A": "1"}},
            "publish": True,
        }

    def function(self) -> EngineResource:
        return self.make("aws:lambda/function:Function", **self.function_inputs())

    def stage(self) -> tuple[str, str]:
        client = self.engine.platform.client("apigateway")
        api = client.create_rest_api(name="api")["id"]
        root = client.get_resources(restApiId=api)["items"][0]["id"]
        client.put_method(restApiId=api, resourceId=root, httpMethod="GET", authorizationType="NONE")
        client.put_integration(restApiId=api, resourceId=root, httpMethod="GET", type="MOCK")
        client.create_stage(restApiId=api, stageName="v1", deploymentId=client.create_deployment(restApiId=api)["id"])
        return api, "v1"

    def group(self) -> str:
        ec2 = self.engine.platform.client("ec2")
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        return ec2.create_security_group(GroupName="group", Description="group", VpcId=vpc)["GroupId"]


@dataclass(frozen=True)
class Case:
    """Inputs of a resource, and a change of it by hand: an input's name and its value after the change."""

    inputs: Mapping[str, Any]
    by_hand: Callable[[Client, str], Any]  # called with a client factory and the resource's ID
    changed: str
    value: Any  # None: the change took the input away


def _queue(world: World) -> Case:
    return Case(
        {"name": world.name("seen"), "visibilityTimeoutSeconds": 90},
        lambda client, url: client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "7"}),
        "visibilityTimeoutSeconds",
        7,
    )


def _queue_unset(world: World) -> Case:
    return Case(
        {"name": world.name("seen")},
        lambda client, url: client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"DelaySeconds": "5"}),
        "delaySeconds",
        5,
    )


def _queue_attribute(attribute: str, key: str, before: str, after: str) -> Callable[[World], Case]:
    def case(world: World) -> Case:
        url = world.queue().id
        return Case(
            {"queueUrl": url, key: before},
            lambda client, url: client("sqs").set_queue_attributes(QueueUrl=url, Attributes={attribute: after}),
            key,
            after,
        )

    return case


def _redrive_policy(world: World) -> Case:
    dead = world.make("aws:sqs/queue:Queue", name=world.name("dead")).outputs["arn"]
    before, after = (json.dumps({"deadLetterTargetArn": dead, "maxReceiveCount": count}) for count in (5, 50))
    return _queue_attribute("RedrivePolicy", "redrivePolicy", before, after)(world)


def _subscription(world: World) -> Case:
    topic = world.make("aws:sns/topic:Topic", name=world.name("topic")).outputs["arn"]
    endpoint = world.queue().outputs["arn"]
    policy = json.dumps({"to": ["h02"]})
    return Case(
        {"topic": topic, "protocol": "sqs", "endpoint": endpoint, "filterPolicy": json.dumps({"to": ["h01"]})},
        lambda client, arn: client("sns").set_subscription_attributes(
            SubscriptionArn=arn, AttributeName="FilterPolicy", AttributeValue=policy
        ),
        "filterPolicy",
        policy,
    )


def _function(world: World) -> Case:
    return Case(
        world.function_inputs(),
        lambda client, name: client("lambda").update_function_configuration(
            FunctionName=name, Environment={"Variables": {"A": "2"}}
        ),
        "environment",
        {"variables": {"A": "2"}},
    )


def _function_reserved(world: World) -> Case:
    return Case(
        world.function_inputs(),
        lambda client, name: client("lambda").put_function_concurrency(
            FunctionName=name, ReservedConcurrentExecutions=0
        ),
        "reservedConcurrentExecutions",
        0,
    )


def _alias(world: World) -> Case:
    function = world.function().id
    return Case(
        {"functionName": function, "name": "live", "functionVersion": "1"},
        lambda client, arn: client("lambda").update_alias(
            FunctionName=function, Name="live", FunctionVersion="$LATEST"
        ),
        "functionVersion",
        "$LATEST",
    )


def _event_source(world: World) -> Case:
    return Case(
        {
            "functionName": world.function().outputs["arn"],
            "eventSourceArn": world.queue().outputs["arn"],
            "batchSize": 5,
        },
        lambda client, uuid: client("lambda").update_event_source_mapping(UUID=uuid, Enabled=False),
        "enabled",
        False,
    )


def _role(world: World) -> Case:
    trust = _trust("ec2")
    return Case(
        {"name": world.name("seen"), "assumeRolePolicy": _trust("lambda")},
        lambda client, name: client("iam").update_assume_role_policy(RoleName=name, PolicyDocument=trust),
        "assumeRolePolicy",
        trust,
    )


def _role_boundary(world: World) -> Case:
    policy = world.make("aws:iam/policy:Policy", name=world.name("edge"), policy=_document("iam:*")).outputs["arn"]
    return Case(
        {"name": world.name("seen"), "assumeRolePolicy": _trust("lambda"), "permissionsBoundary": policy},
        lambda client, name: client("iam").delete_role_permissions_boundary(RoleName=name),
        "permissionsBoundary",
        None,
    )


def _role_description(world: World) -> Case:
    return Case(
        {"name": world.name("seen"), "assumeRolePolicy": _trust("lambda")},
        lambda client, name: client("iam").update_role(RoleName=name, Description="by hand"),
        "description",
        "by hand",
    )


def _role_policy(world: World) -> Case:
    after, role = _document("s3:*"), world.role().id
    return Case(
        {"role": role, "name": "granted", "policy": _document("sqs:*")},
        lambda client, _: client("iam").put_role_policy(RoleName=role, PolicyName="granted", PolicyDocument=after),
        "policy",
        after,
    )


def _log_group(world: World) -> Case:
    return Case(
        {"name": world.name("seen"), "retentionInDays": 14},
        lambda client, name: client("logs").delete_retention_policy(logGroupName=name),
        "retentionInDays",
        None,
    )


def _alarm(world: World) -> Case:
    inputs = {
        "name": world.name("seen"),
        "namespace": "AWS/SQS",
        "metricName": "NumberOfMessagesSent",
        "dimensions": {"QueueName": "seen"},
        "statistic": "Sum",
        "period": 60,
        "evaluationPeriods": 1,
        "threshold": 0.5,
        "comparisonOperator": "GreaterThanThreshold",
    }
    return Case(
        inputs,
        lambda client, name: client("cloudwatch").disable_alarm_actions(AlarmNames=[name]),
        "actionsEnabled",
        False,
    )


def _bucket_policy(world: World) -> Case:
    bucket = world.bucket().id
    before, after = (_document(f"s3:{one}Object", resource=f"arn:aws:s3:::{bucket}/*") for one in ("Put", "Delete"))
    return Case(
        {"bucket": bucket, "policy": before},
        lambda client, bucket: client("s3").put_bucket_policy(Bucket=bucket, Policy=after),
        "policy",
        after,
    )


def _lifecycle(world: World) -> Case:
    def rules(days: int) -> list[dict[str, Any]]:
        return [{"id": "old", "status": "Enabled", "filter": {"prefix": ""}, "expiration": {"days": days}}]

    def by_hand(client: Client, bucket: str) -> None:
        rule = {"ID": "old", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}
        client("s3").put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [rule]})

    return Case({"bucket": world.bucket().id, "rules": rules(30)}, by_hand, "rules", rules(1))


def _usage_plan(world: World) -> Case:
    api, stage = world.stage()
    operation = {"op": "replace", "path": "/throttle/rateLimit", "value": "1"}
    return Case(
        {
            "name": world.name("seen"),
            "apiStages": [{"apiId": api, "stage": stage}],
            "throttleSettings": {"rateLimit": 50, "burstLimit": 100},
            "quotaSettings": {"limit": 1000, "period": "DAY"},
        },
        lambda client, plan: client("apigateway").update_usage_plan(usagePlanId=plan, patchOperations=[operation]),
        "throttleSettings",
        {"rateLimit": 1, "burstLimit": 100},
    )


def _usage_plan_unset(world: World) -> Case:
    operations = [
        {"op": "replace", "path": f"/quota/{key}", "value": value} for key, value in (("limit", "1"), ("period", "DAY"))
    ]
    return Case(
        {"name": world.name("seen"), "throttleSettings": {"rateLimit": 50, "burstLimit": 100}},
        lambda client, plan: client("apigateway").update_usage_plan(usagePlanId=plan, patchOperations=operations),
        "quotaSettings",
        {"limit": 1, "period": "DAY"},
    )


def _method_settings(world: World) -> Case:
    api, stage = world.stage()
    settings = {"metricsEnabled": True, "loggingLevel": "ERROR", "throttlingRateLimit": 50, "throttlingBurstLimit": 100}
    operation = {"op": "replace", "path": "/*/*/logging/loglevel", "value": "OFF"}
    return Case(
        {"restApi": api, "stageName": stage, "methodPath": "*/*", "settings": settings},
        lambda client, _: client("apigateway").update_stage(
            restApiId=api, stageName=stage, patchOperations=[operation]
        ),
        "settings",
        {**settings, "loggingLevel": "OFF"},
    )


def _rule(direction: str) -> Callable[[World], Case]:
    def case(world: World) -> Case:
        def by_hand(client: Client, rule: str) -> None:
            (found,) = client("ec2").describe_security_group_rules(SecurityGroupRuleIds=[rule])["SecurityGroupRules"]
            revoke = getattr(client("ec2"), f"revoke_security_group_{direction}")
            revoke(GroupId=found["GroupId"], SecurityGroupRuleIds=[rule])

        group = world.group()
        inputs = {"securityGroupId": group, "ipProtocol": "tcp", "fromPort": 443, "toPort": 443}
        return Case({**inputs, "cidrIpv4": "10.0.0.0/16"}, by_hand, "", None)

    return case


CASES: dict[str, list[Callable[[World], Case]]] = {
    "aws:apigateway/methodSettings:MethodSettings": [_method_settings],
    "aws:apigateway/usagePlan:UsagePlan": [_usage_plan, _usage_plan_unset],
    "aws:cloudwatch/logGroup:LogGroup": [_log_group],
    "aws:cloudwatch/metricAlarm:MetricAlarm": [_alarm],
    "aws:iam/role:Role": [_role, _role_boundary, _role_description],
    "aws:iam/rolePolicy:RolePolicy": [_role_policy],
    "aws:lambda/alias:Alias": [_alias],
    "aws:lambda/eventSourceMapping:EventSourceMapping": [_event_source],
    "aws:lambda/function:Function": [_function, _function_reserved],
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": [_lifecycle],
    "aws:s3/bucketPolicy:BucketPolicy": [_bucket_policy],
    "aws:sns/topicSubscription:TopicSubscription": [_subscription],
    "aws:sqs/queue:Queue": [_queue, _queue_unset],
    "aws:sqs/queuePolicy:QueuePolicy": [
        _queue_attribute("Policy", "policy", _document("sqs:SendMessage"), _document("sqs:ReceiveMessage"))
    ],
    "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy": [
        _queue_attribute(
            "RedriveAllowPolicy",
            "redriveAllowPolicy",
            json.dumps({"redrivePermission": "denyAll"}),
            json.dumps({"redrivePermission": "allowAll"}),
        )
    ],
    "aws:sqs/redrivePolicy:RedrivePolicy": [_redrive_policy],
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": [_rule("egress")],
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": [_rule("ingress")],
}
_ALL = [
    pytest.param(token, case, id=f"{token.rpartition(':')[2]}-{number}")
    for token, cases in CASES.items()
    for number, case in enumerate(cases)
]


@pytest.fixture
def world(engine: Engine, handler: Path, tmp_path: Path) -> World:
    return World(engine, handler, hashlib.sha256(str(tmp_path).encode()).hexdigest()[:12])


def _after(engine: Engine, resource: EngineResource) -> EngineResource | None:
    """Return the resource as the state has it after a refresh; None if it is gone."""
    read = engine.read(resource)
    if not read.id:
        return None
    return EngineResource(resource.type, resource.name, wire.read(read.inputs), read.id, wire.read(read.properties))


def _only(names: Mapping[str, Any], properties: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in properties.items() if name in names}


def test_every_type_that_is_read_has_a_case() -> None:
    assert {token.removesuffix("V2").replace("V2:", ":") for token in types.importable()} == set(CASES)


@pytest.mark.parametrize(("token", "case"), _ALL)
def test_a_change_by_hand_is_seen_by_a_refresh_and_undone_by_the_next_update(
    world: World, token: str, case: Callable[[World], Case]
) -> None:
    of, engine = case(world), world.engine
    resource = engine.create(token, "seen", of.inputs)
    calm = _after(engine, resource)
    assert calm is not None
    assert (calm.inputs, calm.outputs) == (only_hashes(resource.inputs), only_hashes(resource.outputs))

    of.by_hand(engine.platform.client, resource.id)
    after = _after(engine, resource)

    if not of.changed:
        assert after is None
        return
    assert after is not None
    assert drift.same(wire.clear(after.inputs).get(of.changed), of.value)
    assert drift.same(wire.clear(after.outputs).get(of.changed), of.value)
    assert list(engine.diff(after, news=resource.inputs).diffs) == [of.changed]
    undone = engine.update(after, **{of.changed: None, **resource.inputs})
    again = _after(engine, EngineResource(token, "seen", resource.inputs, undone.id, undone.outputs))
    assert again is not None
    assert again.inputs == only_hashes(resource.inputs)


@pytest.mark.parametrize(("token", "case"), _ALL)
def test_what_exists_is_imported_with_the_inputs_it_was_created_with(
    world: World, token: str, case: Callable[[World], Case]
) -> None:
    inputs = case(world).inputs
    created = world.engine.create(token, "taken", inputs)

    found = _after(world.engine, EngineResource(token, "taken", {}, created.id, {}))

    assert found is not None
    assert found.id == created.id
    known = types.find_type(token).reads
    assert drift.same(_only(known, wire.clear(found.inputs)), _only(known, wire.clear(created.inputs)))
    assert found.outputs.get("arn") == created.outputs.get("arn")


def test_an_import_of_a_type_that_is_not_read_says_which_types_are(engine: Engine) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        engine.read(EngineResource("aws:kms/key:Key", "taken", {}, "some-id", {}))

    details = cast("Any", refused.value).details()
    assert details.startswith("aws:kms/key:Key cannot be imported here: aws:apigateway/methodSettings:MethodSettings, ")


def test_an_import_of_what_does_not_exist_finds_nothing(engine: Engine) -> None:
    missing = f"{engine.platform.endpoint_url}/{ACCOUNT}/nowhere"

    assert engine.read(EngineResource("aws:sqs/queue:Queue", "taken", {}, missing, {})).id == ""
