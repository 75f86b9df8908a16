from __future__ import annotations

from fnmatch import fnmatchcase

import pytest
from pulumi import ResourceOptions

from infrafabric.bus.claim_check import object_key
from infrafabric.swarm import session

RUN = {"WriteLogs", "Trace", "ReadVariables"}  # what every function needs to run at all
INSIDE = {"SeeInterfaces", "MakeInterfaces", "KeepInterfaces"}  # and one in the VPC


def through(*services: str) -> set[str]:
    return {f"UseDataKeyThrough{service}" for service in services}


GRANTED = {
    "agents-h01": {
        "Consume",
        "Publish",
        "Hasten",
        "PutBack",
        "Refuse",
        "SignAsH01",
        "ReadApiKey",
        "Sessions",
        "ReadRegistry",
        "WriteOwnResults",
        "LeaveClaims",
        "FetchClaims",
        "CompleteCallbacks",
        "Record",
    }
    | through("Sns", "Secretsmanager", "Dynamodb", "S3")
    | RUN,
    "coordinator": {
        "Checkpoint",
        "StartChildren",
        "Refuse",
        "Publish",
        "SignAsCoordinator",
        "ReadApiKey",
        "Sessions",
        "ReadRegistry",
        "ReadResults",
        "WriteReport",
        "LeaveClaims",
        "Record",
    }
    | through("Sns", "Secretsmanager", "Dynamodb", "S3")
    | RUN,
    "api": {"StartSession", "Sessions", "ListSessions", "ReadResults", "SeeApiKey"} | through("Dynamodb", "S3") | RUN,
    "recorder": {"Consume", "Refuse", "Connect", "ReadRegistry"} | through("S3") | RUN | INSIDE,
    "migrator": {"ReadMasterSecret"} | through("Secretsmanager") | RUN | INSIDE,
}


@pytest.mark.parametrize("role", GRANTED)
def test_a_role_may_do_what_it_was_granted_and_nothing_else(primary, role):
    assert set(primary.granted(role)) == GRANTED[role]


def test_lambda_may_keep_interfaces_when_it_asks_before_there_is_one(primary):
    """It tries the role first, on no interface in particular; a policy that names interfaces fails that trial."""
    for role in ("recorder", "migrator"):
        kept = primary.granted(role)["KeepInterfaces"]
        assert "ec2:DeleteNetworkInterface" in kept["Action"]
        assert kept["Resource"] == ["arn:aws:ec2:us-east-1:123456789012:*/*"]


def test_agents_differ_only_by_whose_things_they_touch(primary):
    first, second = primary.granted("agents-h01"), primary.granted("agents-h02")
    as_first = str(second).replace("h02", "h01").replace("H02", "H01")
    assert as_first == str(first)
    assert "h02" not in str(first)


def test_an_agent_cannot_have_work_ordered_by_writing_an_order(primary):
    """The watchdog starts the coordinator with whatever order it finds, and the coordinator signs."""
    (statement,) = [s for s in primary.granted("agents-h01").values() if "dynamodb:PutItem" in s["Action"]]
    (patterns,) = statement["Condition"].pop("ForAllValues:StringNotLike").values()
    assert not statement["Condition"], "one condition, of all keys that a request names"
    assert any(fnmatchcase(session.order_key("s1"), pattern) for pattern in patterns)
    assert not any(fnmatchcase(name, pattern) for name in ("s1", "order", "-") for pattern in patterns)


def test_an_agent_signs_as_itself_alone(primary):
    for agent in ("h01", "h10"):
        signing = [s for s in primary.granted(f"agents-{agent}").values() if "kms:Sign" in s["Action"]]
        assert [s["Resource"] for s in signing] == [[f"arn:aws:kms:us-east-1:123456789012:key/keys-{agent}"]]


def test_nobody_can_write_the_key_registry(primary):
    registry = f"{primary.exports['state_bucket']}/registry/keys.json"
    for role in primary.of("iam/rolePolicy:RolePolicy"):
        for statement in primary.granted(role.removesuffix("-policy")).values():
            writes = [a for a in statement["Action"] if a.startswith("s3:") and a != "s3:GetObject"]
            hits = [r for r in statement["Resource"] if fnmatchcase(f"arn:aws:s3:::{registry}", r)]
            assert not (writes and hits), f"{role} {statement['Sid']}"


