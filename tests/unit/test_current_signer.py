"""Selection of the signing key: a rotation leaves no moment in which a reader lacks the key of a message."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from hypothesis import example, given
from hypothesis import strategies as st

from infrafabric.aws_adapters.current_signer import CurrentSigner, SigningKey, signing_keys
from infrafabric.aws_adapters.key_registry import KeyRegistry
from infrafabric.bus.registry import RegistryUnavailableError
from infrafabric.environment import SigningEnvironment

PRINCIPAL = "if://agent/h01"
OLD = "ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
NEW = "ed25519:PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw="  # both of RFC 8032's examples
START = datetime(2026, 1, 1, tzinfo=UTC)
BOTH = (SigningKey(arn="arn:new", public_key=NEW), SigningKey(arn="arn:old", public_key=OLD))


def format_http_date(moment: datetime) -> str:
    return format_datetime(moment, usegmt=True)


@dataclass
class Bucket:
    """S3 with the registry object. S3 writes its times in whole seconds, by its own clock."""

    now_s: float = 0.0
    keys: Sequence[str] = (OLD,)
    written_s: float = 0.0
    down: bool = False
    date: Callable[[datetime], str] = format_http_date

    def write(self, *keys: str) -> None:
        self.keys, self.written_s = keys, self.now_s

    def get_object(self, **request: Any) -> dict[str, Any]:
        if self.down:
            raise EndpointConnectionError(endpoint_url="https://s3")
        return {
            "Body": io.BytesIO(json.dumps({PRINCIPAL: list(self.keys)}).encode()),
            "LastModified": START + timedelta(seconds=int(self.written_s)),
            "ResponseMetadata": {"HTTPHeaders": {"date": self.date(START + timedelta(seconds=int(self.now_s)))}},
        }

    def registry(self) -> KeyRegistry:
        return KeyRegistry(self, "s3://state/keys.json", clock=lambda: self.now_s)


class Kms:
    """KMS that signs nothing: the tests look at the selected key only."""

    def sign(self, **request: Any) -> dict[str, Any]:
        raise NotImplementedError


def signer(bucket: Bucket, keys: Sequence[SigningKey] = BOTH) -> CurrentSigner:
    return CurrentSigner(Kms(), principal=PRINCIPAL, keys=keys, registry=bucket.registry())


@given(
    read_s=st.floats(0, 300),
    rotated_s=st.floats(0, 300),
    signer_read_s=st.floats(0, 300),
    signed_s=st.floats(0, 600),
)
@example(read_s=100.8, rotated_s=100.9, signer_read_s=101.0, signed_s=160.5)
@example(read_s=99.9, rotated_s=100.0, signer_read_s=159.0, signed_s=159.9)
def test_no_message_is_signed_with_a_key_that_a_reader_does_not_trust_yet(read_s, rotated_s, signer_read_s, signed_s):
    bucket = Bucket()
    reader, current = bucket.registry(), signer(bucket)
    signers = []
    moments = [
        (read_s, reader),
        (rotated_s, lambda: bucket.write(NEW, OLD)),
        (max(signer_read_s, rotated_s), current),  # the new version starts after the registry is written
        (max(signed_s, signer_read_s, rotated_s), lambda: signers.append(current())),
    ]
    for bucket.now_s, act in sorted(moments, key=lambda moment: moment[0]):
        act()
    assert signers[0].public_key in {key.text for key in reader().keys_of(PRINCIPAL)}


def test_the_new_key_signs_once_every_reader_has_read_the_registry_again():
    bucket = Bucket()
    bucket.write(NEW, OLD)
    current = signer(bucket)
    bucket.now_s = 89.0
    assert current().public_key == OLD
    bucket.now_s = 90.0
    assert current().public_key == NEW


def test_a_date_that_a_second_server_added_does_not_matter():
    bucket = Bucket(date=lambda moment: f"{format_http_date(moment)}, {format_http_date(moment)}")
    bucket.write(NEW, OLD)
    current = signer(bucket)
    assert current().public_key == OLD
    bucket.now_s = 90.0
    assert current().public_key == NEW


@pytest.mark.parametrize("date", ["", "yesterday"])
def test_without_a_date_the_previous_key_signs_until_it_is_retired(date):
    bucket = Bucket(date=lambda _: date)
    bucket.write(NEW, OLD)
    current = signer(bucket)
    bucket.now_s = 3600.0
    assert current().public_key == OLD
    bucket.write(NEW)
    bucket.now_s += 61.0
    assert current().public_key == NEW


def test_the_only_key_signs_at_once():
    bucket = Bucket()
    bucket.write(NEW)
    assert signer(bucket, BOTH[:1])().public_key == NEW


def test_a_retired_key_signs_nothing_although_the_function_still_has_it():
    bucket = Bucket()
    bucket.write(NEW)
    assert signer(bucket)().public_key == NEW


def test_a_version_without_a_trusted_key_says_so_instead_of_signing():
    bucket = Bucket()
    bucket.write(NEW)
    with pytest.raises(LookupError, match=r"no signing key of this version of if://agent/h01: .* \(pulumi up\)"):
        signer(bucket, BOTH[1:])()


def test_without_s3_the_registry_of_before_decides_since_readers_verify_with_their_own():
    bucket = Bucket()
    current = signer(bucket, BOTH[1:])
    current()
    bucket.now_s, bucket.down = 3600.0, True
    assert current().public_key == OLD


def test_a_registry_that_was_never_read_is_told():
    with pytest.raises(RegistryUnavailableError, match=r"s3://state/keys\.json cannot be read: "):
        signer(Bucket(down=True))()


def test_the_previous_key_comes_from_the_environment_while_there_is_one():
    fields = {"signing_key_arn": "arn:new", "signing_public_key": NEW, "registry_uri": "s3://state/keys.json"}
    alone = SigningEnvironment.model_validate(fields)
    assert signing_keys(alone) == BOTH[:1]
    previous = {"previous_signing_key_arn": "arn:old", "previous_signing_public_key": OLD}
    assert signing_keys(SigningEnvironment.model_validate({**fields, **previous})) == BOTH
