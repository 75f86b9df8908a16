from __future__ import annotations

import json
import subprocess
import sys
from base64 import b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, x25519
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from infrafabric.bus.keys import BadKey, canonical_base64, public_key_bytes, public_key_of_der, public_key_text
from infrafabric.bus.registry import BadRegistry, Registry

P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P
H01 = "if://agent/h01"
PUBLIC = "ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="  # RFC 8032 7.1, TEST 1


def point(y: int, sign: int = 0) -> str:
    return public_key_text((y | sign << 255).to_bytes(32, "little"))


def der(key) -> str:
    return b64encode(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


def order_divides_8(y: int) -> bool:
    """By doubling three times. On the curve x² follows from y, and the doubled point's y from both."""
    for _ in range(3):
        xx = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
        y = (y * y + xx) * pow(2 - y * y + xx, -1, P) % P
    return y == 1


@given(st.binary(min_size=32, max_size=32))
def test_the_key_of_any_signer_is_accepted_and_keeps_its_bytes(seed):
    raw = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    assert public_key_bytes(public_key_text(raw)) == raw


ORDER_8 = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826


@pytest.mark.parametrize("sign", [0, 1])
@pytest.mark.parametrize("y", [0, 1, P - 1, ORDER_8, P - ORDER_8])
def test_a_key_of_small_order_is_refused(y, sign):
    assert order_divides_8(y)
    with pytest.raises(BadKey, match="small order"):
        public_key_bytes(point(y, sign))


@pytest.mark.parametrize("y", [P, P + 1, P + 3, 2**255 - 1])
def test_a_key_written_in_a_second_way_is_refused(y):
    with pytest.raises(BadKey, match="not canonical"):
        public_key_bytes(point(y))


def test_a_key_that_is_no_point_of_the_curve_is_refused():
    with pytest.raises(BadKey, match="not a point"):
        public_key_bytes(point(2))


@pytest.mark.parametrize(
    "text", ["", "ed25519:", point(3)[8:], "ED25519:" + point(3)[8:], point(3) + "\n", " " + point(3)]
)
def test_a_key_of_another_form_is_refused(text):
    with pytest.raises(BadKey, match="'ed25519:' and the standard base64"):
        public_key_bytes(text)


@given(st.binary(max_size=70), st.integers(0, 70))
def test_base64_is_read_in_its_one_way_alone(raw, size_bytes):
    text = b64encode(raw).decode()
    assert canonical_base64(text, size_bytes) == (raw if len(raw) == size_bytes else None)


@pytest.mark.parametrize("text", ["AAA", "AAAA", "AAB=", "AA=A", "AA-_", "AA\n=", "ÄAA=", "AA=="])
def test_any_other_base64_of_two_bytes_is_refused(text):
    assert canonical_base64(text, 2) is None


def test_the_key_that_kms_exports_becomes_the_text_of_the_registry():
    key = Ed25519PrivateKey.generate()
    assert public_key_of_der(der(key)) == public_key_text(key.public_key().public_bytes_raw())


@pytest.mark.parametrize(
    "key",
    [ec.generate_private_key(ec.SECP256R1()), x25519.X25519PrivateKey.generate(), ed448.Ed448PrivateKey.generate()],
    ids=["P-256", "X25519", "Ed448"],
)
def test_a_key_of_another_curve_is_refused_with_the_spec_that_it_needs(key):
    with pytest.raises(BadKey, match="ECC_NIST_EDWARDS25519"):
        public_key_of_der(der(key))


def test_a_weak_key_is_refused_in_der_too():
    spki = bytes.fromhex("302a300506032b6570032100") + (1).to_bytes(32, "little")
    with pytest.raises(BadKey, match="small order"):
        public_key_of_der(b64encode(spki).decode())


def test_what_signs_through_kms_or_reads_a_key_does_not_load_cryptography():
    modules = "infrafabric.bus.keys, infrafabric.bus.envelope, infrafabric.bus.signing, infrafabric.bus.claim_check"
    code = f"import sys, {modules}; sys.exit('cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_registry_gives_the_key_of_whom_it_knows(signer):
    registry = Registry.parse(json.dumps({H01: signer.public_key}).encode())
    (key,) = registry.keys_of(H01)
    assert key.text == signer.public_key
    assert key.verifier is key.verifier, "loaded once"
    assert registry.keys_of("if://agent/h02") == ()


def test_a_registry_gives_the_current_and_the_previous_key_in_order(signer, other_signer):
    texts = [signer.public_key, other_signer.public_key]
    registry = Registry.parse(json.dumps({H01: texts}).encode())
    assert [key.text for key in registry.keys_of(H01)] == texts


def test_a_list_of_one_key_is_the_same_as_the_key(signer):
    text = signer.public_key
    assert Registry({H01: [text]}).keys_of(H01) == Registry({H01: text}).keys_of(H01)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"{", "cannot be read: not-json"),
        (b"[]", "not a JSON object"),
        (b'{"if://agent/h01": "x", "if://agent/h01": "y"}', "cannot be read: duplicate-key"),
        (b'{"h01": "x"}', "registry entry 'h01': a principal is if://agent/<name>"),
        (b'{"if://agent/h01": null}', "registry entry if://agent/h01: a public key is"),
        (b'{"if://agent/h01": "ed25519:AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}', "h01: .*small order"),
        (b'{"if://agent/h01": []}', "registry entry if://agent/h01: has 0 keys, must be one or 2"),
        (b'{"if://agent/h01": ["a", "b", "c"]}', "registry entry if://agent/h01: has 3 keys, must be one or 2"),
        (b'{"if://agent/h01": ["x"]}', "registry entry if://agent/h01: a public key is"),
        (b'{"if://agent/h01": {"key": "x"}}', "registry entry if://agent/h01: a public key is"),
        (json.dumps({H01: [PUBLIC, PUBLIC]}).encode(), "registry entry if://agent/h01: lists a key twice"),
    ],
)
def test_a_bad_registry_is_refused_whole_and_names_the_entry(raw, message):
    with pytest.raises(BadRegistry, match=message) as error:
        Registry.parse(raw)
    assert "\n" not in str(error.value)
