"""Verification of messages: sender, signature, receiver and age. Every message from the bus passes here."""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature

from infrafabric.bus.envelope import Envelope, parse
from infrafabric.bus.refusal import Reason, Refused
from infrafabric.bus.registry import Registry

TOLERANCE_MS = 5 * 60 * 1000  # longest age of a message without reply_by, and largest lead of a sender's clock


def verify(raw: bytes | str, *, registry: Registry, now_ms: int, receiver: str | None = None) -> Envelope:
    """Return the message if sender, signature, receiver and age are valid.

    A repeated message passes: readers store the ids of finished messages and refuse with ``REPLAYED``.

    Args:
        now_ms: Unix milliseconds by the local clock.
        receiver: principal of the reader; None accepts messages for any receiver (a recorder, debugging).

    Raises:
        Refused: with the first reason that applies, in the order of ``Reason``: structure, sender, signature,
            receiver, age.

    Source: docs/if-bus.md, "Verifying".
    """
    envelope = parse(raw)
    _check_trust(envelope, registry)
    if receiver is not None and envelope.receiver != receiver:
        raise Refused(Reason.WRONG_RECEIVER, f"the message is for {envelope.receiver}, and {receiver} reads it")
    _check_age(envelope, now_ms)
    return envelope


def _check_trust(envelope: Envelope, registry: Registry) -> None:
    trusted = registry.keys_of(envelope.sender)
    if not trusted:
        raise Refused(Reason.UNKNOWN_SENDER, f"{envelope.sender} is not in the registry")
    key = next((key for key in trusted if key.text == envelope.public_key), None)
    if key is None:
        names = " and ".join(key.text for key in trusted)
        text = f"the message states {envelope.public_key}, the registry has {names} for {envelope.sender}"
        raise Refused(Reason.KEY_MISMATCH, text)
    try:
        key.verifier.verify(envelope.signature, envelope.signed)
    except InvalidSignature:
        text = f"the signature does not fit: {envelope.sender} did not sign the message, or it was changed later"
        raise Refused(Reason.TAMPERED, text) from None


def _check_age(envelope: Envelope, now_ms: int) -> None:
    ahead_ms = envelope.timestamp - now_ms
    if ahead_ms > TOLERANCE_MS:
        text = f"the timestamp is {ahead_ms} ms ahead, at most {TOLERANCE_MS}: check the sender's clock and ours"
        raise Refused(Reason.FROM_THE_FUTURE, text)
    if envelope.reply_by is None:
        if -ahead_ms > TOLERANCE_MS:
            text = f"{-ahead_ms} ms old, and valid for {TOLERANCE_MS} without a reply_by"
            raise Refused(Reason.STALE, f"{text}: send the message again, with a reply_by if it may wait")
    elif now_ms > envelope.reply_by:
        late_ms = now_ms - envelope.reply_by
        raise Refused(Reason.STALE, f"{late_ms} ms past its reply_by: send the message again with a later one")
