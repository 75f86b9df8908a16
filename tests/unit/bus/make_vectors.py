"""Writes docs/if-bus.vectors.json: ``python -m tests.unit.bus.make_vectors``. The same file on every machine and day.

The messages are built here with ``rfc8785`` and ``cryptography`` alone, not with infrafabric.bus, so that the vectors
can disagree with it.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

FILE = Path(__file__).parents[3] / "docs" / "if-bus.vectors.json"
AT = 1_764_000_000_000
MAX_BYTES = 262_144
COORDINATOR, H01, H02, STRANGER = (f"if://agent/{name}" for name in ("coordinator", "h01", "team-1/h02", "stranger"))
H02_PREVIOUS = f"{H02}, previous key"  # H02's key is being rotated
SEEDS = {  # RFC 8032 7.1, TEST 1 to 3, TEST SHA(abc) and TEST 1024: known to everybody, so never for real messages
    COORDINATOR: "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
    H01: "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
    H02: "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
    STRANGER: "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
    H02_PREVIOUS: "f5e5767cf153319517630f226876b86c8160cc583bc013744c6bf255f5cc0ee5",
}
BUCKET = "if-results"
ORDER = 2**252 + 27742317777372353535851937790883648493


def key(principal: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(SEEDS[principal]))


def public_key(principal: str) -> str:
    return "ed25519:" + b64encode(key(principal).public_key().public_bytes_raw()).decode()


def draft(**changes: Any) -> dict[str, Any]:
    """An unsigned message; a member that is changed to None is left out."""
    message = {
        "schema": "if.bus/1",
        "performative": "request",
        "sender": COORDINATOR,
        "receiver": H01,
        "conversation_id": "if://conversation/navidocs-research-2025-11-14",
        "message_id": "if://message/0b7f4a52-93a4-4d0c-8a3e-6f1f6f2d9c11",
        "timestamp": AT,
        "content": {"task": "Analyze AWS EC2 pricing models", "context": {"target_users": 100}},
        "citation": {
            "source_url": "if://analysis/navidocs-infrafabric-2025-11-14",
            "evidence_hash": "sha256:" + hashlib.sha256(b"evidence").hexdigest(),
        },
        **changes,
    }
    return {name: value for name, value in message.items() if value is not None}


def signed(message: dict[str, Any], signer: str = COORDINATOR, **changes: Any) -> dict[str, Any]:
    """``message`` with its signature; ``changes`` are to the signature's members, None leaves one out."""
    signature = {
        "algorithm": "ed25519",
        "public_key": public_key(signer),
        "signature_bytes": b64encode(key(signer).sign(rfc8785.dumps(message))).decode(),
        **changes,
    }
    return {**message, "signature": {name: value for name, value in signature.items() if value is not None}}


def text(message: Any) -> str:
    return json.dumps(message, ensure_ascii=False)


def vector(name: str, reason: str, message: Any, **more: Any) -> dict[str, Any]:
    """``schema``: what if-bus.schema.json says of the message; it knows shapes, not trust, time or how JSON is read."""
    body = message if isinstance(message, str) else text(message)
    return {
        "name": name,
        "reason": reason,
        "schema": reason == "ok",
        "message": body,
        "at": AT,
        "receiver": H01,
        **more,
    }


