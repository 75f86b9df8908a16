from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from infrafabric.bus.envelope import Citation, Performative, compose
from infrafabric.bus.pem import PemSigner
from infrafabric.bus.registry import Registry

AT = 1_764_000_000_000
COORDINATOR, H01 = "if://agent/coordinator", "if://agent/h01"


def _pem(name: str) -> bytes:
    key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.fixture(scope="session")
def pem() -> bytes:
    """The coordinator's private key, the same in every run."""
    return _pem("coordinator")


@pytest.fixture(scope="session")
def signer(pem: bytes) -> PemSigner:
    return PemSigner(pem, principal=COORDINATOR)


@pytest.fixture(scope="session")
def other_signer() -> PemSigner:
    """Says that it is the coordinator, with a key of its own."""
    return PemSigner(_pem("somebody else"), principal=COORDINATOR)


@pytest.fixture(scope="session")
def stranger() -> PemSigner:
    """Says that it is the coordinator, with a key that no registry has."""
    return PemSigner(_pem("a stranger"), principal=COORDINATOR)


@pytest.fixture(scope="session")
def registry(signer: PemSigner) -> Registry:
    return Registry({COORDINATOR: signer.public_key})


@pytest.fixture(scope="session")
def draft() -> Callable[..., dict[str, Any]]:
    """Makes an unsigned message, from the coordinator to h01 at AT unless told otherwise."""

    def make(**changes: Any) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "performative": Performative.REQUEST,
            "sender": COORDINATOR,
            "receiver": H01,
            "conversation_id": "if://conversation/s-1",
            "message_id": "if://message/0b7f4a52-93a4-4d0c-8a3e-6f1f6f2d9c11",
            "timestamp": AT,
            "content": {"task": "count the boats"},
            "citation": Citation("https://example.org/boats", "sha256:" + "ab" * 32),
        }
        return compose(**{**fields, **changes})

    return make
