"""Content too large to sign goes to S3, and the message carries where it is and what it must be.

The limit is KMS's: it signs 4,096 bytes at most (MessageType RAW, the only one that pure Ed25519 has), long before
SNS's 256 KiB. An object's key follows from its SHA-256, so writing it twice changes nothing.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any

from infrafabric.bus.canonical import MAX_CONTENT_BYTES, canonical, loads
from infrafabric.bus.envelope import signed_form
from infrafabric.bus.refusal import Reason, Refused, shown
from infrafabric.bus.signing import KMS_RAW_BYTES
from infrafabric.bus.structure import check_unsigned

_REFERENCE = frozenset(("s3_uri", "sha256", "size_bytes"))
_sha256 = re.compile(r"[0-9a-f]{64}").fullmatch


def is_reference(content: Mapping[str, Any]) -> bool:
    """Whether ``content`` has exactly the members ``s3_uri``, ``sha256`` and ``size_bytes``."""
    return content.keys() == _REFERENCE


def check_in(
    unsigned: dict[str, Any], *, put: Callable[[str, bytes], None], bucket: str, limit_bytes: int = KMS_RAW_BYTES
) -> dict[str, Any]:
    """The message as it can be signed: itself, or with its content stored and replaced by a reference.

    Args:
        put: stores bytes under a key of ``bucket``.
        limit_bytes: of the form that is signed.

    Raises:
        Refused: as ``sign``; oversized when the content is over 4 MiB.
    """
    check_unsigned(unsigned)
    content = unsigned["content"]
    # Content that looks like a reference is stored too, or its reader would take it for one.
    if not is_reference(content) and len(signed_form(unsigned)) <= limit_bytes:
        return unsigned
    body = canonical(content)
    if len(body) > MAX_CONTENT_BYTES:
        text = f"content of {len(body)} bytes, at most {MAX_CONTENT_BYTES}: store it apart and send where it lies"
        raise Refused(Reason.OVERSIZED, text)
    digest = hashlib.sha256(body).hexdigest()
    put(object_key(digest), body)
    reference = {"s3_uri": f"s3://{bucket}/{object_key(digest)}", "sha256": digest, "size_bytes": len(body)}
    return {**unsigned, "content": reference}


def check_out(content: dict[str, Any], *, get: Callable[[str, int], bytes], bucket: str) -> dict[str, Any]:
    """The content of a verified message: itself, or what its reference stands for.

    Args:
        get: the bytes under a key of ``bucket``, cut off after the number given.
        bucket: the only one that a reference may name.

    Raises:
        Refused: bad-reference before anything is fetched, content-mismatch when the object is not the one that was
            signed for, and as ``loads`` and bad-content when it is no JSON object.
    """
    if not is_reference(content):
        return content
    uri, digest, size_bytes = content["s3_uri"], content["sha256"], content["size_bytes"]
    if type(digest) is not str or not _sha256(digest):
        raise Refused(Reason.BAD_REFERENCE, f"sha256 {shown(digest)}: 64 lower-case hexadecimal digits")
    if uri != f"s3://{bucket}/{object_key(digest)}":
        raise Refused(Reason.BAD_REFERENCE, f"s3_uri {shown(uri)}: s3://{bucket}/{object_key(digest)}")
    if type(size_bytes) is not int or not 2 <= size_bytes <= MAX_CONTENT_BYTES:
        raise Refused(Reason.BAD_REFERENCE, f"size_bytes {shown(size_bytes)}: 2 to {MAX_CONTENT_BYTES}")
    body = get(object_key(digest), size_bytes + 1)
    if len(body) != size_bytes or hashlib.sha256(body).hexdigest() != digest:
        raise Refused(Reason.CONTENT_MISMATCH, f"the object at {uri} is not the one that was signed for")
    value = loads(body, max_bytes=MAX_CONTENT_BYTES)
    if not isinstance(value, dict):
        raise Refused(Reason.BAD_CONTENT, f"the object at {uri} is no JSON object")
    return value


def object_key(sha256: str) -> str:
    """Where content of this SHA-256 (hex) lies in its bucket; the first level spreads the keys over S3's partitions."""
    return f"claim-check/{sha256[:2]}/{sha256}.json"