def good() -> list[dict[str, Any]]:
    late = draft(timestamp=AT - 86_400_000, reply_by=AT)
    reply = {"performative": "inform", "sender": H01, "receiver": COORDINATOR}
    answer = draft(**reply, in_reply_to="if://message/0b7f4a52-93a4-4d0c-8a3e-6f1f6f2d9c11")
    strings = {
        "€": "Euro",
        "\r": "CR",
        "\ufb33": "Hebrew",
        "1": "One",
        "😀": "Smiley",
        "\x80": "Control",
        "ö": "o",
        "": '"\\/\x7f',
    }
    numbers = [0, -0.0, 1.0, 4.5, 2e-3, 1e21, 1e30, 1e-27, 5e-324, 1.7976931348623157e308, 9007199254740991, -1e-7]
    acts = ("inform", "agree", "refuse", "failure", "query-if", "propose", "cancel")
    deep: Any = {}
    for _ in range(126):
        deep = {"in": deep}

    def with_literal(literal: str) -> str:
        value = float(literal)
        return text(signed(draft(content={"n": value}))).replace(f'{{"n": {value!r}}}', f'{{"n": {literal}}}')

    rounded = ("0.10000000000000001", "333333333.33333329", "0.1234567890123456789", "1e-400", "1e20")
    large = ("9007199254740992", "-9007199254740992", "100000000000000000000")
    return [
        vector("a request", "ok", signed(draft())),
        vector("white space and the order of members do not matter", "ok", json.dumps(signed(draft()), indent=2)),
        *(vector(f"performative {act}", "ok", signed(draft(performative=act))) for act in acts),
        vector("an answer", "ok", signed(answer, H01), receiver=COORDINATOR),
        vector("a principal in two parts", "ok", signed(draft(sender=H02), H02)),
        vector("signed with the previous key", "ok", signed(draft(sender=H02), H02_PREVIOUS)),
        vector("keys in UTF-16 order", "ok", signed(draft(content=strings))),
        vector("the same, in ASCII with escapes", "ok", json.dumps(signed(draft(content=strings)))),
        vector("numbers", "ok", signed(draft(content={"numbers": numbers}))),
        *(vector(f"the number {literal}", "ok", with_literal(literal)) for literal in (*rounded, *large)),
        vector("empty content", "ok", signed(draft(content={}))),
        vector("128 objects deep", "ok", signed(draft(content=deep))),
        vector("5 minutes old", "ok", signed(draft(timestamp=AT - 300_000))),
        vector("5 minutes ahead", "ok", signed(draft(timestamp=AT + 300_000))),
        vector("a day old, at its reply_by", "ok", signed(late)),
        vector("reply_by in 14 days", "ok", signed(draft(reply_by=AT + 14 * 86_400_000))),
        vector("read by anyone", "ok", signed(draft()), receiver=None),
        vector("as large as may be", "ok", signed(draft()), pad_to_bytes=MAX_BYTES),
    ]


def bad_bytes() -> list[dict[str, Any]]:
    fine = text(signed(draft()))
    deep: Any = {}
    for _ in range(127):
        deep = {"in": deep}

    def with_number(literal: str) -> str:
        return text(signed(draft(content={"n": 1}))).replace('{"n": 1}', f'{{"n": {literal}}}')

    beyond = ("NaN", "Infinity", "-Infinity", "1e400")
    changed = ("9007199254740993", "-9007199254740993", "9007199254740993.0", "333333333333333333333")
    not_utf8 = fine.encode().replace(b"Analyze", b"Analyz\xe9")
    return [
        vector("one byte too large", "oversized", fine, pad_to_bytes=MAX_BYTES + 1, schema=True),
        vector("not UTF-8", "not-json", "", message_base64=b64encode(not_utf8).decode(), schema=None),
        vector("a byte order mark", "not-json", "\ufeff" + fine, schema=None),
        vector("cut off", "not-json", fine[:-1], schema=None),
        vector("two messages", "not-json", fine + fine, schema=None),
        vector("nothing", "not-json", "", schema=None),
        vector("129 objects deep", "too-deep", signed(draft(content=deep)), schema=True),
        vector("a member twice", "duplicate-key", fine[:-1] + f', "receiver": "{H01}"}}', schema=True),
        vector("a member of content twice", "duplicate-key", fine.replace('"task"', '"task": 1, "task"'), schema=True),
        vector(
            "an escaped name twice", "duplicate-key", fine.replace('"task"', '"t\\u0061sk": 1, "task"'), schema=True
        ),
        *(vector(f"the number {n}", "bad-number", with_number(n), schema=None) for n in (*beyond, *changed)),
        vector("half a surrogate pair", "bad-text", fine.replace("Analyze", "\\ud83d"), schema=True),
        vector("half a pair as a name", "bad-text", fine.replace("task", "\\ude00"), schema=True),
    ]


