"""Signers: one KMS key per principal. pem.py has the signer with a local key, which needs ``cryptography``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

KMS_RAW_BYTES = 4096  # KMS Sign, Message: the most that MessageType RAW takes, and pure Ed25519 has no digest form


class SigningError(Exception):
    """Message that the signer cannot sign."""


class Signer(Protocol):
    """Signer of one principal. ``public_key`` is text: ``ed25519:<base64>``."""

    @property
    def principal(self) -> str: ...

    @property
    def public_key(self) -> str: ...

    def sign(self, data: bytes) -> bytes:
        """Return the 64 bytes of the Ed25519 signature (RFC 8032, not prehashed) of ``data``."""
        ...


class KmsClient(Protocol):
    """Operations of boto3's ``kms`` client that the signer uses."""

    def sign(self, **request: Any) -> Mapping[str, Any]: ...


class KmsSigner:
    """Signer with an AWS KMS key of spec ECC_NIST_EDWARDS25519, whose private half never leaves KMS."""

    def __init__(self, kms: KmsClient, *, key_id: str, principal: str, public_key: str) -> None:
        """Remember the key: ``key_id`` is its id, ARN or alias, ``public_key`` its public half as in the registry."""
        self.principal = principal
        self.public_key = public_key
        self._kms = kms
        self._key_id = key_id

    def sign(self, data: bytes) -> bytes:
        """Sign with one KMS call.

        Raises:
            SigningError: ``data`` is over 4,096 bytes, or the key is not an Ed25519 key.
            botocore.exceptions.ClientError: KMS refused the call.
        """
        if len(data) > KMS_RAW_BYTES:
            text = f"the message is {len(data)} bytes in canonical form and KMS signs {KMS_RAW_BYTES} at most"
            raise SigningError(f"{text}: move its content to S3 first (infrafabric.bus.claim_check.check_in)")
        # ED25519_SHA_512 with RAW is pure Ed25519. ED25519_PH_SHA_512 with DIGEST is Ed25519ph, another signature.
        answer = self._kms.sign(KeyId=self._key_id, Message=data, MessageType="RAW", SigningAlgorithm="ED25519_SHA_512")
        signature = bytes(answer["Signature"])
        if len(signature) != 64:
            raise SigningError(
                f"{self._key_id} gave {len(signature)} bytes: its key spec must be ECC_NIST_EDWARDS25519"
            )
        return signature
