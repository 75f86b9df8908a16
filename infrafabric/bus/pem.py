"""Signer with an Ed25519 key in a local PEM file: for debugging, tests and agents outside AWS."""

from __future__ import annotations

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from infrafabric.bus.keys import public_key_text
from infrafabric.bus.signing import SigningError


class PemSigner:
    """Signer with a key in memory."""

    def __init__(self, pem: bytes, *, principal: str) -> None:
        """Load an unencrypted PKCS #8 private key, as ``openssl genpkey -algorithm ed25519`` writes it.

        Raises:
            SigningError: the PEM does not hold such a key.
        """
        try:
            key = load_pem_private_key(pem, password=None)
        except TypeError:
            raise SigningError("the key is encrypted: give an unencrypted PEM") from None
        except (ValueError, UnsupportedAlgorithm):
            text = "not a private key in PEM form; make one with: openssl genpkey -algorithm ed25519"
            raise SigningError(text) from None
        if not isinstance(key, Ed25519PrivateKey):
            raise SigningError("the key is not an Ed25519 key; make one with: openssl genpkey -algorithm ed25519")
        self.principal = principal
        self.public_key = public_key_text(key.public_key().public_bytes_raw())
        self.sign = key.sign
