"""The provider through its gRPC interface, as the engine uses it; the emulator's APIs show the effect."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path
from typing import Any

import grpc
import pytest
from botocore.exceptions import ClientError
from google.protobuf import empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2
from semver import VersionInfo

from local import wire
from tests.engine.conftest import Engine, EngineResource

NONE, SOME = provider_pb2.DiffResponse.DIFF_NONE, provider_pb2.DiffResponse.DIFF_SOME
QUEUE, BUCKET, FUNCTION = "aws:sqs/queue:Queue", "aws:s3/bucket:Bucket", "aws:lambda/function:Function"
ROLE, POLICY = "aws:iam/role:Role", "aws:s3/bucketPolicy:BucketPolicy"
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
)


def _archive(folder: Path, digest: str = "one") -> dict[str, Any]:
    return {wire.SIGNATURE: wire._ARCHIVE, "path": str(folder), "hash": digest}


def _policy(bucket: str, action: str) -> str:
    statement = {"Effect": "Deny", "Principal": "*", "Action": action, "Resource": f"arn:aws:s3:::{bucket}/*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.fixture(scope="module")
def function(engine: Engine, handler: Path) -> EngineResource:
    role = engine.create(ROLE, "runner", {"name": "runner", "assumeRolePolicy": TRUST})
    inputs = {
        "name": "worker",
        "role": role.outputs["arn"],
        "handler": "index.handler",
        "runtime": "python3.13",
        "code": _archive(handler),
        "memorySize": 256,
        "timeout": 10,
        "publish": True,
    }
    return engine.create(FUNCTION, "worker", inputs)


def test_what_was_just_created_shows_no_change(engine: Engine, function: EngineResource) -> None:
    queue = engine.create(QUEUE, "calm", {"name": "calm", "visibilityTimeoutSeconds": 30, "tags": {"A": "1"}})

    assert [engine.diff(resource).changes for resource in (queue, function)] == [NONE, NONE]


def test_an_archive_at_another_place_with_the_same_content_is_no_change(
    engine: Engine, function: EngineResource
) -> None:
    moved = _archive(Path("/elsewhere"))

    assert engine.diff(function, code=moved).changes == NONE
    assert list(engine.diff(function, code=_archive(Path("/elsewhere"), "two")).diffs) == ["code"]


def test_a_function_is_looked_at_and_removed_by_an_engine_that_keeps_its_archive_to_itself(
    engine: Engine, handler: Path
) -> None:
    role = engine.create(ROLE, "brief", {"name": "brief", "assumeRolePolicy": TRUST})
    inputs = {
        "name": "brief",
        "role": role.outputs["arn"],
        "handler": "index.handler",
        "runtime": "python3.13",
        "code": _archive(handler),
    }
    function = engine.create(FUNCTION, "brief", inputs)

    state = engine.read(function)
    assert (state.id, wire.read(state.inputs)["code"]["hash"]) == ("brief", "one")
    engine.delete(function)

    assert engine.read(function).id == ""


def test_an_engine_that_attaches_learns_what_it_may_send(engine: Engine) -> None:
    """In the order of NewProvider, in pulumi's pkg/resource/plugin/provider_plugin.go, and of its registry."""
    handshake = provider_pb2.ProviderHandshakeRequest(engine_address="127.0.0.1:1", configure_with_urn=True)
    accepted = engine.stub.Handshake(handshake)
    engine.stub.Attach(plugin_pb2.PluginAttach(address="127.0.0.1:1"))
    version = engine.stub.GetPluginInfo(empty_pb2.Empty()).version
    config = {"region": "us-east-1", "version": metadata.version("pulumi_aws")}
    checked = engine.stub.CheckConfig(provider_pb2.CheckRequest(olds=wire.write({}), news=wire.write(config)))

    assert (accepted.accept_secrets, accepted.accept_resources, accepted.accept_outputs) == (True, False, False)
    assert VersionInfo.parse(version) >= VersionInfo.parse(config["version"]), "the engine warns of an older version"
    assert wire.read(checked.inputs) == config, "the engine refuses a provider that alters its version"
    same = provider_pb2.DiffRequest(olds=wire.write(config), old_inputs=wire.write(config), news=wire.write(config))
    assert engine.stub.DiffConfig(same).changes == NONE


def test_what_is_unknown_in_a_preview_stays_so_and_counts_as_a_change(engine: Engine) -> None:
    secret = {wire.SIGNATURE: wire.SECRET, "value": wire.UNKNOWN}
    inputs = {"name": "unborn", "kmsMasterKeyId": wire.UNKNOWN, "policy": secret}

    assert engine.create(QUEUE, "unborn", inputs, preview=True).outputs == {**inputs, "id": wire.UNKNOWN}
    existing = EngineResource(
        QUEUE, "unborn", {"name": "unborn", "policy": "{}"}, "id", {"name": "unborn", "policy": "{}"}
    )
    assert list(engine.diff(existing, news=inputs).diffs) == ["kmsMasterKeyId", "policy"]


