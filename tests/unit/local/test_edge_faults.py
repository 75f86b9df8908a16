"""Faults at the emulator's edge: rules, protocol of the errors, and second deliveries of a queue."""

from __future__ import annotations

import re
import time
from typing import Any

import botocore.parsers
import botocore.session
import pytest

from local.emulator.edge_faults import DELIVERY_KINDS, EdgeFaults, deliver_with_faults, error_response

CALL = "infrafabric-dev-h01 s3:PUT"
OPERATIONS = {
    "dynamodb": "UpdateItem",
    "kms": "Sign",
    "lambda": "CheckpointDurableExecution",
    "s3": "PutObject",
    "sns": "PublishBatch",
    "sqs": "SendMessageBatch",
}
URL = "http://queue/000000000000/q"


def test_a_rule_leaves_the_first_calls_alone_and_strikes_a_number_of_calls() -> None:
    faults = EdgeFaults()
    faults.add({"match": "h01 s3:PUT$", "do": "throttle", "skip": 1, "times": 2})
    assert [faults.due(CALL) is not None for _ in range(4)] == [False, True, True, False]
    assert faults.rules() == [{"match": "h01 s3:PUT$", "do": "throttle", "matched": 4, "struck": 2}]


def test_a_rule_of_another_call_strikes_nothing() -> None:
    faults = EdgeFaults()
    faults.add([{"match": "h02", "do": "error"}, {"match": "sqs:Deliver", "do": "deliver-twice"}])
    assert faults.due(CALL) is None
    assert faults.due("q sqs:Deliver") is None, "a delivery is no call"
    assert faults.due("q sqs:Deliver", DELIVERY_KINDS) is not None


def test_an_error_after_an_action_counts_once_the_action_has_succeeded() -> None:
    faults = EdgeFaults()
    faults.add({"match": "", "do": "error-after"})
    rule = faults.due(CALL)
    assert rule is not None
    assert rule.struck == 0
    faults.count_strike(rule)
    assert faults.rules()[0]["struck"] == 1


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ({"match": "x", "do": "boat"}, "do = 'boat'; allowed are throttle, error"),
        ({"match": "x", "do": "error", "times": 0}, "times = 0; allowed are whole numbers from 1"),
        ({"match": "x", "do": "delay", "delay_s": 61}, "delay_s = 61; allowed are numbers from 0 to 60"),
        ({"match": "(", "do": "error"}, "is not a regular expression"),
        ({"do": "error"}, "a rule is an object with match"),
    ],
)
def test_a_bad_rule_is_refused_and_says_what_is_allowed(rule: dict[str, Any], text: str) -> None:
    faults = EdgeFaults()
    with pytest.raises(ValueError, match=re.escape(text)):
        faults.add([{"match": "good", "do": "error"}, rule])
    assert faults.rules() == [], "all or none"


@pytest.mark.parametrize("service", OPERATIONS)
@pytest.mark.parametrize("kind", ["throttle", "error"])
def test_the_sdk_reads_the_code_of_an_error_and_tries_again(service: str, kind: str) -> None:
    from botocore.retries.standard import ThrottledRetryableChecker, TransientRetryableChecker

    status, headers, body = error_response(service, kind)
    model = botocore.session.get_session().get_service_model(service)
    parser = botocore.parsers.create_parser(model.resolved_protocol)
    operation = model.operation_model(OPERATIONS[service])
    parsed = parser.parse({"status_code": status, "headers": headers, "body": body}, operation.output_shape)
    code = parsed["Error"]["Code"]
    if kind == "throttle":
        assert code in ThrottledRetryableChecker._THROTTLED_ERROR_CODES
    else:
        assert status in TransientRetryableChecker._TRANSIENT_STATUS_CODES


class Queue:
    """A queue as the emulator keeps it."""

    def __init__(self, *names: str, fifo: bool = False) -> None:
        self.messages = [{"id": name, "visible_at": 0.0, "receipt_handle": ""} for name in names]
        self.queues = {URL: {"is_fifo": fifo, "messages": self.messages}}
        self.receives = 0

    def receive(self, _url: str, most: int) -> list[dict[str, Any]]:
        self.receives += 1
        visible = [message for message in self.messages if message["visible_at"] <= time.time()][:most]
        for message in visible:
            message.update(visible_at=time.time() + 60, receipt_handle=f"r{self.receives}")
        return visible


def test_messages_are_delivered_twice_with_a_receipt_handle_each() -> None:
    queue, faults = Queue("a", "b"), EdgeFaults()
    faults.add({"match": "^q sqs:Deliver$", "do": "deliver-twice"})
    receive = deliver_with_faults(queue.receive, queue.queues, faults)
    first, second, third = (receive(URL, 10) for _ in range(3))
    assert [[message["id"] for message in batch] for batch in (first, second, third)] == [["a", "b"], ["a", "b"], []]
    assert (first[0]["receipt_handle"], second[0]["receipt_handle"]) == ("r1", "r2")


def test_messages_are_delivered_in_another_order() -> None:
    queue, faults = Queue("a", "b"), EdgeFaults()
    faults.add({"match": "", "do": "reorder"})
    receive = deliver_with_faults(queue.receive, queue.queues, faults)
    assert [message["id"] for message in receive(URL, 10)] == ["b", "a"]


def test_a_fifo_queue_keeps_its_order_and_delivers_once() -> None:
    queue, faults = Queue("a", "b", fifo=True), EdgeFaults()
    faults.add([{"match": "", "do": kind} for kind in DELIVERY_KINDS])
    receive = deliver_with_faults(queue.receive, queue.queues, faults)
    assert [[message["id"] for message in receive(URL, 10)] for _ in range(2)] == [["a", "b"], []]
