from __future__ import annotations

from typing import Any

import botocore.session
import pytest
from botocore.model import StructureShape
from botocore.validate import validate_parameters
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from infrafabric.bus.claim_check import check_in
from infrafabric.bus.envelope import sign
from infrafabric.bus.keys import public_key_text
from infrafabric.bus.pem import PemSigner
from infrafabric.bus.refusal import Refused
from infrafabric.bus.registry import Registry
from infrafabric.bus.signing import KMS_RAW_BYTES, KmsSigner, SigningError
from infrafabric.bus.verify import verify

AT = 1_764_000_000_000
COORDINATOR, H01 = "if://agent/coordinator", "if://agent/h01"
SIGN = botocore.session.get_session().get_service_model("kms").shape_for("SignRequest")
assert isinstance(SIGN, StructureShape)


class LocalKms:
    """KMS's Sign as its API model describes it, with one Ed25519 key under alias/coordinator."""

    def __init__(self) -> None:
        self.key = Ed25519PrivateKey.generate()
        self.signs_with = self.key.sign

    def sign(self, **request: Any) -> dict[str, Any]:
        validate_parameters(request, SIGN)
        assert len(request["Message"]) <= SIGN.members["Message"].metadata["max"]
        assert request["SigningAlgorithm"] in SIGN.members["SigningAlgorithm"].enum
        assert (request["SigningAlgorithm"], request["MessageType"]) == ("ED25519_SHA_512", "RAW"), "pure Ed25519"
        assert request["KeyId"] == "alias/coordinator"
        return {"Signature": self.signs_with(request["Message"])}


@pytest.fixture
def kms():
    return LocalKms()


@pytest.fixture
def kms_signer(kms):
    public_key = public_key_text(kms.key.public_key().public_bytes_raw())
    return KmsSigner(kms, key_id="alias/coordinator", principal=COORDINATOR, public_key=public_key)


def test_a_message_signed_by_kms_verifies(kms_signer, draft):
    raw = sign(draft(), kms_signer)
    registry = Registry({COORDINATOR: kms_signer.public_key})
    assert verify(raw, registry=registry, now_ms=AT, receiver=H01).sender == COORDINATOR


def test_our_limit_is_the_one_of_the_kms_api():
    assert SIGN.members["Message"].metadata["max"] == KMS_RAW_BYTES


def test_more_than_kms_takes_is_refused_with_the_way_out(kms_signer, draft):
    with pytest.raises(SigningError, match=r"KMS signs 4096 at most: move its content to S3 first .*check_in"):
        sign(draft(content={"text": "x" * 4096}), kms_signer)


def test_what_was_checked_in_fits_kms(kms_signer, draft):
    longest = {"receiver": "if://agent/" + "h" * 245, "conversation_id": "if://conversation/" + "c" * 238}
    message = draft(content={"text": "x" * 4096}, in_reply_to=draft()["message_id"], reply_by=AT + 1, **longest)
    stored: dict[str, bytes] = {}
    reduced = check_in(message, put=stored.__setitem__, bucket="b" * 63)
    registry = Registry({COORDINATOR: kms_signer.public_key})
    assert verify(sign(reduced, kms_signer), registry=registry, now_ms=AT).content == reduced["content"]
    assert len(stored) == 1


def test_a_kms_key_of_another_spec_is_named(kms, kms_signer, draft):
    other = ec.generate_private_key(ec.SECP256R1())
    kms.signs_with = lambda data: other.sign(data, ec.ECDSA(SHA256()))
    with pytest.raises(SigningError, match=r"alias/coordinator gave .* must be ECC_NIST_EDWARDS25519"):
        sign(draft(), kms_signer)


def pem_of(key: Any, encryption: Any = None) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


@pytest.mark.parametrize(
    ("pem", "message"),
    [
        (b"", "not a private key in PEM form"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "not a private key in PEM form"),
        (pem_of(ec.generate_private_key(ec.SECP256R1())), "not an Ed25519 key"),
        (pem_of(Ed25519PrivateKey.generate(), BestAvailableEncryption(b"secret")), "encrypted"),
    ],
    ids=["empty", "garbage", "P-256", "encrypted"],
)
def test_a_pem_that_cannot_sign_is_refused_in_one_line(pem, message):
    with pytest.raises(SigningError, match=message) as error:
        PemSigner(pem, principal=H01)
    assert "\n" not in str(error.value)


def test_a_local_key_signs_as_its_principal_alone(pem, draft):
    with pytest.raises(Refused, match="cannot sign as sender if://agent/coordinator"):
        sign(draft(), PemSigner(pem, principal=H01))