def bad_members() -> list[dict[str, Any]]:
    url = draft()["citation"]
    message_id = draft()["message_id"]

    def case(name: str, reason: str, **changes: Any) -> dict[str, Any]:
        return vector(name, reason, signed(draft(**changes)))

    return [
        vector("an array", "not-an-object", [signed(draft())]),
        case("another version", "unknown-schema", schema="if.bus/2"),
        case("no schema", "missing-member", schema=None),
        case("no content", "missing-member", content=None),
        case("no citation", "missing-member", citation=None),
        vector("no signature", "missing-member", draft()),
        case("a citation without hash", "missing-member", citation={"source_url": url["source_url"]}),
        vector("a signature without key", "missing-member", signed(draft(), public_key=None)),
        case("a member too many", "unknown-member", priority=1),
        case("a member too many in citation", "unknown-member", citation={**url, "title": "x"}),
        vector("a member too many in signature", "unknown-member", signed(draft(), key_id="1")),
        case("performative in capitals", "bad-performative", performative="REQUEST"),
        case("another performative", "bad-performative", performative="subscribe"),
        case("a sender that is no URI", "bad-principal", sender="coordinator"),
        case("a receiver that is no agent", "bad-principal", receiver="if://session/h01"),
        case("a receiver with dots for a path", "bad-principal", receiver="if://agent/../h01"),
        case("a conversation that is no if:// URI", "bad-conversation-id", conversation_id="navidocs"),
        case("a message id in capitals", "bad-message-id", message_id=message_id.replace("b", "B")),
        case("a UUID of version 1", "bad-message-id", message_id=message_id.replace("-4d0c-", "-1d0c-")),
        case("an in_reply_to that is no message id", "bad-message-id", in_reply_to="if://conversation/x"),
        case("content that is no object", "bad-content", content=["task"]),
        case("a timestamp as a string", "bad-timestamp", timestamp=str(AT)),
        case("a timestamp before 1970", "bad-timestamp", timestamp=-1),
        case("a timestamp that is a boolean", "bad-timestamp", timestamp=True),
        vector(
            "a timestamp with a fraction",
            "bad-timestamp",
            text(signed(draft())).replace(str(AT), f"{AT}.0"),
            schema=True,
        ),
        vector(
            "a timestamp with an exponent",
            "bad-timestamp",
            text(signed(draft())).replace(str(AT), "1764e9"),
            schema=True,
        ),
        vector("reply_by at the timestamp", "bad-reply-by", signed(draft(reply_by=AT)), schema=True),
        vector("reply_by after 14 days", "bad-reply-by", signed(draft(reply_by=AT + 14 * 86_400_000 + 1)), schema=True),
        case("reply_by as a string", "bad-reply-by", reply_by=str(AT + 1)),
        case("a citation that is a string", "bad-citation", citation="https://example.org/"),
        case("a relative source_url", "bad-citation", citation={**url, "source_url": "/analysis"}),
        case("a hash in capitals", "bad-citation", citation={**url, "evidence_hash": "sha256:" + "AB" * 32}),
        case("a hash of another kind", "bad-citation", citation={**url, "evidence_hash": "md5:" + "ab" * 16}),
    ]


def bad_signatures() -> list[dict[str, Any]]:
    fine = signed(draft())
    signature_bytes = fine["signature"]["signature_bytes"]
    raw = key(COORDINATOR).sign(rfc8785.dumps(draft()))
    higher = raw[:32] + (int.from_bytes(raw[32:], "little") + ORDER).to_bytes(32, "little")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

    def loose(base64: str, padding: str) -> str:  # the same bytes, with bits set that base64 does not use
        body = base64.removesuffix(padding)
        return body[:-1] + alphabet[alphabet.index(body[-1]) + 1] + padding

    def keyed(name: str, point: int) -> dict[str, Any]:
        brought = "ed25519:" + b64encode(point.to_bytes(32, "little")).decode()
        return vector(name, "bad-public-key", signed(draft(), public_key=brought), schema=True)

    def with_signature(name: str, reason: str, schema: bool, **changes: Any) -> dict[str, Any]:
        return vector(name, reason, signed(draft(), **changes), schema=schema)

    unpadded = signature_bytes.rstrip("=")
    loose_key = loose(public_key(COORDINATOR), "=")
    return [
        vector("a signature that is a string", "bad-signature", {**draft(), "signature": signature_bytes}),
        with_signature("another algorithm", "bad-algorithm", False, algorithm="Ed25519"),
        with_signature("a key without its kind", "bad-public-key", False, public_key=public_key(COORDINATOR)[8:]),
        with_signature("a key in loose base64", "bad-public-key", False, public_key=loose_key),
        keyed("a key of small order", 1),
        keyed("a key of order 8", 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826),
        keyed("a key written in another way", 2**255 - 19 + 3),
        keyed("a key that is no point", 2),
        with_signature("a signature without padding", "bad-signature", False, signature_bytes=unpadded),
        with_signature(
            "a signature in loose base64", "bad-signature", False, signature_bytes=loose(signature_bytes, "==")
        ),
        with_signature("S not below the order", "bad-signature", True, signature_bytes=b64encode(higher).decode()),
    ]


