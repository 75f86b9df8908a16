"""Registry of trusted keys: principal to one or two public keys, written by the deployment alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from infrafabric.bus.canonical import loads
from infrafabric.bus.keys import BadKey, public_key_bytes
from infrafabric.bus.refusal import Refused, quoted_value
from infrafabric.bus.structure import is_principal
from infrafabric.bus.uris import agent_uri

MAX_KEYS = 2  # per principal: the current key, and the previous key during a rotation


class BadRegistry(ValueError):
    """Object that is not a registry; the text, an ASCII line, names the entry."""


class RegistryUnavailableError(Exception):
    """Registry that cannot be read now. A message that arrives meanwhile is neither trusted nor refused."""


@dataclass(frozen=True)
class TrustedKey:
    """Public key of a principal."""

    text: str  # ed25519:<base64>

    @cached_property
    def verifier(self) -> Ed25519PublicKey:
        return Ed25519PublicKey.from_public_bytes(public_key_bytes(self.text))


class Registry:
    """Trusted keys by principal, validated when created: a bad entry shows before any message needs the entry."""

    def __init__(self, keys: Mapping[str, str | Sequence[str]]) -> None:
        """Validate the keys.

        Args:
            keys: by principal, the text of its only key, or the texts of its current and its previous key.

        Raises:
            BadRegistry: naming the first bad entry.
        """
        self._keys = {principal: _trusted_keys(principal, entry) for principal, entry in keys.items()}

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Parse a JSON object of principal to ``ed25519:<base64>``, or to a list of one or two of these.

        Raises:
            BadRegistry: the bytes are not such an object.
        """
        try:
            keys = loads(raw)
        except Refused as error:
            raise BadRegistry(f"the registry cannot be read: {error}") from None
        if not isinstance(keys, dict):
            raise BadRegistry("the registry is not a JSON object of principal to 'ed25519:<base64>'")
        return cls(keys)

    def keys_of(self, principal: str) -> tuple[TrustedKey, ...]:
        """Return the principal's keys, the current one first; none for an unknown principal."""
        return self._keys.get(principal, ())


def _trusted_keys(principal: str, entry: str | Sequence[str]) -> tuple[TrustedKey, ...]:
    """Return the keys of one entry of the registry, which may be any JSON value.

    Raises:
        BadRegistry: the entry is not one of the forms that a registry has.
    """
    if not is_principal(principal):
        raise BadRegistry(f"registry entry {quoted_value(principal)}: a principal is {agent_uri('<name>')}")
    texts = tuple(entry) if isinstance(entry, list | tuple) else (entry,)
    if not 1 <= len(texts) <= MAX_KEYS:
        raise BadRegistry(f"registry entry {principal}: has {len(texts)} keys, must be one or {MAX_KEYS}")
    keys = tuple(_trusted_key(principal, text) for text in texts)
    if len(set(keys)) < len(keys):
        raise BadRegistry(f"registry entry {principal}: lists a key twice, and two keys must differ")
    return keys


def _trusted_key(principal: str, text: object) -> TrustedKey:
    if not isinstance(text, str):
        text = ""
    try:
        public_key_bytes(text)
    except BadKey as error:
        raise BadRegistry(f"registry entry {principal}: {error}") from None
    return TrustedKey(text)
