"""Publisher: records leave for the recorder in order, each with the answers that it is about."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest

from infrafabric.aws_adapters.objects import S3Objects
from infrafabric.aws_adapters.publisher import BusPublisher, NotSentError, record_body
from infrafabric.bus.envelope import Citation, compose
from infrafabric.bus.structure import Performative
from infrafabric.bus.uris import COORDINATOR, conversation_uri, new_message_id
from infrafabric.swarm.deps import HistoryRecord, SignedMessage
from tests.unit.swarm.coordination import signer

SQS_BYTES = 1024 * 1024  # of one call


@dataclass
class Aws:
    """SNS, SQS and S3 that accept all but the messages in ``refused``, by their place in a batch."""

    refused: tuple[int, ...] = ()
    batches: list[list[dict[str, Any]]] = field(default_factory=list)
    stored: list[str] = field(default_factory=list)

    def send_message_batch(self, *, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        self.batches.append(Entries)
        return {"Failed": [{"Id": str(place), "Code": "InternalError"} for place in self.refused]}

    def publish_batch(self, *, TopicArn: str, PublishBatchRequestEntries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        self.batches.append(PublishBatchRequestEntries)
        return {"Failed": [{"Id": str(place), "Code": "InternalError"} for place in self.refused]}

    def put_object(self, *, Key: str, **_: Any) -> None:  # noqa: N803
        self.stored.append(Key)

    def publisher(self, queue: str | None = "https://sqs/records.fifo") -> BusPublisher:
        return BusPublisher(
            sns=self,
            sqs=self,
            topic_arn="arn:topic",
            record_queue_url=queue,
            signer=lambda: signer(COORDINATOR),
            objects=S3Objects(self, "results"),
            pool=ThreadPoolExecutor(max_workers=4),
        )


def a_record(number: int, *answers: str) -> HistoryRecord:
    draft = {"message_id": f"if://message/{number}", "conversation_id": conversation_uri("s1")}
    return HistoryRecord(SignedMessage(draft=draft, body=f"record {number}"), answers)


def test_a_record_is_an_array_of_the_coordinators_message_and_the_agents_answers_as_they_travelled() -> None:
    answers = ('{"a" :\n1}', "é")
    assert json.loads(record_body(a_record(0, *answers))) == ["record 0", *answers]


def test_a_record_holds_no_character_that_sqs_refuses_whatever_an_answer_holds() -> None:
    text = record_body(a_record(0, "\ufffe\uffff\U0001f600"))
    assert {"\ufffe", "\uffff"}.isdisjoint(text)
    assert json.loads(text) == ["record 0", "\ufffe\uffff\U0001f600"]


def test_records_leave_in_order_in_the_group_of_their_session() -> None:
    aws = Aws()
    aws.publisher().record([a_record(number) for number in range(23)])
    sent = [entry for batch in aws.batches for entry in batch]
    assert [json.loads(entry["MessageBody"]) for entry in sent] == [[f"record {number}"] for number in range(23)]
    assert {entry["MessageGroupId"] for entry in sent} == {"s1"}
    assert [entry["MessageDeduplicationId"] for entry in sent] == [str(number) for number in range(23)]
    assert max(map(len, aws.batches)) == 10, "SQS takes ten messages in one call"


@pytest.mark.parametrize("answer_bytes", [1, 8_192, 150_000])
def test_a_call_to_sqs_holds_no_more_bytes_than_it_may(answer_bytes: int) -> None:
    aws = Aws()
    aws.publisher().record([a_record(number, "é" * (answer_bytes // 2)) for number in range(12)])
    sizes = [sum(len(entry["MessageBody"].encode()) for entry in batch) for batch in aws.batches]
    assert max(sizes) <= SQS_BYTES // 4, "also of a queue with the former limit"
    assert sum(map(len, aws.batches)) == 12


def test_a_record_that_sqs_did_not_take_is_an_error_so_that_the_step_is_repeated() -> None:
    with pytest.raises(NotSentError, match="not recorded: InternalError"):
        Aws(refused=(1,)).publisher().record([a_record(0), a_record(1)])


def test_a_stack_without_history_records_nothing() -> None:
    aws = Aws()
    aws.publisher(queue=None).record([a_record(0)])
    assert aws.batches == []


def test_a_message_is_published_with_the_attributes_that_queues_filter_by() -> None:
    aws = Aws()
    assert aws.publisher().send([a_request("x")]) == [None]
    ((entry,),) = aws.batches
    attributes = {name: value["StringValue"] for name, value in entry["MessageAttributes"].items()}
    assert attributes == {"receiver": "if://agent/h01", "performative": "request"}
    assert json.loads(entry["Message"])["content"] == {"text": "x"}


def test_messages_leave_ten_to_a_call_and_each_ones_error_is_told() -> None:
    aws = Aws(refused=(1,))
    errors = aws.publisher().send([a_request(str(number)) for number in range(23)])
    assert sorted(map(len, aws.batches)) == [3, 10, 10]
    assert [index for index, error in enumerate(errors) if error] == [1, 11, 21]
    assert {str(error) for error in errors if error} == {"not published: InternalError "}


def test_a_call_to_sns_that_fails_and_a_message_that_cannot_be_signed_keep_no_other_from_being_sent() -> None:
    class Broken(Aws):
        def publish_batch(self, *, PublishBatchRequestEntries: list[dict[str, Any]], **kwargs: Any) -> dict[str, Any]:  # noqa: N803
            if "lost" in PublishBatchRequestEntries[0]["Message"]:
                raise ConnectionError("the line is down")
            return super().publish_batch(PublishBatchRequestEntries=PublishBatchRequestEntries, **kwargs)

        def put_object(self, **_: Any) -> None:
            raise PermissionError("no place for large contents")

    drafts = [a_request(text) for text in ("lost", *("x" * 10), "y" * 5_000)]
    errors = Broken().publisher().send(drafts)
    assert list(map(type, errors)) == [ConnectionError] * 10 + [type(None), PermissionError]


def a_request(text: str) -> dict[str, Any]:
    return compose(
        performative=Performative.REQUEST,
        sender=COORDINATOR,
        receiver="if://agent/h01",
        conversation_id=conversation_uri("s1"),
        message_id=new_message_id(),
        timestamp=1,
        content={"text": text},
        citation=Citation("if://session/s1", f"sha256:{'0' * 64}"),
    )


def test_content_that_kms_cannot_sign_goes_to_s3() -> None:
    aws = Aws()
    small, large = (aws.publisher().sign(a_request("x" * size)) for size in (500, 5_000))
    assert json.loads(small.body)["content"] == {"text": "x" * 500}
    content = json.loads(large.body)["content"]
    assert [f"s3://results/{key}" for key in aws.stored] == [content["s3_uri"]]
    assert large.draft["content"] == {"text": "x" * 5_000}, "the draft is as it was"