def test_a_queue_is_changed_in_place(engine: Engine) -> None:
    queue = engine.create(QUEUE, "patient", {"name": "patient", "visibilityTimeoutSeconds": 30})
    diff = engine.diff(queue, visibilityTimeoutSeconds=60)
    assert (diff.changes, list(diff.diffs), list(diff.replaces)) == (SOME, ["visibilityTimeoutSeconds"], [])

    after = engine.update(queue, visibilityTimeoutSeconds=60)

    response = engine.platform.client("sqs").get_queue_attributes(QueueUrl=queue.id, AttributeNames=["All"])[
        "Attributes"
    ]
    assert response["VisibilityTimeout"] == "60"
    assert (after.outputs["visibilityTimeoutSeconds"], after.outputs["arn"]) == (60, queue.outputs["arn"])


def test_a_functions_memory_is_changed_in_place_and_a_version_published(
    engine: Engine, function: EngineResource
) -> None:
    after = engine.update(function, memorySize=512)

    response = engine.platform.client("lambda").get_function_configuration(FunctionName="worker")
    assert response["MemorySize"] == 512
    assert (function.outputs["version"], after.outputs["version"]) == ("1", "2")
    assert after.outputs["qualifiedArn"].endswith(":worker:2")


def test_a_preview_changes_nothing_and_does_not_know_the_next_version(engine: Engine, function: EngineResource) -> None:
    before = engine.platform.client("lambda").get_function_configuration(FunctionName="worker")["Timeout"]

    after = engine.update(function, preview=True, timeout=99)

    assert after.outputs["version"] == wire.UNKNOWN
    assert engine.platform.client("lambda").get_function_configuration(FunctionName="worker")["Timeout"] == before
    assert engine.create(QUEUE, "unborn", {"name": "unborn"}, preview=True).id == ""
    with pytest.raises(ClientError):
        engine.platform.client("sqs").get_queue_url(QueueName="unborn")


def test_a_bucket_policy_is_put_again(engine: Engine) -> None:
    bucket = engine.create(BUCKET, "papers", {"bucket": "papers"})
    policy = engine.create(POLICY, "papers-policy", {"bucket": bucket.id, "policy": _policy("papers", "s3:GetObject")})

    assert list(engine.diff(policy, policy=_policy("papers", "s3:PutObject")).replaces) == []
    engine.update(policy, policy=_policy("papers", "s3:PutObject"))

    response = json.loads(engine.platform.client("s3").get_bucket_policy(Bucket="papers")["Policy"])
    assert response["Statement"][0]["Action"] == "s3:PutObject"
    engine.delete(policy)
    with pytest.raises(ClientError, match="NoSuchBucketPolicy"):
        engine.platform.client("s3").get_bucket_policy(Bucket="papers")


def test_new_tags_reach_the_service(engine: Engine) -> None:
    queue = engine.create(QUEUE, "labelled", {"name": "labelled", "tags": {"Old": "1", "Kept": "1"}})

    engine.update(queue, tags={"Kept": "2"})

    assert engine.platform.client("sqs").list_queue_tags(QueueUrl=queue.id)["Tags"] == {"Kept": "2"}


@pytest.mark.parametrize(
    ("type_", "inputs", "changes", "replaces", "old_goes_first"),
    [
        (QUEUE, {"name": "a"}, {"name": "b"}, ["name"], False),
        (BUCKET, {"bucket": "a"}, {"bucket": "b"}, ["bucket"], False),
        ("aws:ec2/vpc:Vpc", {"cidrBlock": "10.0.0.0/16"}, {"cidrBlock": "10.1.0.0/16"}, ["cidrBlock"], False),
        (FUNCTION, {"name": "a", "role": "r"}, {"role": "s"}, [], False),
        ("aws:dynamodb/table:Table", {"name": "a", "hashKey": "x"}, {"hashKey": "y"}, ["hashKey"], True),
        (
            "aws:apigateway/requestValidator:RequestValidator",
            {"name": "a"},
            {"validateRequestBody": True},
            ["validateRequestBody"],
            True,
        ),
        ("aws:apigateway/requestValidator:RequestValidator", {"name": "a"}, {"tags": {"A": "1"}}, [], False),
        ("aws:xray/group:Group", {"groupName": "a"}, {"filterExpression": "x"}, [], False),
    ],
)
def test_a_diff_says_what_needs_a_replacement_and_which_comes_first(
    engine: Engine,
    type_: str,
    inputs: dict[str, Any],
    changes: dict[str, Any],
    replaces: list[str],
    old_goes_first: bool,
) -> None:
    diff = engine.diff(EngineResource(type_, "thing", inputs, "id", inputs), **changes)

    assert (diff.changes, list(diff.replaces)) == (SOME, replaces)
    assert diff.deleteBeforeReplace == old_goes_first


