"""Leases of messages: which invocation of an agent works on a message.

A lease is one conditional write. It lasts as long as the invocation that holds it, and is never finished by a second
write: the object in the attempt's place proves that the work is done.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class LeaseState(StrEnum):
    """Answer to an invocation that wants to work on a message."""

    GRANTED = "granted"
    HELD = "held"  # by another invocation, until ``until_ms``
    USED = "used"  # its holder has ended: with a result in the attempt's place, or dead
    CANCELLED = "cancelled"  # the coordinator needs no answer


@dataclass(frozen=True, kw_only=True)
class Lease:
    """State of a message's lease after an attempt to take it."""

    state: LeaseState
    sqs_message_id: str  # SQS message for which the lease was granted last
    until_ms: int = 0  # Unix milliseconds
    spent_nusd: int = 0  # spent on the message before it was put back


class LeaseHeldError(Exception):
    """Message that another invocation works on until ``until_ms`` (Unix milliseconds)."""

    def __init__(self, message_id: str, *, until_ms: int) -> None:
        super().__init__(f"message {message_id} is leased until {until_ms}")
        self.until_ms = until_ms
