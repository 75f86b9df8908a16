"""Whom this reader trusts: principal → public key, written by the deployment alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from infrafabric.bus.canonical import loads
from infrafabric.bus.keys import BadKey, public_key_bytes
from infrafabric.bus.refusal import Refused, shown
from infrafabric.bus.structure import is_principal


class BadRegistry(ValueError):
    """Not a registry. One ASCII line that names the entry."""


@dataclass(frozen=True)
class TrustedKey:
    """A principal's public key."""

    text: str  # ed25519:<base64>

    @cached_property
    def verifier(self) -> Ed25519PublicKey:
        return Ed25519PublicKey.from_public_bytes(public_key_bytes(self.text))


class Registry:
    """The trusted keys by principal. Checked whole when made, so that a bad entry shows before a message needs it."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        """Raises ``BadRegistry``."""
        for principal, text in keys.items():
            if not is_principal(principal):
                raise BadRegistry(f"registry entry {shown(principal)}: a principal is if://agent/<name>")
            try:
                public_key_bytes(text if isinstance(text, str) else "")
            except BadKey as error:
                raise BadRegistry(f"registry entry {principal}: {error}") from None
        self._keys = {principal: TrustedKey(text) for principal, text in keys.items()}

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """``raw``: a JSON object, principal → ``ed25519:<base64>``. Raises ``BadRegistry``."""
        try:
            keys = loads(raw)
        except Refused as error:
            raise BadRegistry(f"the registry cannot be read: {error}") from None
        if not isinstance(keys, dict):
            raise BadRegistry("the registry is no JSON object of principal to 'ed25519:<base64>'")
        return cls(keys)

    def key_of(self, principal: str) -> TrustedKey | None:
        return self._keys.get(principal)
