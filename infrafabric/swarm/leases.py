"""Leases of messages: which invocation of an agent works on a message.

A lease is one conditional write. It lasts as long as the invocation that holds it, and is never finished by a second
write: the object in the attempt's place proves that the work is done.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

_SENDING_MS = 120_000  # longest time for which the SDK tries to publish: four calls of 25 s, and pauses


@dataclass(frozen=True)
class CopyId:
    """Identity of an SQS message that carries an IF.bus message: a put-back sends a fresh copy of it."""

    sqs_message_id: str  # the same for a repeated delivery
    origin: str  # SQS message id of the first copy
    put_backs: int = 0  # earlier put-backs of the message
    queued_ms: int = 0  # when it entered the queue (Unix milliseconds); 0 if that is unknown


class LeaseState(StrEnum):
    """Answer to an invocation that wants to work on a message."""

    GRANTED = "granted"
    HELD = "held"  # by another invocation, until ``until_ms``
    USED = "used"  # its holder has ended: with a result in the attempt's place, or dead
    PUT_BACK = "put back"  # by its holder: a copy of the message is or will be in the queue
    CANCELLED = "cancelled"  # the coordinator needs no answer


@dataclass(frozen=True, kw_only=True)
class Lease:
    """State of a message's lease after an attempt to take it."""

    state: LeaseState
    copy: CopyId  # copy of the message for which the lease was granted last
    sent_ms: int = 0  # when the coordinator signed the message (Unix milliseconds)
    holder: str = ""  # invocation to which it was granted
    until_ms: int = 0  # Unix milliseconds

    def is_for(self, copy: CopyId) -> bool:
        """Tell whether the lease was granted for this copy, maybe in another delivery of it."""
        return self.copy.sqs_message_id == copy.sqs_message_id

    def is_for_kin(self, copy: CopyId, sent_ms: int) -> bool:
        """Tell whether the lease was granted for another copy of the message, or before the coordinator sent it again.

        A coordinator that crashed signs with another time, which nobody else can. The AWS SDK publishes the same bytes
        again if the first response got lost, and SNS may deliver them twice: these enter the queue soon after they were
        signed. Any other message is a replay, and no kin.
        """
        sent_anew = self.sent_ms != sent_ms or 0 < copy.queued_ms <= sent_ms + _SENDING_MS
        return self.copy.origin == copy.origin or (self.copy.origin != "" and sent_anew)


class LeaseHeldError(Exception):
    """Message that another invocation works on until ``until_ms`` (Unix milliseconds)."""

    def __init__(self, message_id: str, *, until_ms: int) -> None:
        super().__init__(f"message {message_id} is leased until {until_ms}")
        self.until_ms = until_ms
