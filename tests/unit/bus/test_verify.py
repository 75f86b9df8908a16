from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from infrafabric.bus.envelope import parse, sign
from infrafabric.bus.refusal import Reason, Refused
from infrafabric.bus.registry import Registry
from infrafabric.bus.verify import verify

AT = 1_764_000_000_000
FIVE_MINUTES_MS = 300_000
COORDINATOR, H01, H02 = "if://agent/coordinator", "if://agent/h01", "if://agent/h02"


def reason_of(raw, **how) -> Reason | None:
    try:
        verify(raw, **how)
    except Refused as refusal:
        return refusal.reason
    return None


@given(now_ms=st.integers(AT - 400_000, AT + 400_000))
@example(now_ms=AT - FIVE_MINUTES_MS)
@example(now_ms=AT - FIVE_MINUTES_MS - 1)
@example(now_ms=AT + FIVE_MINUTES_MS)
@example(now_ms=AT + FIVE_MINUTES_MS + 1)
def test_without_reply_by_a_message_is_good_for_five_minutes_either_way(signer, registry, draft, now_ms):
    reason = reason_of(sign(draft(), signer), registry=registry, now_ms=now_ms)
    if now_ms < AT - FIVE_MINUTES_MS:
        assert reason is Reason.FROM_THE_FUTURE
    else:
        assert reason is (Reason.STALE if now_ms > AT + FIVE_MINUTES_MS else None)


@given(wait_ms=st.integers(1, 14 * 86_400_000), after_ms=st.integers(-2, 2))
def test_with_reply_by_a_message_is_good_until_then(signer, registry, draft, wait_ms, after_ms):
    raw = sign(draft(reply_by=AT + wait_ms), signer)
    reason = reason_of(raw, registry=registry, now_ms=AT + wait_ms + after_ms)
    assert reason is (Reason.STALE if after_ms > 0 else None)


def test_reply_by_lets_no_message_from_the_future_in(signer, registry, draft):
    raw = sign(draft(reply_by=AT + 86_400_000), signer)
    assert reason_of(raw, registry=registry, now_ms=AT - FIVE_MINUTES_MS - 1) is Reason.FROM_THE_FUTURE


def test_a_message_is_for_its_receiver_alone_unless_anyone_may_read(signer, registry, draft):
    raw = sign(draft(), signer)
    assert reason_of(raw, registry=registry, now_ms=AT, receiver=H01) is None
    assert reason_of(raw, registry=registry, now_ms=AT, receiver=H02) is Reason.WRONG_RECEIVER
    assert reason_of(raw, registry=registry, now_ms=AT) is None


def test_the_key_of_the_registry_counts_and_not_the_one_brought_along(signer, other_signer, draft):
    forged = sign(draft(), other_signer)
    trusting = Registry({COORDINATOR: signer.public_key})
    assert reason_of(forged, registry=trusting, now_ms=AT) is Reason.KEY_MISMATCH
    dressed_up = forged.replace(other_signer.public_key.encode(), signer.public_key.encode())
    assert reason_of(dressed_up, registry=trusting, now_ms=AT) is Reason.TAMPERED
    assert reason_of(forged, registry=Registry({}), now_ms=AT) is Reason.UNKNOWN_SENDER


def test_during_a_rotation_the_current_and_the_previous_key_are_both_trusted(signer, other_signer, draft):
    rotating = Registry({COORDINATOR: [other_signer.public_key, signer.public_key]})
    for each in (signer, other_signer):
        assert reason_of(sign(draft(), each), registry=rotating, now_ms=AT) is None


def test_a_signature_counts_only_for_the_key_that_the_message_states(signer, other_signer, draft):
    rotating = Registry({COORDINATOR: [other_signer.public_key, signer.public_key]})
    relabelled = sign(draft(), signer).replace(signer.public_key.encode(), other_signer.public_key.encode())
    assert reason_of(relabelled, registry=rotating, now_ms=AT) is Reason.TAMPERED


def test_a_key_mismatch_names_every_trusted_key(signer, other_signer, stranger, draft):
    rotating = Registry({COORDINATOR: [other_signer.public_key, signer.public_key]})
    with pytest.raises(Refused) as refusal:
        verify(sign(draft(), stranger), registry=rotating, now_ms=AT)
    assert refusal.value.detail == (
        f"the message states {stranger.public_key}, the registry has {other_signer.public_key} and "
        f"{signer.public_key} for {COORDINATOR}"
    )


def test_of_several_faults_the_first_check_gives_the_reason(signer, registry, draft):
    raw = sign(draft(receiver=H02), signer)
    late = {"now_ms": AT + 10**9, "receiver": H01}
    assert reason_of(raw[:-1], registry=Registry({}), **late) is Reason.NOT_JSON
    assert reason_of(raw, registry=Registry({}), **late) is Reason.UNKNOWN_SENDER
    assert reason_of(raw.replace(b"boats", b"goats"), registry=registry, **late) is Reason.TAMPERED
    assert reason_of(raw, registry=registry, **late) is Reason.WRONG_RECEIVER
    assert reason_of(raw, registry=registry, now_ms=AT + 10**9, receiver=H02) is Reason.STALE


def test_a_string_is_judged_as_its_bytes(signer, registry, draft):
    raw = sign(draft(content={"text": "é"}), signer)
    assert verify(raw.decode(), registry=registry, now_ms=AT) == verify(raw, registry=registry, now_ms=AT)
    assert reason_of("\ud800", registry=registry, now_ms=AT) is Reason.NOT_JSON
    assert parse(raw.decode()).signed == parse(raw).signed
