"""Rights of functions with their own credentials, beyond what a session needs."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

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
