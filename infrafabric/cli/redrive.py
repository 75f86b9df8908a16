"""Redrive of dead-lettered messages, one by one: an attribute holds each reason, and SQS's own redrive takes all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FIFO = ".fifo"


@dataclass
class Count:
    """Number of messages moved, and of messages left in the queue."""

    moved: int = 0
    kept: int = 0


def redrive(sqs: Any, *, dlq_url: str, queue_url: str, reason: str | None, started_ms: int, count: Count) -> None:
    """Move messages from a dead-letter queue to the original queue; with ``reason``, only matching messages.

    Args:
        started_ms: later messages stay in the queue, because an agent refused the message again meanwhile.
        count: updated per message, and correct also if AWS refuses a later call.
    """
    while batch := _received(sqs, dlq_url):
        for message in batch:
            again = int(message["Attributes"]["SentTimestamp"]) > started_ms
            why = message.get("MessageAttributes", {}).get("reason", {}).get("StringValue", "")
            if again or (
                reason and why != reason
            ):  # refused again meanwhile: moving the message once more would never end
                count.kept += 1
                continue
            # Sent before deleted: an interruption leaves a duplicate, never a gap, and readers recognize duplicates.
            sqs.send_message(QueueUrl=queue_url, MessageBody=message["Body"], **_fifo_ids(message, queue_url))
            sqs.delete_message(QueueUrl=dlq_url, ReceiptHandle=message["ReceiptHandle"])
            count.moved += 1


def _received(sqs: Any, url: str) -> list[dict[str, Any]]:
    response = sqs.receive_message(
        QueueUrl=url,
        MaxNumberOfMessages=10,
        MessageAttributeNames=["All"],
        MessageSystemAttributeNames=["SentTimestamp"],
        VisibilityTimeout=60,
        WaitTimeSeconds=0,
    )
    return response.get("Messages", [])


def _fifo_ids(message: Mapping[str, Any], queue_url: str) -> dict[str, str]:
    """Return group and deduplication id for a FIFO queue; a new id, or SQS would drop the message as a duplicate."""
    if not queue_url.endswith(FIFO):
        return {}
    return {"MessageGroupId": _group(message["Body"]), "MessageDeduplicationId": message["MessageId"]}


def _group(body: str) -> str:
    """Return the message group of the recorder's queue: the session. The recorder itself judges the message."""
    try:
        conversation = json.loads(body)["conversation_id"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return "redrive"
    name = conversation.rsplit("/", 1)[-1] if isinstance(conversation, str) else ""
    return name if 0 < len(name) <= 128 and name.isascii() and name.isprintable() and " " not in name else "redrive"
