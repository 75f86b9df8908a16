"""Reasons for which IF.bus refuses a message: one slug per reason, the same for every reader of the bus."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Reasons in the order of the checks; docs/if-bus.md explains each and what to do."""

    # the bytes
    OVERSIZED = "oversized"
    NOT_JSON = "not-json"
    TOO_DEEP = "too-deep"
    DUPLICATE_KEY = "duplicate-key"
    BAD_NUMBER = "bad-number"
    BAD_TEXT = "bad-text"
    # the members
    NOT_AN_OBJECT = "not-an-object"
    UNKNOWN_SCHEMA = "unknown-schema"
    MISSING_MEMBER = "missing-member"
    UNKNOWN_MEMBER = "unknown-member"
    BAD_PERFORMATIVE = "bad-performative"
    BAD_PRINCIPAL = "bad-principal"
    BAD_CONVERSATION_ID = "bad-conversation-id"
    BAD_MESSAGE_ID = "bad-message-id"
    BAD_CONTENT = "bad-content"
    BAD_TIMESTAMP = "bad-timestamp"
    BAD_REPLY_BY = "bad-reply-by"
    BAD_CITATION = "bad-citation"
    BAD_ALGORITHM = "bad-algorithm"
    BAD_PUBLIC_KEY = "bad-public-key"
    BAD_SIGNATURE = "bad-signature"
    # trust
    UNKNOWN_SENDER = "unknown-sender"
    KEY_MISMATCH = "key-mismatch"
    TAMPERED = "tampered"
    # this reader, now
    WRONG_RECEIVER = "wrong-receiver"
    FROM_THE_FUTURE = "from-the-future"
    STALE = "stale"
    # found by the reader that stores the ids of finished messages, not by ``verify``
    REPLAYED = "replayed"
    # found when claim-checked content is fetched
    BAD_REFERENCE = "bad-reference"
    CONTENT_MISMATCH = "content-mismatch"


class Refused(Exception):
    """Message that must never be acted on, and is never retried.

    ``detail`` is an ASCII line: the value found, the values allowed and, if the reader can act, the remedy.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def quoted_value(value: object) -> str:
    """Return a value for an error text: ASCII, because a lone surrogate cannot be printed, and short."""
    text = ascii(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
