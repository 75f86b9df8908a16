"""Bringing dead letters back: message by message, because an attribute says why each is there; SQS would take all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FIFO = ".fifo"


@dataclass
class Count:
    """Letters moved, and letters looked at and left."""

    moved: int = 0
    kept: int = 0


def redrive(sqs: Any, *, dlq_url: str, queue_url: str, reason: str | None, started_ms: int, count: Count) -> None:
    """Move the letters that lie in a dead-letter queue since before ``started_ms``, or only those with ``reason``.

    ``count`` is kept up to date, so that it is true also when AWS refuses something half-way.
    """
    while batch := _received(sqs, dlq_url):
        for letter in batch:
            again = int(letter["Attributes"]["SentTimestamp"]) > started_ms
            why = letter.get("MessageAttributes", {}).get("reason", {}).get("StringValue", "")
            if again or (reason and why != reason):  # refused again meanwhile: moving it once more would never end
                count.kept += 1
                continue
            # Sent before deleted: an interruption leaves a copy too many, never one too few, and readers know repeats.
            sqs.send_message(QueueUrl=queue_url, MessageBody=letter["Body"], **_order(letter, queue_url))
            sqs.delete_message(QueueUrl=dlq_url, ReceiptHandle=letter["ReceiptHandle"])
            count.moved += 1


def _received(sqs: Any, url: str) -> list[dict[str, Any]]:
    answer = sqs.receive_message(
        QueueUrl=url,
        MaxNumberOfMessages=10,
        MessageAttributeNames=["All"],
        MessageSystemAttributeNames=["SentTimestamp"],
        VisibilityTimeout=60,
        WaitTimeSeconds=0,
    )
    return answer.get("Messages", [])


def _order(letter: Mapping[str, Any], queue_url: str) -> dict[str, str]:
    """Among a session's messages where the queue keeps order; SQS must not take it for the one that it had before."""
    if not queue_url.endswith(FIFO):
        return {}
    return {"MessageGroupId": _session(letter["Body"]), "MessageDeduplicationId": letter["MessageId"]}


def _session(body: str) -> str:
    """What the recorder's messages are grouped by; the recorder judges the message, and says why if it is none."""
    try:
        conversation = json.loads(body)["conversation_id"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return "redrive"
    name = conversation.rsplit("/", 1)[-1] if isinstance(conversation, str) else ""
    return name if 0 < len(name) <= 128 and name.isascii() and name.isprintable() and " " not in name else "redrive"
