"""Rights of functions with their own credentials, beyond what a session needs."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from infrafabric.aws_adapters.objects import S3Objects
from infrafabric.bus.claim_check import object_key
from infrafabric.swarm.object_keys import report_key, result_key
from infrafabric.swarm.session_key import SessionKey
from local.platform import ACCOUNT, REGION
from tests.e2e.conftest import Stage
from tests.e2e.roles import client_as


def function_arn(agent: str) -> str:
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:infrafabric-dev-{agent}"


@pytest.fixture
def kms_of_h01(stage: Stage) -> Any:
    """KMS client with the credentials of the agent h01's role."""
    return client_as(stage, "h01", "kms")


@pytest.mark.parametrize(
    ("of", "allowed"),
    [
        (function_arn("h01"), True),
        (f"{function_arn('h01')}:7", True),
        (function_arn("h02"), False),
        (function_arn("coordinator"), False),
        (f"{function_arn('h01')}0", False),
        (None, False),
    ],
    ids=["its own", "a published version's", "another agent's", "the coordinator's", "a longer name's", "no variables"],
)
def test_an_agent_decrypts_the_variables_of_its_own_function_alone(
    stage: Stage, kms_of_h01: Any, of: str | None, allowed: bool
) -> None:
    """Lambda encrypts the variables with the function's ARN as encryption context."""
    context = {"aws:lambda:FunctionArn": of} if of else {}
    encrypted = stage.platform.client("kms").encrypt(
        KeyId="alias/infrafabric-dev-data", Plaintext=b"{}", EncryptionContext=context
    )
    # With the key: the emulator does not find a multi-Region key by its ciphertext.
    request = {
        "KeyId": encrypted["KeyId"],
        "CiphertextBlob": encrypted["CiphertextBlob"],
        "EncryptionContext": context,
    }
    if allowed:
        assert kms_of_h01.decrypt(**request)["Plaintext"] == b"{}"
        return
    with pytest.raises(ClientError, match="AccessDeniedException"):
        kms_of_h01.decrypt(**request)


def objects_of(stage: Stage, function: str) -> S3Objects:
    """Return the results bucket as the function reads it: with the credentials of its role."""
    return S3Objects(client_as(stage, function, "s3"), stage.outputs["results_bucket"])


KEY = SessionKey("nobody.0123456789", REGION, 1)
MISSING = "0" * 64
# The role, a place that it may read, and a place that it may not.
PLACES = {
    "an agent and its results": ("h01", result_key(KEY, "h01", "t0001", 0), result_key(KEY, "h02", "t0001", 0)),
    "an agent and a large content": ("h01", object_key(MISSING), report_key(KEY)),
    "the coordinator": ("coordinator", result_key(KEY, "h01", "t0001", 0), object_key(MISSING)),
    "the api": ("api", report_key(KEY), object_key(MISSING)),
}


@pytest.mark.parametrize("which", PLACES)
def test_a_function_tells_a_missing_object_from_a_denied_one(stage: Stage, which: str) -> None:
    function, own, other = PLACES[which]
    objects = objects_of(stage, function)
    assert objects.find(own) is None
    with pytest.raises(ClientError, match="AccessDenied"):
        objects.find(other)


@pytest.mark.parametrize("which", PLACES)
def test_a_function_may_look_for_an_object_that_it_may_read(stage: Stage, which: str) -> None:
    """S3 says to those alone that an object is missing. The emulator says so to all: hence a test of the right."""
    function, own, other = PLACES[which]
    objects = objects_of(stage, function)
    assert "Contents" not in objects.s3.list_objects_v2(Bucket=objects.bucket, Prefix=own)
    with pytest.raises(ClientError, match="AccessDenied"):
        objects.s3.list_objects_v2(Bucket=objects.bucket, Prefix=other)


@pytest.mark.parametrize(
    "prefix",
    ["", "sessions/", "claim-check/", "claim-check/00/", object_key(MISSING)[:-6], result_key(KEY, "h0", "", 0)],
)
def test_an_agent_lists_no_keys_that_it_does_not_know(stage: Stage, prefix: str) -> None:
    """The digest of a large content is what protects it: an agent that could list digests could read all contents."""
    objects = objects_of(stage, "h01")
    with pytest.raises(ClientError, match="AccessDenied"):
        objects.s3.list_objects_v2(Bucket=objects.bucket, Prefix=prefix)
