"""Ed25519 public keys as text, ``ed25519:<base64 of 32 bytes>``. Standard library only, because infra imports this."""

from __future__ import annotations

import binascii
from functools import lru_cache

_PREFIX = "ed25519:"
_SPKI_PREFIX = bytes.fromhex("302a300506032b6570032100")  # RFC 8410 4: SEQUENCE { { OID 1.3.101.112 }, BIT STRING }
_P = 2**255 - 19  # RFC 8032 5.1
_D = -121665 * pow(121666, -1, _P) % _P
# The y of the eight points whose order divides 8: with such a key one signature fits many messages. RFC 8032 accepts
# them; "Taming the many EdDSAs" (Chalkias, Garillot, Nikolaenko 2020) shows the consequences.
_ORDER_8 = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_SMALL_ORDER = frozenset((0, 1, _P - 1, _ORDER_8, _P - _ORDER_8))


class BadKey(ValueError):
    """Text that is not a trustworthy Ed25519 public key; the message is an ASCII line."""


def public_key_text(raw: bytes) -> str:
    """Return the text of a public key from its 32 bytes (RFC 8032)."""
    return _PREFIX + binascii.b2a_base64(raw, newline=False).decode()


@lru_cache(maxsize=1024)
def public_key_bytes(text: str) -> bytes:
    """Return the 32 bytes of a public key.

    Raises:
        BadKey: another form, base64 that is not the canonical encoding of its bytes, a point that is not on the curve
            or not canonical (RFC 8032 5.1.3), or a point of small order.
    """
    raw = canonical_base64(text.removeprefix(_PREFIX), 32) if text.startswith(_PREFIX) else None
    if raw is None:
        raise BadKey("a public key is 'ed25519:' and the standard base64, with padding, of 32 bytes")
    y = int.from_bytes(raw, "little") & (2**255 - 1)
    if y >= _P or y in _SMALL_ORDER:
        raise BadKey("the public key is not canonical or of small order: it cannot bind a signature to one message")
    u, v = y * y - 1, _D * y * y + 1  # x^2 = u / v, which is a square exactly when u * v is (Euler's criterion)
    if pow(u * v, (_P - 1) // 2, _P) != 1:
        raise BadKey("the public key is not a point of edwards25519")
    return raw


def public_key_of_der(base64_der: str) -> str:
    """Return the text of the key in a base64 SubjectPublicKeyInfo, as KMS GetPublicKey returns it.

    Raises:
        BadKey: not base64, another curve or algorithm, or a key that ``public_key_bytes`` refuses.
    """
    der = canonical_base64(base64_der, 44)
    if der is None or not der.startswith(_SPKI_PREFIX):
        raise BadKey("not the DER of an Ed25519 public key (RFC 8410): the KMS key spec must be ECC_NIST_EDWARDS25519")
    text = public_key_text(der[12:])
    public_key_bytes(text)
    return text


def canonical_base64(text: str, size_bytes: int) -> bytes | None:
    """Return the bytes, or None if ``text`` is not the canonical padded base64 of ``size_bytes`` bytes."""
    if len(text) != (size_bytes + 2) // 3 * 4:
        return None
    try:
        raw = binascii.a2b_base64(text)
    except ValueError:  # also for text that is not ASCII
        return None
    return raw if binascii.b2a_base64(raw, newline=False) == text.encode() and len(raw) == size_bytes else None
