"""Publisher of IF.bus messages: signs with KMS, publishes to SNS, sends records to SQS, ten messages to a call."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, TypeVar

from infrafabric.aws_adapters.objects import S3Objects
from infrafabric.bus.claim_check import check_in
from infrafabric.bus.envelope import sign
from infrafabric.bus.signing import Signer
from infrafabric.bus.uris import last_segment
from infrafabric.swarm.deps import HistoryRecord, SignedMessage

_MOST, _MOST_BYTES = 10, 200_000  # of one call to SNS or SQS

Item = TypeVar("Item")
_ATTRIBUTES_BYTES = 200  # of the attributes that travel beside a body


class NotSentError(Exception):
    """SNS or SQS accepted the batch but not this message; the text has AWS's error code."""


@dataclass(frozen=True, kw_only=True)
class BusPublisher:
    """Publishes as one principal."""

    sns: Any
    sqs: Any
    topic_arn: str
    record_queue_url: str | None  # None where the stack keeps no history
    signer: Callable[[], Signer]  # selects the key, for each message
    objects: S3Objects
    pool: Executor  # signs and publishes concurrently

    def sign(self, draft: Mapping[str, Any]) -> SignedMessage:
        """Sign a draft. Content that is too large to sign goes to S3 (claim check)."""
        ready = check_in(dict(draft), put=self._put, bucket=self.objects.bucket)
        return SignedMessage(draft=draft, body=sign(ready, self.signer()).decode())

    def send(self, drafts: Sequence[Mapping[str, Any]]) -> list[Exception | None]:
        """Sign messages and publish them to their receivers. Returns None or the error of each."""
        outcomes = list(self.pool.map(_tried(self.sign), drafts))
        signed = [(index, one) for index, one in enumerate(outcomes) if isinstance(one, SignedMessage)]
        errors = [one if isinstance(one, Exception) else None for one in outcomes]
        batches = _batches(signed, lambda one: _size_bytes(one[1]))
        published = self.pool.map(_tried(self._publish_batch), [[one for _, one in batch] for batch in batches])
        for batch, told in zip(batches, published, strict=True):
            for place, (index, _) in enumerate(batch):
                errors[index] = told if isinstance(told, Exception) else told[place]
        return errors

    def record(self, records: Sequence[HistoryRecord]) -> None:
        """Send records to the recorder in order, if the stack has one; ten to a call, by size."""
        if not self.record_queue_url:
            return
        for batch in _batches(records, lambda record: len(record_body(record).encode())):
            for error in self._record_batch(batch):
                if error is not None:
                    raise error

    def _put(self, key: str, body: bytes) -> None:
        self.objects.put(key, body)

    def _publish_batch(self, messages: Sequence[SignedMessage]) -> list[Exception | None]:
        batch = [
            {"Id": str(index), "Message": message.body, "MessageAttributes": _attributes(message.draft)}
            for index, message in enumerate(messages)
        ]
        response = self.sns.publish_batch(TopicArn=self.topic_arn, PublishBatchRequestEntries=batch)
        return _errors_by_index(len(batch), response.get("Failed") or [], "published")

    def _record_batch(self, records: Sequence[HistoryRecord]) -> list[Exception | None]:
        batch = [
            {
                "Id": str(index),
                "MessageBody": record_body(record),
                "MessageGroupId": last_segment(record.record.draft["conversation_id"]),  # keeps a session's order
                "MessageDeduplicationId": last_segment(record.record.draft["message_id"]),
            }
            for index, record in enumerate(records)
        ]
        response = self.sqs.send_message_batch(QueueUrl=self.record_queue_url, Entries=batch)
        return _errors_by_index(len(batch), response.get("Failed") or [], "recorded")


def record_body(record: HistoryRecord) -> str:
    """Return a record as it lies in the recorder's queue: the coordinator's message, then what travels beside it.

    SQS refuses a message with U+FFFE or U+FFFF (API Reference, SendMessage), which JSON and so an agent's answer may
    hold: unescaped, one answer would keep the results of its session from being settled.
    """
    text = json.dumps([record.record.body, *record.beside], ensure_ascii=False)
    return text.replace("\ufffe", r"\ufffe").replace("\uffff", r"\uffff")


def _tried(do: Callable[[Any], Item]) -> Callable[[Any], Item | Exception]:
    """Return a function that returns the error that ``do`` raises."""

    def attempt(value: Any) -> Item | Exception:
        try:
            return do(value)
        except Exception as error:  # noqa: BLE001  told to who asked, message by message
            return error

    return attempt


def _batches(items: Sequence[Item], size_of: Callable[[Item], int]) -> list[list[Item]]:
    batches: list[list[Item]] = []
    size_bytes = 0
    for item in items:
        own_bytes = size_of(item)
        if not batches or len(batches[-1]) == _MOST or size_bytes + own_bytes > _MOST_BYTES:
            batches.append([])
            size_bytes = 0
        batches[-1].append(item)
        size_bytes += own_bytes
    return batches


def _attributes(draft: Mapping[str, Any]) -> dict[str, Any]:
    return {name: {"DataType": "String", "StringValue": draft[name]} for name in ("receiver", "performative")}


def _size_bytes(message: SignedMessage) -> int:
    return len(message.body.encode()) + _ATTRIBUTES_BYTES


def _errors_by_index(count: int, failed: Sequence[Mapping[str, Any]], verb: str) -> list[Exception | None]:
    errors: list[Exception | None] = [None] * count
    for entry in failed:
        errors[int(entry["Id"])] = NotSentError(f"not {verb}: {entry.get('Code')} {entry.get('Message', '')}")
    return errors
