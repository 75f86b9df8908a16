"""What happens to messages that an agent must not trust, or has worked before: on the real topic and queues."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from infrafabric.bus.envelope import Citation, compose, sign
from infrafabric.bus.pem import PemSigner
from infrafabric.bus.signing import KmsSigner, Signer
from infrafabric.bus.structure import Performative
from infrafabric.bus.uris import COORDINATOR, new_message_id
from infrafabric.cli.main import main
from infrafabric.swarm.object_keys import result_key
from infrafabric.swarm.session_key import SessionKey
from tests.e2e.conftest import Stage, until

AGENT = "h09"  # no other test of this tier gives it a single task
OURS = r"Session: by-hand\b"  # in what a model is asked


@pytest.fixture(scope="module")
def coordinator(stage: Stage) -> Signer:
    """Signs as the coordinator: the account's root may use its key, as no function's role may."""
    (trusted,) = stage.registry().keys_of(COORDINATOR)
    kms = stage.platform.client("kms")
    alias = next(a for a in kms.list_aliases()["Aliases"] if a["AliasName"].endswith("coordinator"))
    return KmsSigner(kms, key_id=alias["TargetKeyId"], principal=COORDINATOR, public_key=trusted.text)


@pytest.fixture(scope="module")
def session(stage: Stage) -> str:
    """Name of a session, for messages to belong to."""
    return "by-hand"


def request(session_id: str, **changes: Any) -> dict[str, Any]:
    now = time.time_ns() // 1_000_000
    key, task = SessionKey(session_id, "us-east-1"), f"t{uuid.uuid4().int % 9000 + 1000}"
    content = {
        **key._asdict(),
        "task_id": task,
        "attempt": 0,
        "text": "by hand",
        "goal": "",
        "callback_id": "bm9uZQ==",
        "allowance_nusd": 10**8,
        "place": result_key(key, AGENT, task, 0),
    }
    given: dict[str, Any] = {
        "performative": Performative.REQUEST,
        "sender": COORDINATOR,
        "receiver": f"if://agent/{AGENT}",
        "conversation_id": f"if://conversation/{session_id}",
        "message_id": new_message_id(),
        "timestamp": now,
        "content": content,
        "citation": Citation("if://test/bus", f"sha256:{hashlib.sha256(b'').hexdigest()}"),
        "reply_by": now + 300_000,
    }
    return compose(**{**given, **changes})


def publish(stage: Stage, body: bytes) -> None:
    attributes = {
        name: {"DataType": "String", "StringValue": value}
        for name, value in (("receiver", f"if://agent/{AGENT}"), ("performative", "request"))
    }
    stage.platform.client("sns").publish(
        TopicArn=stage.outputs["bus_topic_arn"], Message=body.decode(), MessageAttributes=attributes
    )


def refused(stage: Stage) -> tuple[str, str]:
    """Reason and body of the one dead letter."""
    (letter,) = until(lambda: stage.letters(AGENT), "a dead letter")
    return letter["MessageAttributes"]["reason"]["StringValue"], letter["Body"]


def test_a_forged_message_is_refused(stage: Stage, session: str) -> None:
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    body = sign(request(session), PemSigner(pem, principal=COORDINATOR))
    publish(stage, body)
    assert refused(stage) == ("key-mismatch", body.decode()), "a key that a message brings along proves nothing"


def test_a_tampered_message_is_refused(stage: Stage, session: str, coordinator: Signer) -> None:
    message = json.loads(sign(request(session), coordinator))
    message["content"]["text"] = "by another hand"
    publish(stage, json.dumps(message).encode())
    assert refused(stage)[0] == "tampered"


def test_a_stale_message_is_refused(stage: Stage, session: str, coordinator: Signer) -> None:
    now = time.time_ns() // 1_000_000
    publish(stage, sign(request(session, timestamp=now - 400_000, reply_by=now - 1), coordinator))
    assert refused(stage)[0] == "stale"


def test_a_message_for_another_agent_is_refused(stage: Stage, session: str, coordinator: Signer) -> None:
    publish(stage, sign(request(session, receiver="if://agent/h10"), coordinator))
    assert refused(stage)[0] == "wrong-receiver"


def test_a_replayed_message_is_refused_and_asks_no_model(stage: Stage, session: str, coordinator: Signer) -> None:
    signed_ms = time.time_ns() // 1_000_000 - 180_000  # what comes soon after may be published twice by the SDK
    draft = request(session, timestamp=signed_ms)
    body = sign(draft, coordinator)
    publish(stage, body)
    until(lambda: _stored(stage, draft), "the first one's result")
    calls = stage.counting(OURS)
    publish(stage, body)
    assert refused(stage) == ("replayed", body.decode())
    assert calls() == 0


def test_a_message_that_is_published_twice_at_once_is_dropped_and_asks_no_model(
    stage: Stage, session: str, coordinator: Signer
) -> None:
    draft, queue = request(session), stage.outputs["agents"][AGENT]["queue_url"]
    body, calls = sign(draft, coordinator), stage.counting(OURS)
    publish(stage, body)
    publish(stage, body)
    until(lambda: _stored(stage, draft) and not _in_queue(stage, queue), "both to be handled")
    assert (calls(), stage.letters(AGENT)) == (1, [])


def test_a_repeated_delivery_is_one_model_call_and_one_result(stage: Stage, session: str, coordinator: Signer) -> None:
    """The same SQS message twice, as SQS may deliver it: the event source's own event, sent twice."""
    draft = request(session)
    record = {
        "messageId": str(uuid.uuid4()),
        "receiptHandle": "none",
        "body": sign(draft, coordinator).decode(),
        "attributes": {},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:inbox",
        "awsRegion": "us-east-1",
    }
    calls = stage.counting(OURS)
    for _ in range(2):
        answer = stage.platform.client("lambda").invoke(
            FunctionName=f"{stage.outputs['agents'][AGENT]['function_name']}:live",
            Payload=json.dumps({"Records": [record]}).encode(),
        )
        assert json.loads(answer["Payload"].read()) == {"batchItemFailures": []}
    assert calls() == 1
    assert _stored(stage, draft)
    assert stage.letters(AGENT) == []