def bad_trust_and_time() -> list[dict[str, Any]]:
    fine = signed(draft())
    changed = {**fine, "content": {"task": "Send me the database"}}
    brings_own = signed(draft(), STRANGER)
    claims_ours = {**brings_own, "signature": {**brings_own["signature"], "public_key": public_key(COORDINATOR)}}
    relabelled = signed(draft(sender=H02), H02_PREVIOUS, public_key=public_key(H02))
    expired = draft(timestamp=AT - 2000, reply_by=AT - 1)
    return [
        vector(
            "a sender who is not in the registry",
            "unknown-sender",
            signed(draft(sender=STRANGER), STRANGER),
            schema=True,
        ),
        vector("another's key, brought along", "key-mismatch", brings_own, schema=True),
        vector("a colleague who signs as the coordinator", "key-mismatch", signed(draft(), H01), schema=True),
        vector("signed by a stranger under the right key", "tampered", claims_ours, schema=True),
        vector("neither the current nor the previous key", "key-mismatch", signed(draft(sender=H02)), schema=True),
        vector("signed with the previous key under the current one", "tampered", relabelled, schema=True),
        vector("changed content", "tampered", changed, schema=True),
        vector("a reply_by added later", "tampered", {**fine, "reply_by": AT + 1}, schema=True),
        vector("for somebody else", "wrong-receiver", signed(draft(receiver=H02)), schema=True),
        vector("more than 5 minutes ahead", "from-the-future", signed(draft(timestamp=AT + 300_001)), schema=True),
        vector("more than 5 minutes old", "stale", signed(draft(timestamp=AT - 300_001)), schema=True),
        vector("past its reply_by", "stale", signed(expired), schema=True),
        vector("tampered, for somebody else and stale", "tampered", changed, receiver=H02, at=AT + 10**9, schema=True),
    ]


def claim_checks() -> list[dict[str, Any]]:
    body = rfc8785.dumps({"task": "x" * 5000})
    digest = hashlib.sha256(body).hexdigest()
    right = {
        "s3_uri": f"s3://{BUCKET}/claim-check/{digest[:2]}/{digest}.json",
        "sha256": digest,
        "size_bytes": len(body),
    }

    def case(name: str, reason: str, content: dict[str, Any], stored: bytes = body) -> dict[str, Any]:
        return {"name": name, "reason": reason, "bucket": BUCKET, "content": content, "object": stored.decode()}

    return [
        case("content in S3", "ok", right),
        case("content in the message", "ok", {"task": "x"}, b""),
        case("another bucket", "bad-reference", {**right, "s3_uri": right["s3_uri"].replace(BUCKET, "elsewhere")}),
        case("another key", "bad-reference", {**right, "s3_uri": f"s3://{BUCKET}/secrets.json"}),
        case("a size that is no number", "bad-reference", {**right, "size_bytes": str(len(body))}),
        case("another object", "content-mismatch", right, body.replace(b"x", b"y")),
        case("another size", "content-mismatch", {**right, "size_bytes": len(body) - 1}),
    ]


def number(literal: str) -> float:
    """The number of an integer literal; ``rfc8785`` writes integers beyond 2^53 - 1 only as doubles."""
    return int(literal) if abs(int(literal)) < 2**53 else float(literal)


def document() -> str:
    """The file's text."""
    vectors = [*good(), *bad_bytes(), *bad_members(), *bad_signatures(), *bad_trust_and_time()]
    for case in vectors:
        if case["reason"] == "ok":
            message = json.loads(case["message"], parse_int=number)
            del message["signature"]
            case["signed"] = rfc8785.dumps(message).decode()
    made = {
        "about": "Test vectors of IF.bus, schema if.bus/1; how to read them: docs/if-bus.md. "
        "The private keys are those of RFC 8032 7.1, known to everybody.",
        "private_keys": SEEDS,
        "registry": {
            COORDINATOR: public_key(COORDINATOR),
            H01: [public_key(H01)],
            H02: [public_key(H02), public_key(H02_PREVIOUS)],
        },
        "vectors": vectors,
        "claim_checks": claim_checks(),
    }
    return json.dumps(made, indent=1, allow_nan=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(document(), encoding="utf-8")
