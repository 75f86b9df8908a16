"""IF.bus envelope, version 1: composing, signing and parsing messages.

    draft = compose(performative=Performative.REQUEST, sender=..., ...)   # the unsigned message
    raw = sign(draft, signer)                                             # the wire form
    envelope = parse(raw)                                                 # structure only; verify.py adds trust

The signature covers the RFC 8785 form of the object without ``signature``. Definition per member: docs/if-bus.md.
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from typing import Any, NamedTuple

from infrafabric.bus.canonical import MAX_BYTES, canonical_text, loads, quoted
from infrafabric.bus.refusal import Reason, Refused
from infrafabric.bus.signing import Signer
from infrafabric.bus.structure import PERFORMATIVES, SCHEMA, Performative, check_signed, check_unsigned


# Tuples, because frozen dataclasses set each member by a call, and every incoming message makes both.
class Citation(NamedTuple):
    """Source of the content: an absolute URI, and ``sha256:<hex>`` of the source's bytes."""

    source_url: str
    evidence_hash: str


class Envelope(NamedTuple):
    """Signed message with a valid structure. Times are Unix milliseconds."""

    performative: Performative
    sender: str
    receiver: str
    conversation_id: str
    message_id: str
    timestamp: int
    content: dict[str, Any]
    citation: Citation
    reply_by: int | None
    in_reply_to: str | None
    public_key: str  # as the message states it: proves nothing
    signature: bytes
    signed: bytes  # canonical form that the signature must cover


def compose(
    *,
    performative: Performative,
    sender: str,
    receiver: str,
    conversation_id: str,
    message_id: str,
    timestamp: int,
    content: Mapping[str, Any],
    citation: Citation,
    reply_by: int | None = None,
    in_reply_to: str | None = None,
) -> dict[str, Any]:
    """Return an unsigned message, which ``sign`` checks. Times are Unix milliseconds."""
    draft: dict[str, Any] = {
        "schema": SCHEMA,
        "performative": performative.value,
        "sender": sender,
        "receiver": receiver,
        "conversation_id": conversation_id,
        "message_id": message_id,
        "timestamp": timestamp,
        "content": dict(content),
        "citation": {"source_url": citation.source_url, "evidence_hash": citation.evidence_hash},
    }
    if reply_by is not None:
        draft["reply_by"] = reply_by
    if in_reply_to is not None:
        draft["in_reply_to"] = in_reply_to
    return draft


def sign(unsigned: dict[str, Any], signer: Signer) -> bytes:
    """Return the wire form of ``unsigned``: canonical JSON with ``signature`` in its place, in UTF-8.

    Raises:
        Refused: the reason for which every reader would refuse the message; bad-principal also if the sender is not
            the signer.
        SigningError: the signer itself cannot sign, such as KMS beyond 4,096 bytes.
    """
    check_unsigned(unsigned)
    if unsigned["sender"] != signer.principal:
        raise Refused(Reason.BAD_PRINCIPAL, f"{signer.principal} cannot sign as sender {unsigned['sender']}")
    head, tail = _halves(unsigned)
    signature = binascii.b2a_base64(signer.sign((head + tail).encode()), newline=False).decode()
    member = (
        f',"signature":{{"algorithm":"ed25519","public_key":"{signer.public_key}","signature_bytes":"{signature}"}}'
    )
    text = head + member + tail
    if not text.isascii():  # SQS takes U+FFFE and U+FFFF only escaped (SendMessage, MessageBody)
        text = text.replace("\ufffe", "\\ufffe").replace("\uffff", "\\uffff")
    wire = text.encode()
    if len(wire) > MAX_BYTES:
        raise Refused(Reason.OVERSIZED, f"{len(wire)} bytes, at most {MAX_BYTES}: move the content to S3 (claim check)")
    return wire


def signed_form(message: Mapping[str, Any]) -> bytes:
    """Return the bytes that Ed25519 signs: the RFC 8785 form of a checked message without its signature."""
    head, tail = _halves(message)
    return (head + tail).encode()


def _halves(message: Mapping[str, Any]) -> tuple[str, str]:
    """Return the canonical form of a checked message, cut where ``signature`` belongs among the sorted members.

    Written by hand, at half the cost of encoding the whole: by their patterns only content and source_url need escapes.
    """
    citation = message["citation"]
    evidence_hash, source_url = citation["evidence_hash"], quoted(citation["source_url"])
    in_reply_to = f'"in_reply_to":"{message["in_reply_to"]}",' if "in_reply_to" in message else ""
    reply_by = f'"reply_by":{message["reply_by"]},' if "reply_by" in message else ""
    before = f'{{"citation":{{"evidence_hash":"{evidence_hash}","source_url":{source_url}}},"content":'
    after = (
        f',"conversation_id":"{message["conversation_id"]}",{in_reply_to}"message_id":"{message["message_id"]}",'
        f'"performative":"{message["performative"]}","receiver":"{message["receiver"]}",{reply_by}'
        f'"schema":"{SCHEMA}","sender":"{message["sender"]}"'
    )
    head = before + canonical_text(message["content"], inside=1) + after
    return head, f',"timestamp":{message["timestamp"]}}}'


def parse(raw: bytes | str) -> Envelope:
    """Parse a signed message and check its structure. The sender is not verified: see ``verify``.

    Raises:
        Refused: with the first reason that applies, in the order of ``Reason`` up to bad-signature.
    """
    message = loads(raw.encode(errors="surrogatepass") if isinstance(raw, str) else raw)
    public_key, signature = check_signed(message)
    citation = message["citation"]
    return Envelope(
        performative=PERFORMATIVES[message["performative"]],
        sender=message["sender"],
        receiver=message["receiver"],
        conversation_id=message["conversation_id"],
        message_id=message["message_id"],
        timestamp=message["timestamp"],
        content=message["content"],
        citation=Citation(citation["source_url"], citation["evidence_hash"]),
        reply_by=message.get("reply_by"),
        in_reply_to=message.get("in_reply_to"),
        public_key=public_key,
        signature=signature,
        signed=signed_form(message),
    )
