"""AWS adapters against botocore's own stubs, so requests and errors are the real client's."""

from __future__ import annotations

import io
import json
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.response import StreamingBody
from botocore.stub import Stubber

from infrafabric.aws_adapters.callbacks import DurableCallbacks
from infrafabric.aws_adapters.executions import CoordinatorExecutions, execution_name
from infrafabric.aws_adapters.key_registry import KeyRegistry
from infrafabric.aws_adapters.objects import S3Objects
from infrafabric.aws_adapters.queues import SqsDeadLetters, copy_id_of
from infrafabric.bus.claim_check import object_key
from infrafabric.bus.refusal import Refused
from infrafabric.bus.registry import RegistryUnavailableError, TrustedKey
from infrafabric.bus.uris import COORDINATOR
from infrafabric.concurrency import run_concurrently_on
from infrafabric.swarm.leases import CopyId
from infrafabric.swarm.limits import MAX_RESULT_BYTES
from infrafabric.swarm.session_key import SessionKey
from infrafabric.swarm.shapes.coordinator_event import CoordinatorEvent, ExecutionMode
from tests.unit.swarm.orders import an_order

KEY = "ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
NEW_KEY = "ed25519:PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw="  # of RFC 8032's examples, both


def stubbed(service: str) -> tuple[Any, Stubber]:
    client = boto3.client(service, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    stubber = Stubber(client)
    stubber.activate()
    return client, stubber


def body(text: bytes) -> dict[str, Any]:
    return {"Body": StreamingBody(io.BytesIO(text), len(text))}


def test_a_revoked_or_changed_key_is_believed_for_a_minute_at_most_and_no_message_makes_it_read_sooner() -> None:
    s3, answers = stubbed("s3")
    now = [0.0]
    registry = KeyRegistry(s3, "s3://state/keys.json", clock=lambda: now[0])
    answers.add_response("get_object", body(f'{{"{COORDINATOR}": "{KEY}", "if://agent/h01": "{KEY}"}}'.encode()))
    assert registry().keys_of("if://agent/h01")
    now[0] = 59
    assert registry().keys_of("if://agent/h11") == (), "a flood of unknown senders reads nothing"
    answers.add_response("get_object", body(f'{{"{COORDINATOR}": "{NEW_KEY}"}}'.encode()))
    now[0] = 61
    assert registry().keys_of("if://agent/h01") == ()
    assert registry().keys_of(COORDINATOR) == (TrustedKey(NEW_KEY),)
    answers.assert_no_pending_responses()


def test_a_registry_that_cannot_be_read_again_is_not_believed_any_longer() -> None:
    s3, answers = stubbed("s3")
    now = [0.0]
    registry = KeyRegistry(s3, "s3://state/keys.json", clock=lambda: now[0])
    answers.add_response("get_object", body(f'{{"{COORDINATOR}": "{KEY}"}}'.encode()))
    registry()
    answers.add_client_error("get_object", "SlowDown", http_status_code=503)
    now[0] = 61
    with pytest.raises(RegistryUnavailableError, match=r"s3://state/keys.json cannot be read: .*SlowDown"):
        registry()


def test_a_registry_that_is_no_registry_is_unavailable_and_names_the_entry() -> None:
    s3, answers = stubbed("s3")
    answers.add_response("get_object", body(b'{"h01": "x"}'))
    with pytest.raises(RegistryUnavailableError, match="cannot be read: registry entry 'h01': a principal is"):
        KeyRegistry(s3, "s3://state/keys.json")()


def test_the_messages_of_a_batch_share_one_failed_read_and_a_later_message_reads_again() -> None:
    """A failed read takes a minute and more: ten in sequence would outlast the invocation."""
    s3, answers = stubbed("s3")
    now = [0.0]
    registry = KeyRegistry(s3, "s3://state/keys.json", clock=lambda: now[0])
    answers.add_client_error("get_object", "SlowDown", http_status_code=503)
    for _ in range(10):
        with pytest.raises(RegistryUnavailableError, match="SlowDown"):
            registry()
    answers.add_response("get_object", body(f'{{"{COORDINATOR}": "{KEY}"}}'.encode()))
    now[0] = 6
    assert registry().keys_of(COORDINATOR) == (TrustedKey(KEY),)
    answers.assert_no_pending_responses()


def test_an_object_that_is_not_there_is_none_and_any_other_trouble_is_raised() -> None:
    s3, answers = stubbed("s3")
    answers.add_client_error("get_object", "NoSuchKey", http_status_code=404)
    assert S3Objects(s3, "results").find("k") is None
    answers.add_client_error("get_object", "SlowDown", http_status_code=503)
    with pytest.raises(ClientError, match="SlowDown"):
        S3Objects(s3, "results").find("k")


def test_many_objects_are_read_side_by_side_and_come_in_order() -> None:
    at_once = threading.Barrier(2, timeout=10)  # nobody gets past it alone

    class S3:
        def get_object(self, **request: Any) -> dict[str, Any]:
            at_once.wait()
            return body(request["Key"].encode())

    assert S3Objects(S3(), "results").find_all(["a", "b", "c", "d"]) == [b"a", b"b", b"c", b"d"]


def test_no_more_is_read_of_a_result_than_a_result_may_hold() -> None:
    s3, answers = stubbed("s3")
    answers.add_response("get_object", body(b"x" * (MAX_RESULT_BYTES + 5)))
    (found,) = S3Objects(s3, "results").find_all(["a"])
    assert found == b"x" * (MAX_RESULT_BYTES + 1), "a larger result is told from one of just this size"


def test_an_object_is_written_once_and_a_second_writer_is_told() -> None:
    s3, answers = stubbed("s3")
    request = {"Bucket": "results", "Key": "k", "Body": b"{}", "ContentType": "application/json", "IfNoneMatch": "*"}
    answers.add_response("put_object", {}, request)
    answers.add_client_error("put_object", "PreconditionFailed", http_status_code=412)
    answers.add_client_error("put_object", "SlowDown", http_status_code=503)
    objects = S3Objects(s3, "results")
    assert [objects.put_new("k", b"{}") for _ in range(2)] == [True, False]
    with pytest.raises(ClientError, match="SlowDown"):
        objects.put_new("k", b"{}")


def find_result(objects: S3Objects) -> bytes | None:
    return objects.find(object_key("0" * 64))


def resolve_content(objects: S3Objects) -> dict[str, Any]:
    digest = "0" * 64
    uri = f"s3://results/{object_key(digest)}"
    return objects.resolve({"s3_uri": uri, "sha256": digest, "size_bytes": 10})


def denied_then(keys: list[str] | None) -> tuple[S3Objects, Stubber]:
    """Return objects of which one is denied, and then found by a list of ``keys``; None: the list is denied, too."""
    s3, answers = stubbed("s3")
    answers.add_client_error("get_object", "AccessDenied", http_status_code=403)
    if keys is None:
        answers.add_client_error("list_objects_v2", "AccessDenied", http_status_code=403)
    else:
        request = {"Bucket": "results", "Prefix": object_key("0" * 64), "MaxKeys": 1}
        answers.add_response("list_objects_v2", {"Contents": [{"Key": key} for key in keys]} if keys else {}, request)
    return S3Objects(s3, "results"), answers


def test_content_that_is_gone_is_refused_since_no_other_delivery_would_find_it() -> None:
    s3, answers = stubbed("s3")
    answers.add_client_error("get_object", "NoSuchKey", http_status_code=404)
    with pytest.raises(Refused, match="bad-reference: no object at"):
        resolve_content(S3Objects(s3, "results"))


@pytest.mark.parametrize("keys", [[], [f"{object_key('0' * 64)}.old"]], ids=["no key", "a longer key"])
def test_a_denied_object_that_no_list_has_is_missing(keys: list[str]) -> None:
    """S3 denies a missing object to whoever may not list the bucket."""
    objects, answers = denied_then(keys)
    assert find_result(objects) is None
    answers.assert_no_pending_responses()
    objects, answers = denied_then(keys)
    with pytest.raises(Refused, match="bad-reference: no object at"):
        resolve_content(objects)
    answers.assert_no_pending_responses()


@pytest.mark.parametrize("keys", [[object_key("0" * 64)], None], ids=["it is listed", "the list is denied"])
@pytest.mark.parametrize("read", [find_result, resolve_content])
def test_a_denied_object_that_may_exist_is_an_error_and_not_missing(
    read: Callable[[S3Objects], Any], keys: list[str] | None
) -> None:
    objects, answers = denied_then(keys)
    with pytest.raises(ClientError, match="AccessDenied"):
        read(objects)
    answers.assert_no_pending_responses()


def test_a_callback_that_is_closed_is_no_error_and_any_other_trouble_is_raised() -> None:
    client, answers = stubbed("lambda")
    closed: list[str] = []
    callbacks = DurableCallbacks(client, closed.append)
    operation = "send_durable_execution_callback_success"
    answers.add_client_error(operation, "CallbackTimeoutException")
    callbacks.succeed("Y2I=", "signed")
    answers.add_client_error(operation, "ServiceException", http_status_code=500)
    with pytest.raises(ClientError, match="ServiceException"):
        callbacks.succeed("Y2I=", "signed")
    assert closed == ["CallbackTimeoutException"]


def test_an_answer_completes_its_callback_with_the_signed_message_itself() -> None:
    client, answers = stubbed("lambda")
    expected = {"CallbackId": "Y2I=", "Result": '{"a": "é"}'.encode()}
    answers.add_response("send_durable_execution_callback_success", {}, expected)
    DurableCallbacks(client, lambda _: None).succeed("Y2I=", '{"a": "é"}')
    answers.assert_no_pending_responses()


def test_all_parts_of_a_cancelled_session_are_woken_also_if_one_has_ended_meanwhile() -> None:
    client, answers = stubbed("lambda")
    operation = "send_durable_execution_callback_success"
    answers.add_client_error(operation, "ResourceNotFoundException", http_status_code=404)
    answers.add_response(operation, {}, {"CallbackId": "Mg==", "Result": b"cancelled"})
    CoordinatorExecutions(client, "arn:c").wake(["MQ==", "Mg=="])
    answers.assert_no_pending_responses()


@pytest.mark.parametrize(
    ("status", "over"),
    [
        ("RUNNING", False),
        ("PAUSING", False),
        ("PAUSED", False),
        ("FAILED", True),
        ("SUCCEEDED", True),
        ("STOPPED", True),
        ("TIMED_OUT", True),
    ],
)
def test_an_execution_is_over_when_it_goes_on_no_more(status: str, over: bool) -> None:
    client, answers = stubbed("lambda")
    arn = "arn:aws:lambda:us-east-1:123456789012:function:c:1/durable-execution/s/9"
    ran = {"DurableExecutionArn": arn, "DurableExecutionName": "s", "FunctionArn": "arn:f", "StartTimestamp": 1}
    answers.add_response("get_durable_execution", {**ran, "Status": status}, {"DurableExecutionArn": arn})
    assert CoordinatorExecutions(client, "arn:c").has_ended(arn) is over


def test_an_execution_that_is_forgotten_is_over() -> None:
    client, answers = stubbed("lambda")
    answers.add_client_error("get_durable_execution", "ResourceNotFoundException", http_status_code=404)
    arn = "arn:aws:lambda:us-east-1:123456789012:function:c:1/durable-execution/s/9"
    assert CoordinatorExecutions(client, "arn:c").has_ended(arn)


STARTS = {
    ExecutionMode.START: CoordinatorExecutions.start,
    ExecutionMode.RESUME: CoordinatorExecutions.resume,
    ExecutionMode.WRAP_UP: CoordinatorExecutions.wrap_up,
}


@pytest.mark.parametrize("mode", STARTS)
def test_an_execution_is_started_under_its_name_and_told_what_it_is_for(mode: ExecutionMode) -> None:
    client, answers = stubbed("lambda")
    order = an_order(session_id="s" * 64 + ".0123456789")
    expected = {
        "FunctionName": "arn:c",
        "InvocationType": "Event",
        "DurableExecutionName": execution_name("arn:c", order.key, mode),
        "Payload": json.dumps(CoordinatorEvent(order=order, mode=mode).as_event()).encode(),
    }
    answers.add_response("invoke", {"StatusCode": 202, "DurableExecutionArn": "arn:e"}, expected)
    assert STARTS[mode](CoordinatorExecutions(client, "arn:c"), order) == "arn:e"


def test_no_two_sessions_regions_epochs_stacks_or_purposes_share_the_name_of_an_execution() -> None:
    sessions = ("a", "a" * 64, "a" * 63 + "b", "a-again", f"{'a' * 64}.0123456789", "a.0123456789", "a.1123456789")
    keys = {
        SessionKey(name, home, epoch) for name in sessions for home in ("us-east-1", "us-west-2") for epoch in (1, 2)
    }
    names = {
        execution_name(arn, key, mode)
        for arn in ("arn:aws:lambda:us-east-1:1:function:infrafabric-dev-coordinator:live", "arn:prod")
        for key in keys
        for mode in STARTS
    }
    assert len(names) == 2 * 4 * len(sessions) * len(STARTS)
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name) for name in names)