@pytest.mark.parametrize(
    ("type_", "inputs", "delete_directly"),
    [
        (QUEUE, {"name": "gone"}, lambda resource, platform: platform.client("sqs").delete_queue(QueueUrl=resource.id)),
        (
            BUCKET,
            {"bucket": "gone"},
            lambda resource, platform: platform.client("s3").delete_bucket(Bucket=resource.id),
        ),
        (
            ROLE,
            {"name": "gone", "assumeRolePolicy": TRUST},
            lambda resource, platform: platform.client("iam").delete_role(RoleName=resource.id),
        ),
        (
            "aws:cloudwatch/logGroup:LogGroup",
            {"name": "/gone"},
            lambda resource, platform: platform.client("logs").delete_log_group(logGroupName=resource.id),
        ),
        (
            "aws:dynamodb/table:Table",
            {
                "name": "gone",
                "billingMode": "PAY_PER_REQUEST",
                "hashKey": "pk",
                "attributes": [{"name": "pk", "type": "S"}],
            },
            lambda resource, platform: platform.client("dynamodb").delete_table(TableName=resource.id),
        ),
    ],
)
def test_a_read_returns_what_is_known_until_it_is_deleted_behind_our_back(
    engine: Engine, type_: str, inputs: dict[str, Any], delete_directly: Any
) -> None:
    resource = engine.create(type_, "gone", inputs)
    state = engine.read(resource)
    assert (state.id, wire.read(state.properties), wire.read(state.inputs)) == (
        resource.id,
        resource.outputs,
        resource.inputs,
    )

    delete_directly(resource, engine.platform)

    assert engine.read(resource).id == ""
    engine.delete(resource)  # deleting a missing resource succeeds


def test_what_is_deleted_is_gone_from_the_service(engine: Engine) -> None:
    role = engine.create(ROLE, "short", {"name": "short", "assumeRolePolicy": TRUST})
    inputs = {"role": "short", "name": "p", "policy": _policy("x", "s3:PutObject")}
    engine.create("aws:iam/rolePolicy:RolePolicy", "p", inputs)

    engine.delete(role)

    with pytest.raises(ClientError, match="NoSuchEntity"):
        engine.platform.client("iam").get_role(RoleName="short")


def test_a_secret_stays_one_in_the_outputs(engine: Engine) -> None:
    secret = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "value": "k" * 24}  # Pulumi's
    inputs = {"name": "key", "value": secret, "enabled": True}

    key = engine.create("aws:apigateway/apiKey:ApiKey", "key", inputs)

    assert key.inputs["value"] == key.outputs["value"] == secret
    assert engine.platform.client("apigateway").get_api_key(apiKey=key.id, includeValue=True)["value"] == "k" * 24
    assert engine.diff(key, value="k" * 24).changes == NONE, "the secret mark alone is no change"
    assert engine.update(key, enabled=False).outputs["value"] == secret


def test_a_refusal_names_type_logical_name_and_the_services_words(engine: Engine) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        engine.create(POLICY, "homeless-policy", {"bucket": "nowhere", "policy": _policy("nowhere", "s3:GetObject")})

    response = refused.value.details() or ""
    assert response.startswith(f"{POLICY} homeless-policy was refused: ")
    assert "NoSuchBucket" in response


def test_an_invoke_is_answered_and_an_unknown_one_says_where_to_add_it(engine: Engine) -> None:
    token = "aws:index/getCallerIdentity:getCallerIdentity"
    response = engine.stub.Invoke(provider_pb2.InvokeRequest(tok=token, args=wire.write({})))
    assert wire.read(getattr(response, "return"))["accountId"] == "000000000000"

    with pytest.raises(grpc.RpcError, match=r"local\.invokes"):
        engine.stub.Invoke(provider_pb2.InvokeRequest(tok="aws:index/getNothing:getNothing", args=wire.write({})))


def test_what_cannot_be_created_here_is_recorded(engine: Engine) -> None:
    group = engine.create("aws:xray/group:Group", "traces", {"groupName": "g"})

    assert (group.id, group.outputs["groupName"]) == ("traces-id", "g")
    assert engine.diff(group).changes == NONE


def test_the_id_is_an_output_as_aws_has_it(engine: Engine) -> None:
    """Policies that check a whole stack see outputs only."""
    queue = engine.create(QUEUE, "known", {"name": "known"})
    group = engine.create("aws:xray/group:Group", "known", {"groupName": "known"})

    assert [resource.outputs["id"] for resource in (queue, group)] == [queue.id, group.id]
    assert engine.update(queue, delaySeconds=1).outputs["id"] == queue.id


def test_another_region_replaces_the_provider(engine: Engine) -> None:
    request = provider_pb2.DiffRequest(
        olds=wire.write({"region": "us-east-1"}), news=wire.write({"region": "us-west-2"})
    )

    assert list(engine.stub.DiffConfig(request).replaces) == ["region"]
