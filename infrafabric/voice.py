"""Saying things on the bus as a principal: signed, published to SNS, archived by SQS, in batches where calls meet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from infrafabric.batching import Coalescer
from infrafabric.bus.claim_check import check_in
from infrafabric.bus.envelope import sign
from infrafabric.bus.signing import Signer
from infrafabric.cloud import Objects


class NotSentError(Exception):
    """SNS or SQS took the batch but not this message; the message has AWS's code."""


@dataclass(frozen=True)
class Letter:
    """A signed message: what was meant, and the text that travels."""

    draft: Mapping[str, Any]
    body: str


@dataclass(frozen=True, kw_only=True)
class Voice:
    """Says things on the bus as one principal: signs, publishes, archives. Concurrent calls leave in batches."""

    sns: Any
    sqs: Any
    topic_arn: str
    record_queue_url: str | None  # None where the stack keeps no history
    signer: Signer
    objects: Objects
    wait_s: float = 0.0  # how long a message waits for others to be published with

    def sign(self, draft: dict[str, Any]) -> Letter:
        """The draft as it travels, with its content in S3 when it is too large to sign."""
        ready = check_in(draft, put=self._put, bucket=self.objects.bucket)
        return Letter(draft, sign(ready, self.signer).decode())

    def publish(self, letter: Letter) -> None:
        """Publish to the letter's receiver."""
        self._publications.send(letter)

    def archive(self, letter: Letter) -> None:
        """Send to the recorder, where the stack has one."""
        if self.record_queue_url:
            self._records.send(letter)

    def _put(self, key: str, body: bytes) -> None:
        self.objects.put(key, body)

    @cached_property
    def _publications(self) -> Coalescer[Letter]:
        return Coalescer(self._publish_batch, size_of=_size, wait_s=self.wait_s)

    @cached_property
    def _records(self) -> Coalescer[Letter]:
        return Coalescer(self._record_batch, size_of=_size)

    def _publish_batch(self, letters: Sequence[Letter]) -> list[Exception | None]:
        batch = [
            {"Id": str(index), "Message": letter.body, "MessageAttributes": _attributes(letter.draft)}
            for index, letter in enumerate(letters)
        ]
        answer = self.sns.publish_batch(TopicArn=self.topic_arn, PublishBatchRequestEntries=batch)
        return _problems(len(batch), answer.get("Failed") or [], "published")

    def _record_batch(self, letters: Sequence[Letter]) -> list[Exception | None]:
        batch = [
            {
                "Id": str(index),
                "MessageBody": letter.body,
                "MessageGroupId": letter.draft["conversation_id"].rsplit("/", 1)[-1],  # a session's stay in order
                "MessageDeduplicationId": letter.draft["message_id"].rsplit("/", 1)[-1],
            }
            for index, letter in enumerate(letters)
        ]
        answer = self.sqs.send_message_batch(QueueUrl=self.record_queue_url, Entries=batch)
        return _problems(len(batch), answer.get("Failed") or [], "recorded")


def _attributes(draft: Mapping[str, Any]) -> dict[str, Any]:
    return {name: {"DataType": "String", "StringValue": draft[name]} for name in ("receiver", "performative")}


def _size(letter: Letter) -> int:
    return len(letter.body.encode()) + 200  # and its attributes


def _problems(count: int, failed: Sequence[Mapping[str, Any]], verb: str) -> list[Exception | None]:
    problems: list[Exception | None] = [None] * count
    for entry in failed:
        problems[int(entry["Id"])] = NotSentError(f"not {verb}: {entry.get('Code')} {entry.get('Message', '')}")
    return problems