def test_a_heartbeat_that_is_lost_stops_no_work() -> None:
    client, answers = stubbed("lambda")
    lost: list[str] = []
    answers.add_client_error(
        "send_durable_execution_callback_heartbeat", "TooManyRequestsException", http_status_code=429
    )
    DurableCallbacks(client, lost.append).send_heartbeat("Y2I=")
    assert len(lost) == 1


@pytest.mark.parametrize("at", [0, 1, 2])
def test_what_is_done_side_by_side_is_done_to_the_end_before_an_error_is_raised(at: int) -> None:
    did: list[int] = []

    def job(number: int) -> Callable[[], None]:
        def run() -> None:
            did.append(number)
            if number == at:
                raise ValueError(str(number))

        return run

    with ThreadPoolExecutor(2) as pool, pytest.raises(ValueError, match=str(at)):
        run_concurrently_on(pool)(job(0), job(1), job(2))
    assert sorted(did) == [0, 1, 2]


def test_a_dead_letter_of_a_fifo_queue_hides_no_other_and_is_taken_for_none() -> None:
    sent: list[dict[str, Any]] = []

    class Sqs:
        def send_message(self, **request: Any) -> None:
            sent.append(request)

    for url in ("https://sqs/dlq", "https://sqs/dlq.fifo", "https://sqs/dlq.fifo"):
        SqsDeadLetters(Sqs(), url).dead_letter("body", "stale", "")
    assert "MessageGroupId" not in sent[0]
    assert sent[1]["MessageGroupId"] != sent[2]["MessageGroupId"], "one that is looked at hides its whole group"
    assert sent[1]["MessageDeduplicationId"] != sent[2]["MessageDeduplicationId"], "refused again it would be dropped"
    assert sent[0]["MessageAttributes"]["detail"]["StringValue"] == "-", "SQS takes no empty attribute"


def test_a_copy_knows_its_origin_its_number_and_when_it_entered_the_queue() -> None:
    first = {"messageId": "m1", "attributes": {"SentTimestamp": "1800000000000"}, "messageAttributes": {}}
    assert copy_id_of(first) == CopyId("m1", origin="m1", put_backs=0, queued_ms=1_800_000_000_000)
    attributes = {"throttles": {"stringValue": "2"}, "origin": {"stringValue": "m1"}, "receiver": {"stringValue": "x"}}
    copy = {"messageId": "m3", "attributes": {}, "messageAttributes": attributes}
    assert copy_id_of(copy) == CopyId("m3", origin="m1", put_backs=2)
