"""The runbook of docs/runbooks/rotate-keys.md with the real engine: keys are rotated while a session runs."""

from __future__ import annotations

import hashlib
import time
from typing import Any

import psycopg
import pytest

from infrafabric.aws_adapters.current_signer import CurrentSigner, SigningKey, signing_keys
from infrafabric.aws_adapters.key_registry import KeyRegistry
from infrafabric.bus.envelope import Citation, compose, sign
from infrafabric.bus.refusal import Reason, Refused
from infrafabric.bus.signing import KmsSigner
from infrafabric.bus.structure import Performative
from infrafabric.bus.uris import COORDINATOR, new_message_id
from infrafabric.bus.verify import verify
from infrafabric.environment import SigningEnvironment
from local import stack
from tests.e2e.conftest import Stage, own, until
from tests.engine.workspace import NO_CLI, Workspace

pytestmark = NO_CLI
SETTINGS = {
    "fleet__size": 2,
    "fleet__heartbeatS": 1,
    "fleet__heartbeatTimeoutS": 10,
    # Not needed, and each update would look at them.
    "observability": None,
    "guardrails": None,
}
ROTATED = {"keys__generations": {"coordinator": 2, "h01": 2}}
# The runbook waits for a day here. The memory changes in its place: it gives agents, as readers, new environments.
RETIRED = {**ROTATED, "keys__retired": {"coordinator": 1, "h01": 1}, "fleet__memoryMb": 640}
TASKS = [f"task {number}" for number in range(6)]


def updated(workspace: Workspace, **settings: Any) -> dict[str, Any]:
    """Run ``pulumi up`` with the settings. Returns the outputs."""
    result = workspace.stack("dev", **SETTINGS, **settings).up(parallel=8)
    return {name: output.value for name, output in result.outputs.items()}


@pytest.fixture
def stage(workspace: Workspace) -> Stage:
    """Return dev with two agents, deployed by the engine, with warm functions."""
    outputs, platform = updated(workspace), workspace.platform
    deployed = stack.DeployedStack(stack="dev", region="us-east-1", outputs=outputs)
    stack.start_runner(platform, deployed)
    stack.warm_up(platform, deployed)
    return Stage(platform, outputs)


def history(stage: Stage, session_id: str) -> tuple[int, int]:
    """Return the number of rows of a session and of its tasks."""
    assert stage.platform.database_url
    query = "SELECT (SELECT count(*) FROM sessions WHERE session_id = %(id)s), count(*) FROM task_results"
    with psycopg.connect(stage.platform.database_url) as connection:
        row = connection.execute(f"{query} WHERE session_id = %(id)s", {"id": own(session_id)}).fetchone()
        assert row
        return row[0], row[1]


def dead_lettered(stage: Stage) -> dict[str, int]:
    """Return the number of messages in each dead-letter queue that has any."""
    sqs = stage.platform.client("sqs")
    count = "ApproximateNumberOfMessages"
    counts = {
        url.rpartition("/")[2]: int(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[count])["Attributes"][count])
        for url in sqs.list_queues()["QueueUrls"]
        if "-dlq" in url
    }
    return {name: number for name, number in counts.items() if number}


def complete(stage: Stage, session_id: str) -> None:
    """Wait until the session is COMPLETE and recorded, with nothing in a dead-letter queue."""
    session = stage.ended(session_id)
    assert session["status"] == "COMPLETE", session
    until(lambda: history(stage, session_id) == (1, len(TASKS)), f"the history of {session_id}")
    assert dead_lettered(stage) == {}


def signing_environment(stage: Stage, function: str) -> SigningEnvironment:
    """Return the variables of the function's live version."""
    found = stage.platform.client("lambda").get_function_configuration(FunctionName=function, Qualifier="live")
    variables = found["Environment"]["Variables"]
    names = {name.upper() for name in SigningEnvironment.model_fields}
    return SigningEnvironment.read({name: value for name, value in variables.items() if name in names})


def signed(kms: Any, key: SigningKey) -> bytes:
    """Return a request of the coordinator to h01 that ``key`` signed."""
    now_ms = time.time_ns() // 1_000_000
    draft = compose(
        performative=Performative.REQUEST,
        sender=COORDINATOR,
        receiver="if://agent/h01",
        conversation_id="if://conversation/by-hand",
        message_id=new_message_id(),
        timestamp=now_ms,
        content={},
        citation=Citation("if://test/rotation", f"sha256:{hashlib.sha256(b'').hexdigest()}"),
        reply_by=now_ms + 600_000,
    )
    return sign(draft, KmsSigner(kms, key_id=key.arn, principal=COORDINATOR, public_key=key.public_key))


def reason_of(body: bytes, registry: KeyRegistry) -> Reason | None:
    try:
        verify(body, registry=registry(), now_ms=time.time_ns() // 1_000_000)
    except Refused as refused:
        return refused.reason
    return None


def test_keys_are_rotated_while_a_session_runs_and_the_retired_key_is_refused(
    workspace: Workspace, stage: Stage
) -> None:
    platform, clock = stage.platform, [0.0]
    reader = KeyRegistry(platform.client("s3"), stage.outputs["registry_uri"], clock=lambda: clock[0])
    kms = platform.client("kms")

    before = signing_environment(stage, "infrafabric-dev-coordinator")
    stage.model("POST", "/_fabric/rules", {"match": r"Session: rotating\b", "do": "throttle", "retry_after_s": 1})
    session_id = stage.start(session_id="rotating", tasks=TASKS, agents=2)
    until(lambda: stage.model("GET", "/_fabric/rules")[0]["fitted"], "the first call of the session")

    updated(workspace, **ROTATED)

    during = signing_environment(stage, "infrafabric-dev-coordinator")
    assert during.previous_signing_key_arn == before.signing_key_arn
    stage.model("DELETE", "/_fabric/rules")
    complete(stage, session_id)
    clock[0] = 61.0
    by_new_key, by_old_key = (signed(kms, key) for key in signing_keys(during))
    assert [reason_of(body, reader) for body in (by_new_key, by_old_key)] == [None, None], "KMS has the keys as stated"
    assert CurrentSigner(kms, principal=COORDINATOR, keys=signing_keys(during), registry=reader)().public_key == (
        before.signing_public_key
    ), "a reader may still have the registry of before"

    updated(workspace, **RETIRED)

    assert reason_of(by_old_key, reader) is None, "a copy of the registry may be 60 seconds old"
    clock[0] += 61.0
    assert reason_of(by_old_key, reader) is Reason.KEY_MISMATCH
    key = kms.describe_key(KeyId=before.signing_key_arn)["KeyMetadata"]
    assert key["KeyState"] == "PendingDeletion"
    complete(stage, stage.start(session_id="afterwards", tasks=TASKS, agents=2))
    platform.client("sns").publish(
        TopicArn=stage.outputs["bus_topic_arn"],
        Message=by_old_key.decode(),
        MessageAttributes={
            name: {"DataType": "String", "StringValue": value}
            for name, value in (("receiver", "if://agent/h01"), ("performative", "request"))
        },
    )
    (refused,) = until(lambda: stage.letters("h01"), "the dead-lettered message")
    assert refused["MessageAttributes"]["reason"]["StringValue"] == "key-mismatch"