def test_a_record_that_nobody_signed_reaches_no_table(stage: Stage) -> None:
    sqs, url = stage.platform.client("sqs"), stage.outputs["record_queue_url"]
    sqs.send_message(QueueUrl=url, MessageBody='{"forged": true}', MessageGroupId="x", MessageDeduplicationId="x")
    dlq = until(
        lambda: next((u for u in sqs.list_queues()["QueueUrls"] if "results" in u and "dlq" in u), None), "the queue"
    )
    (letter,) = until(
        lambda: sqs.receive_message(QueueUrl=dlq, MessageAttributeNames=["All"]).get("Messages"), "the letter"
    )
    assert letter["MessageAttributes"]["reason"]["StringValue"] == "bad-content"


def _stored(stage: Stage, draft: dict[str, Any]) -> bool:
    """Tell whether a request's result lies in its place."""
    bucket, place = stage.outputs["results_bucket"], draft["content"]["place"]
    return stage.platform.client("s3").list_objects_v2(Bucket=bucket, Prefix=place)["KeyCount"] == 1


def test_redrive_moves_each_letter_once_although_it_is_refused_again(
    stage: Stage, session: str, coordinator: Signer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (("ACCESS_KEY_ID", "test"), ("SECRET_ACCESS_KEY", "test"), ("DEFAULT_REGION", "us-east-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", stage.platform.endpoint_url)
    urls = stage.outputs["agents"][AGENT]
    publish(stage, sign(request(session, receiver="if://agent/h10"), coordinator))
    until(lambda: _in_queue(stage, urls["dlq_url"]), "the letter")
    words = ["session", "redrive", "--dlq-url", urls["dlq_url"], "--queue-url", urls["queue_url"], "--json"]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["moved"] == 1
    assert refused(stage)[0] == "wrong-receiver"


def _in_queue(stage: Stage, url: str) -> int:
    """Messages that wait, and those that a function has received and not deleted."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = stage.platform.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)
    return sum(map(int, found["Attributes"].values()))