def test_the_keys_that_functions_use_are_the_ones_that_they_may_use(primary):
    """Grants name prefixes, functions compute keys: this holds the two together."""
    bucket = f"arn:aws:s3:::{primary.exports['results_bucket']}"

    def may(role: str, sid: str, key: str) -> bool:
        return any(fnmatchcase(f"{bucket}/{key}", pattern) for pattern in primary.granted(role)[sid]["Resource"])

    own = session.result_key("a-session", "h01", "t001", 1)
    report = session.report_key("a-session")
    claim = object_key("ab" * 32)
    assert may("agents-h01", "WriteOwnResults", own)
    assert not may("agents-h02", "WriteOwnResults", own)
    assert not may("agents-h01", "WriteOwnResults", report)
    assert may("coordinator", "ReadResults", own)
    assert may("coordinator", "WriteReport", report)
    assert not may("coordinator", "WriteReport", own)
    assert may("api", "ReadResults", report)
    assert may("agents-h01", "LeaveClaims", claim)
    assert may("agents-h01", "FetchClaims", claim)


def test_durable_executions_are_named_by_version_never_by_the_bare_function(primary):
    """An unqualified ARN never matches an execution's."""
    bare = "arn:aws:lambda:us-east-1:123456789012:function:"
    for role, sid in (("agents-h01", "CompleteCallbacks"), ("coordinator", "Checkpoint")):
        (resource,) = primary.granted(role)[sid]["Resource"]
        assert resource.startswith(bare)
        assert resource.endswith("-coordinator:*"), sid


def test_the_data_key_serves_only_through_the_services_that_hold_the_data(primary):
    for role in GRANTED:
        for sid, statement in primary.granted(role).items():
            uses = [action for action in statement["Action"] if action.startswith("kms:")]
            if uses and sid.startswith("UseDataKey"):
                assert "kms:ViaService" in statement["Condition"]["StringEquals"]


def test_bedrock_asks_one_model_through_its_profile_and_needs_no_key(bare):
    agent = bare.granted("agents-h01")
    through_profile = "arn:aws:bedrock:eu-central-1:123456789012:inference-profile/eu.anthropic.claude-haiku-5-5"
    assert agent["AskModel"]["Resource"] == [through_profile]
    assert agent["AskModelThroughProfile"]["Resource"] == [
        "arn:aws:bedrock:*::foundation-model/anthropic.claude-haiku-5-5"
    ]
    assert agent["AskModelThroughProfile"]["Condition"] == {
        "StringEquals": {"bedrock:InferenceProfileArn": through_profile}
    }
    assert bare.granted("coordinator")["AskModel"]["Resource"] == [
        "arn:aws:bedrock:eu-central-1::foundation-model/anthropic.sonnet-x"
    ]
    assert "ReadApiKey" not in agent
    assert not bare.of("secretsmanager/secret:Secret").keys() & {"model-api-key"}


@pytest.fixture
def role(stand_up):
    """A role of its own, and a way to let a test grant to it while a program runs."""
    from infra.iam.grants import Role

    def run(grant):
        def program():
            grant(Role("some", {"Name": "some"}, ResourceOptions(), service="lambda.amazonaws.com"))

        return stand_up(program)

    return run


def test_granting_again_adds_resources_to_the_statement_once(role):
    def grant(some):
        for resource in ("arn:a", "arn:b"):
            some.allow("Read", "s3:GetObject", on=resource)
        some.allow("Read", "s3:GetObject", on=["arn:b", "arn:c"])
        some.write_policy()

    (statement,) = role(grant).granted("some").values()
    assert statement["Resource"] == ["arn:a", "arn:b", "arn:c"]


def test_a_grant_after_the_policy_was_written_is_an_error_and_not_lost(role):
    def grant(some):
        some.write_policy()
        some.allow("Read", "s3:GetObject", on="arn:a")

    with pytest.raises(RuntimeError, match="grant it earlier"):
        role(grant)


def test_one_name_cannot_mean_two_things(role):
    def grant(some):
        some.allow("Read", "s3:GetObject", on="arn:a")
        some.allow("Read", "s3:PutObject", on="arn:a")

    with pytest.raises(ValueError, match="Read means"):
        role(grant)
