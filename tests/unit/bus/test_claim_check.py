from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from infrafabric.bus.claim_check import check_in, check_out, is_reference
from infrafabric.bus.envelope import signed_form
from infrafabric.bus.refusal import Reason, Refused
from infrafabric.bus.signing import KMS_RAW_BYTES

BUCKET = "if-results"


class Bucket(dict[str, bytes]):
    """Objects by key."""

    def put(self, key: str, body: bytes) -> None:
        self[key] = body

    def get_at_most(self, key: str, max_bytes: int) -> bytes:
        return self[key][:max_bytes]


def checked_in(message, bucket: Bucket):
    return check_in(message, put=bucket.put, bucket=BUCKET)


def reason_of(content, bucket: Bucket) -> Reason:
    with pytest.raises(Refused) as refusal:
        check_out(content, get=bucket.get_at_most, bucket=BUCKET)
    return refusal.value.reason


@given(size=st.integers(3300, 3700), char=st.sampled_from("xé😀"))
@example(size=200_000, char="x")
def test_content_is_stored_exactly_when_the_signed_form_would_be_too_large(draft, size, char):
    message, bucket = draft(content={"text": char * (size // len(char.encode()))}), Bucket()
    reduced = checked_in(message, bucket)
    assert bool(bucket) is (len(signed_form(message)) > KMS_RAW_BYTES)
    assert len(signed_form(reduced)) <= KMS_RAW_BYTES
    assert check_out(reduced["content"], get=bucket.get_at_most, bucket=BUCKET) == message["content"]
    assert {**reduced, "content": None} == {**message, "content": None}, "nothing but the content changed"


def test_the_same_content_is_stored_once(draft):
    bucket = Bucket()
    for name in ("h01", "h02"):
        checked_in(draft(content={"text": "x" * 5000}, receiver=f"if://agent/{name}"), bucket)
    ((key, body),) = bucket.items()
    digest = hashlib.sha256(body).hexdigest()
    assert key == f"claim-check/{digest[:2]}/{digest}.json"


def test_content_that_looks_like_a_reference_is_stored_and_comes_back_as_it_was(draft):
    bucket = Bucket()
    lookalike = {"s3_uri": "s3://elsewhere/secrets", "sha256": "x", "size_bytes": 1}
    reduced = checked_in(draft(content=lookalike), bucket)
    assert is_reference(reduced["content"])
    assert check_out(reduced["content"], get=bucket.get_at_most, bucket=BUCKET) == lookalike


def test_content_over_4_mib_is_refused_before_it_is_stored(draft):
    bucket = Bucket()
    with pytest.raises(Refused, match="oversized: content of 4194315 bytes"):
        checked_in(draft(content={"text": "x" * 4 * 1024 * 1024}), bucket)
    assert not bucket


def test_a_message_that_cannot_be_signed_stores_nothing(draft):
    bucket = Bucket()
    with pytest.raises(Refused, match="bad-principal"):
        checked_in(draft(content={"text": "x" * 5000}, receiver="h01"), bucket)
    assert not bucket


@pytest.mark.parametrize(
    "change",
    [
        {"s3_uri": "s3://elsewhere/claim-check/x.json"},
        {"s3_uri": None},
        {"sha256": "AB" * 32},
        {"sha256": 1},
        {"sha256": "../" * 21 + "x"},
        {"size_bytes": True},
        {"size_bytes": 1},
        {"size_bytes": 4 * 1024 * 1024 + 1},
        {"size_bytes": 5000.0},
    ],
    ids=str,
)
def test_a_reference_that_is_not_ours_is_refused_before_anything_is_fetched(draft, change):
    reference = checked_in(draft(content={"text": "x" * 5000}), Bucket())["content"]
    assert reason_of({**reference, **change}, Bucket()) is Reason.BAD_REFERENCE


@pytest.mark.parametrize("swap", [lambda b: b.replace(b"x", b"y"), lambda b: b + b" ", lambda b: b[:-1]])
def test_an_object_that_was_changed_is_refused(draft, swap):
    bucket = Bucket()
    reference = checked_in(draft(content={"text": "x" * 5000}), bucket)["content"]
    changed = Bucket({key: swap(body) for key, body in bucket.items()})
    assert reason_of(reference, changed) is Reason.CONTENT_MISMATCH


@pytest.mark.parametrize(
    ("body", "reason"),
    [(b"[1,2]", Reason.BAD_CONTENT), (b'{"a":1,"a":2}', Reason.DUPLICATE_KEY), (b"{]", Reason.NOT_JSON)],
)
def test_stored_content_is_read_as_strictly_as_a_message(body, reason):
    digest = hashlib.sha256(body).hexdigest()
    key = f"claim-check/{digest[:2]}/{digest}.json"
    reference = {"s3_uri": f"s3://{BUCKET}/{key}", "sha256": digest, "size_bytes": len(body)}
    assert reason_of(json.loads(json.dumps(reference)), Bucket({key: body})) is reason


def test_no_more_is_fetched_than_the_reference_announces(draft):
    bucket = Bucket()
    reference = checked_in(draft(content={"text": "x" * 5000}), bucket)["content"]
    asked: list[int] = []

    def get(key: str, max_bytes: int) -> bytes:
        asked.append(max_bytes)
        return bucket.get_at_most(key, max_bytes)

    check_out(reference, get=get, bucket=BUCKET)
    assert asked == [reference["size_bytes"] + 1]
