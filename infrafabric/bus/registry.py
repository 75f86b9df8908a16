"""Registry of trusted keys: principal to public key, written by the deployment alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from infrafabric.bus.canonical import loads
from infrafabric.bus.keys import BadKey, public_key_bytes
from infrafabric.bus.refusal import Refused, quoted_value
from infrafabric.bus.structure import is_principal
from infrafabric.bus.uris import agent_uri


class BadRegistry(ValueError):
    """Object that is not a registry; the text, an ASCII line, names the entry."""


@dataclass(frozen=True)
class TrustedKey:
    """Public key of a principal."""

    text: str  # ed25519:<base64>

    @cached_property
    def verifier(self) -> Ed25519PublicKey:
        return Ed25519PublicKey.from_public_bytes(public_key_bytes(self.text))


class Registry:
    """Trusted keys by principal, validated when created: a bad entry shows before any message needs the entry."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        """Validate the keys.

        Raises:
            BadRegistry: naming the first bad entry.
        """
        for principal, text in keys.items():
            if not is_principal(principal):
                raise BadRegistry(f"registry entry {quoted_value(principal)}: a principal is {agent_uri('<name>')}")
            try:
                public_key_bytes(text if isinstance(text, str) else "")
            except BadKey as error:
                raise BadRegistry(f"registry entry {principal}: {error}") from None
        self._keys = {principal: TrustedKey(text) for principal, text in keys.items()}

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Parse a JSON object of principal to ``ed25519:<base64>``.

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

    def key_of(self, principal: str) -> TrustedKey | None:
        """Return the principal's key, or None for an unknown principal."""
        return self._keys.get(principal)
