"""Structure of an IF.bus message: the allowed values of each member, independent of sender and time.

docs/if-bus.schema.json states the same rules in JSON Schema; the test vectors keep both equal.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Any

from infrafabric.bus.keys import BadKey, canonical_base64, public_key_bytes
from infrafabric.bus.refusal import Reason, Refused, quoted_value
from infrafabric.bus.uris import AGENT_URI_PREFIX, agent_uri

SCHEMA = "if.bus/1"
LONGEST_NAME = 256  # characters of a principal or a conversation
LONGEST_REPLY_MS = 14 * 24 * 3600 * 1000  # SQS keeps a message 14 days at most
_ORDER = 2**252 + 27742317777372353535851937790883648493  # L of RFC 8032 5.1


class Performative(StrEnum):
    """Type of a message (FIPA-ACL communicative acts, SC00037J)."""

    REQUEST = "request"
    INFORM = "inform"
    AGREE = "agree"
    REFUSE = "refuse"
    FAILURE = "failure"
    QUERY_IF = "query-if"
    PROPOSE = "propose"
    CANCEL = "cancel"


_SEGMENT = r"[A-Za-z0-9][A-Za-z0-9._~@:-]*"
_UUID4 = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
_PRINCIPAL = re.compile(rf"{AGENT_URI_PREFIX}{_SEGMENT}(?:/{_SEGMENT})*")
_CONVERSATION = re.compile(rf"if://[a-z][a-z0-9-]*/{_SEGMENT}(?:/{_SEGMENT})*")
_message_id = re.compile(rf"if://message/{_UUID4}").fullmatch
_source_url = re.compile(r"(?=.{1,2048}\Z)[A-Za-z][A-Za-z0-9+.-]*:[^\x00-\x20\x7f\ud800-\udfff]+").fullmatch
_evidence_hash = re.compile(r"sha256:[0-9a-f]{64}").fullmatch


def _cached_match(pattern: re.Pattern[str]) -> Callable[[str], object]:
    """Return a cached full match for texts of at most 256 characters: the same few names recur in every message."""
    matches = lru_cache(maxsize=1024)(pattern.fullmatch)
    return lambda text: len(text) <= LONGEST_NAME and matches(text)


_principal, _conversation = _cached_match(_PRINCIPAL), _cached_match(_CONVERSATION)
PERFORMATIVES: Mapping[str, Performative] = {act.value: act for act in Performative}
_A_PRINCIPAL = (
    f"a principal is {agent_uri('<name>')}, with letters, digits, . _ ~ @ : - and / between, up to 256 characters"
)
_A_MESSAGE_ID = "a message id is if://message/<UUID version 4 in lower case>"
_TEXTS: tuple[tuple[str, Callable[[str], object], Reason, str], ...] = (
    (
        "performative",
        PERFORMATIVES.get,
        Reason.BAD_PERFORMATIVE,
        f"one of {', '.join(PERFORMATIVES)}",
    ),
    ("sender", _principal, Reason.BAD_PRINCIPAL, _A_PRINCIPAL),
    ("receiver", _principal, Reason.BAD_PRINCIPAL, _A_PRINCIPAL),
    (
        "conversation_id",
        _conversation,
        Reason.BAD_CONVERSATION_ID,
        "an if:// URI such as if://conversation/<name>, up to 256 characters",
    ),
    ("message_id", _message_id, Reason.BAD_MESSAGE_ID, _A_MESSAGE_ID),
)
_UNSIGNED = frozenset(
    (
        *("schema", "performative", "sender", "receiver", "conversation_id"),
        *("message_id", "timestamp", "content", "citation"),
    )
)
_SIGNED = _UNSIGNED | {"signature"}
_OPTIONAL = frozenset(("reply_by", "in_reply_to"))
_UNSIGNED_AT_MOST, _SIGNED_AT_MOST = _UNSIGNED | _OPTIONAL, _SIGNED | _OPTIONAL
_CITATION = frozenset(("source_url", "evidence_hash"))
_SIGNATURE = frozenset(("algorithm", "public_key", "signature_bytes"))


def is_principal(value: object) -> bool:
    """Tell whether ``value`` is the URI of a principal, at most 256 characters."""
    return isinstance(value, str) and bool(_principal(value))


def check_unsigned(message: object) -> None:
    """Check an unsigned message.

    Raises:
        Refused: with the first reason that applies, from not-an-object to bad-citation.
    """
    _check_members(message, _UNSIGNED, _UNSIGNED_AT_MOST, hint="; a signature is added by signing")


def check_signed(message: object) -> tuple[str, bytes]:
    """Check a signed message. Returns the public key as text and the 64 bytes of the signature.

    Raises:
        Refused: as ``check_unsigned``, then bad-algorithm, bad-public-key, bad-signature.
    """
    return _check_signature(_check_members(message, _SIGNED, _SIGNED_AT_MOST)["signature"])


def _check_members(
    message: object, required: frozenset[str], at_most: frozenset[str], hint: str = ""
) -> Mapping[str, Any]:
    if not isinstance(message, dict):
        raise Refused(Reason.NOT_AN_OBJECT, f"a message is a JSON object, not {type(message).__name__}")
    if message.get("schema", SCHEMA) != SCHEMA:
        raise Refused(
            Reason.UNKNOWN_SCHEMA, f"schema {quoted_value(message['schema'])}: this reader knows only {SCHEMA!r}"
        )
    _check_names(message, required, at_most, "the message", hint)
    for name, matches, reason, allowed in _TEXTS:
        value = message[name]
        if type(value) is not str or not matches(value):
            raise Refused(reason, f"{name} {quoted_value(value)}: {allowed}")
    if "in_reply_to" in message:
        value = message["in_reply_to"]
        if type(value) is not str or not _message_id(value):
            raise Refused(Reason.BAD_MESSAGE_ID, f"in_reply_to {quoted_value(value)}: {_A_MESSAGE_ID}")
    if type(message["content"]) is not dict:
        raise Refused(Reason.BAD_CONTENT, f"content {quoted_value(message['content'])}: a JSON object")
    _check_times(message)
    _check_citation(message["citation"])
    return message


def _check_names(
    members: Mapping[str, Any], required: frozenset[str], at_most: frozenset[str], where: str, hint: str = ""
) -> None:
    names = members.keys()
    if not names >= required:
        missing = sorted(required - names)
        raise Refused(Reason.MISSING_MEMBER, f"{where} lacks {', '.join(missing)}")
    if not names <= at_most:
        unknown = sorted(names - at_most)
        raise Refused(Reason.UNKNOWN_MEMBER, f"{where} has {quoted_value(unknown)}, which {SCHEMA} does not know{hint}")


def _check_times(message: Mapping[str, Any]) -> None:
    timestamp = message["timestamp"]
    if type(timestamp) is not int or timestamp < 0:
        allowed = "Unix milliseconds, a whole number written without fraction or exponent"
        raise Refused(Reason.BAD_TIMESTAMP, f"timestamp {quoted_value(timestamp)}: {allowed}")
    if "reply_by" in message:
        reply_by = message["reply_by"]
        if type(reply_by) is not int or not timestamp < reply_by <= timestamp + LONGEST_REPLY_MS:
            allowed = "Unix milliseconds, after the timestamp and at most 14 days after it"
            raise Refused(Reason.BAD_REPLY_BY, f"reply_by {quoted_value(reply_by)}: {allowed}")


def _check_citation(citation: object) -> None:
    if type(citation) is not dict:
        raise Refused(
            Reason.BAD_CITATION, f"citation {quoted_value(citation)}: an object of source_url and evidence_hash"
        )
    _check_names(citation, _CITATION, _CITATION, "citation")
    url, evidence = citation["source_url"], citation["evidence_hash"]
    if type(url) is not str or not _source_url(url):
        allowed = "an absolute URI without spaces, up to 2048 characters"
        raise Refused(Reason.BAD_CITATION, f"citation.source_url {quoted_value(url)}: {allowed}")
    if type(evidence) is not str or not _evidence_hash(evidence):
        allowed = "'sha256:' and 64 lower-case hexadecimal digits"
        raise Refused(Reason.BAD_CITATION, f"citation.evidence_hash {quoted_value(evidence)}: {allowed}")


def _check_signature(signature: object) -> tuple[str, bytes]:
    if type(signature) is not dict:
        allowed = "an object of algorithm, public_key and signature_bytes"
        raise Refused(Reason.BAD_SIGNATURE, f"signature {quoted_value(signature)}: {allowed}")
    _check_names(signature, _SIGNATURE, _SIGNATURE, "signature")
    if signature["algorithm"] != "ed25519":
        raise Refused(
            Reason.BAD_ALGORITHM, f"signature.algorithm {quoted_value(signature['algorithm'])}: must be 'ed25519'"
        )
    public_key, text = signature["public_key"], signature["signature_bytes"]
    try:
        public_key_bytes(public_key if type(public_key) is str else "")
    except BadKey as error:
        raise Refused(Reason.BAD_PUBLIC_KEY, f"signature.public_key {quoted_value(public_key)}: {error}") from None
    raw = canonical_base64(text, 64) if type(text) is str else None
    if raw is None:
        allowed = "the standard base64, with padding, of 64 bytes"
        raise Refused(Reason.BAD_SIGNATURE, f"signature.signature_bytes {quoted_value(text)}: {allowed}")
    if int.from_bytes(raw[32:], "little") >= _ORDER:
        raise Refused(
            Reason.BAD_SIGNATURE, "signature.signature_bytes: S is not below the group order (RFC 8032 5.1.7)"
        )
    return public_key, raw
