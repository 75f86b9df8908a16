"""Claim check: content that is too large to sign goes to S3, and the message carries its URI, hash and size.

The limit is KMS's: KMS signs 4,096 bytes at most (MessageType RAW, the only type for pure Ed25519), far below SNS's
256 KiB. An object's key follows from its SHA-256, so a repeated write changes nothing (idempotency).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any

from infrafabric.bus.canonical import MAX_CONTENT_BYTES, canonical, loads
from infrafabric.bus.envelope import signed_form
from infrafabric.bus.refusal import Reason, Refused, quoted_value
from infrafabric.bus.signing import KMS_RAW_BYTES
from infrafabric.bus.structure import check_unsigned

_REFERENCE = frozenset(("s3_uri", "sha256", "size_bytes"))
_sha256 = re.compile(r"[0-9a-f]{64}").fullmatch


def is_reference(content: Mapping[str, Any]) -> bool:
    """Tell whether ``content`` has exactly the members ``s3_uri``, ``sha256`` and ``size_bytes``."""
    return content.keys() == _REFERENCE


def check_in(
    unsigned: dict[str, Any], *, put: Callable[[str, bytes], None], bucket: str, limit_bytes: int = KMS_RAW_BYTES
) -> dict[str, Any]:
    """Return a message that can be signed: unchanged, or with its content stored and replaced by a reference.

    Args:
        put: stores bytes under a key of ``bucket``.
        limit_bytes: largest size of the canonical form.

    Raises:
        Refused: as ``sign``; oversized for content over 4 MiB.
    """
    check_unsigned(unsigned)
    content = unsigned["content"]
    # Content that looks like a reference is stored too, or its reader would mistake it for a reference.
    if not is_reference(content) and len(signed_form(unsigned)) <= limit_bytes:
        return unsigned
    body = canonical(content)
    if len(body) > MAX_CONTENT_BYTES:
        text = f"content of {len(body)} bytes, at most {MAX_CONTENT_BYTES}: store the content yourself and send its URI"
        raise Refused(Reason.OVERSIZED, text)
    digest = hashlib.sha256(body).hexdigest()
    put(object_key(digest), body)
    reference = {"s3_uri": f"s3://{bucket}/{object_key(digest)}", "sha256": digest, "size_bytes": len(body)}
    return {**unsigned, "content": reference}


def check_out(content: dict[str, Any], *, get: Callable[[str, int], bytes], bucket: str) -> dict[str, Any]:
    """Return the content of a verified message: unchanged, or fetched by its reference.

    Args:
        get: returns the bytes under a key of ``bucket``, cut off after a number of bytes.
        bucket: the only bucket that a reference may name.

    Raises:
        Refused: bad-reference before anything is fetched, content-mismatch for an object with another hash or size,
            and as ``loads``, and bad-content for an object that is not a JSON object.
    """
    if not is_reference(content):
        return content
    uri, digest, size_bytes = content["s3_uri"], content["sha256"], content["size_bytes"]
    if type(digest) is not str or not _sha256(digest):
        raise Refused(Reason.BAD_REFERENCE, f"sha256 {quoted_value(digest)}: 64 lower-case hexadecimal digits")
    if uri != f"s3://{bucket}/{object_key(digest)}":
        raise Refused(Reason.BAD_REFERENCE, f"s3_uri {quoted_value(uri)}: s3://{bucket}/{object_key(digest)}")
    if type(size_bytes) is not int or not 2 <= size_bytes <= MAX_CONTENT_BYTES:
        raise Refused(Reason.BAD_REFERENCE, f"size_bytes {quoted_value(size_bytes)}: 2 to {MAX_CONTENT_BYTES}")
    body = get(object_key(digest), size_bytes + 1)
    if len(body) != size_bytes or hashlib.sha256(body).hexdigest() != digest:
        raise Refused(
            Reason.CONTENT_MISMATCH, f"the object at {uri} has another hash or size than the signed reference"
        )
    value = loads(body, max_bytes=MAX_CONTENT_BYTES)
    if not isinstance(value, dict):
        raise Refused(Reason.BAD_CONTENT, f"the object at {uri} is not a JSON object")
    return value


def object_key(sha256: str) -> str:
    """Return the key of content with this SHA-256 (hex); the first level spreads keys over S3's partitions."""
    return f"claim-check/{sha256[:2]}/{sha256}.json"
