"""SQS queues: put-back with a delay, earlier redelivery, and dead-lettering with a reason."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infrafabric.swarm.leases import CopyId

# Message attributes of a copy.
PUT_BACKS = "throttles"  # number of put-backs so far, under the name of the first release
ORIGIN = "origin"  # SQS message id of the first copy


def copy_id_of(record: Mapping[str, Any]) -> CopyId:
    """Return the identity of a message by its record in Lambda's event: the first copy, if nobody put it back."""
    attributes = {name: value.get("stringValue") for name, value in record["messageAttributes"].items()}
    return CopyId(
        sqs_message_id=record["messageId"],
        origin=attributes.get(ORIGIN) or record["messageId"],
        put_backs=int(attributes.get(PUT_BACKS) or 0),
        queued_ms=int(record["attributes"].get("SentTimestamp") or 0),
    )


@dataclass(frozen=True)
class WorkQueue:
    """Queue that an agent or the recorder consumes."""

    sqs: Any
    url: str

    def put_back(self, body: str, *, origin: str, put_backs: int, delay_s: int) -> None:
        """Send a fresh copy of a message.

        A message that only stays hidden for longer counts one more receive when its visibility timeout ends.
        """
        attributes = {
            PUT_BACKS: {"DataType": "Number", "StringValue": str(put_backs)},
            ORIGIN: {"DataType": "String", "StringValue": origin},
        }
        self.sqs.send_message(QueueUrl=self.url, MessageBody=body, DelaySeconds=delay_s, MessageAttributes=attributes)

    def redeliver_after(self, receipt_handle: str, delay_s: int) -> None:
        """Have SQS deliver a failed message again after ``delay_s`` seconds.

        The queue's own visibility timeout, six times the function's, is half an hour: longer than many a session.
        """
        self.sqs.change_message_visibility(QueueUrl=self.url, ReceiptHandle=receipt_handle, VisibilityTimeout=delay_s)


@dataclass(frozen=True)
class SqsDeadLetters:
    """Queue for messages that no retry can help."""

    sqs: Any
    url: str

    def dead_letter(self, body: str, reason: str, detail: str) -> None:
        """Move a message into the queue; ``reason`` and ``detail`` become message attributes."""
        why = {"reason": reason, "detail": detail[:500] or "-"}
        fifo: dict[str, str] = {}
        if self.url.endswith(".fifo"):
            # A group per message: in a shared group, one message in flight hides all others. A new deduplication id
            # each time: a redriven message that is refused again within five minutes would be dropped as a duplicate.
            unique = uuid.uuid4().hex
            fifo = {"MessageGroupId": unique, "MessageDeduplicationId": unique}
        attributes = {name: {"DataType": "String", "StringValue": text} for name, text in why.items()}
        self.sqs.send_message(QueueUrl=self.url, MessageBody=body, MessageAttributes=attributes, **fifo)
