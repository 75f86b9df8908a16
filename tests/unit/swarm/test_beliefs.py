"""What the coordinator believes of answers, which anybody may send to a callback, and of objects."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from infrafabric.bus.envelope import Citation, compose, sign
from infrafabric.bus.registry import Registry
from infrafabric.bus.structure import Performative
from infrafabric.bus.uris import COORDINATOR, agent_uri, conversation_uri, new_message_id
from infrafabric.swarm.beliefs import believed_answer, believed_object
from infrafabric.swarm.failure_reasons import NOT_NEEDED
from infrafabric.swarm.limits import MAX_ANSWER_CHARS
from infrafabric.swarm.object_keys import result_key
from infrafabric.swarm.result_document import stored_bytes
from infrafabric.swarm.round_settlement import attempt_id
from infrafabric.swarm.shapes.attempt import Attempt
from infrafabric.swarm.shapes.records import TaskRecord
from tests.unit.swarm.coordination import COST, NOW, REGISTRY, WORST, Asked, signer
from tests.unit.swarm.orders import KEY, an_order

ATTEMPT = Attempt(index=0, number=0, agent="h01", allowance_nusd=WORST, message_id=new_message_id())
ID = attempt_id(an_order(), ATTEMPT)
ASKED = Asked.of(ATTEMPT)
STORED = stored_bytes(ASKED.document())
DONE = TaskRecord.of(KEY, ASKED.result(STORED), model="test-model", at_ms=NOW).write()
FAILED = {**DONE, "status": "FAILED", "reason": "model-refusal"}
DECLINED = {**FAILED, "reason": "budget", "s3_key": "", "evidence_hash": "", "size_bytes": 0}
ANSWERS = [(Performative.INFORM, DONE), (Performative.FAILURE, FAILED), (Performative.REFUSE, DECLINED)]


def answer(performative: Performative, content: dict[str, Any], *, by: str = "h01", **changes: Any) -> str:
    """Return an answer that is signed by agent ``by``, with these members of the envelope changed."""
    members = {
        "performative": performative,
        "sender": agent_uri(by),
        "receiver": COORDINATOR,
        "conversation_id": conversation_uri("s1"),
        "message_id": new_message_id(),
        "timestamp": NOW,
        "content": content,
        "citation": Citation("if://task/s1/t0001", f"sha256:{'0' * 64}"),
        "reply_by": NOW + 1,
        "in_reply_to": ATTEMPT.message_id,
        **changes,
    }
    return sign(compose(**members), signer(agent_uri(by))).decode()


def believed(payload: str, registry: Registry = REGISTRY) -> bool:
    return believed_answer(payload, ID, registry) is not None


SIGNED = answer(Performative.INFORM, DONE)


@pytest.mark.parametrize(("performative", "content"), ANSWERS)
def test_an_answer_of_the_agent_that_was_asked_is_believed(performative: Performative, content: dict[str, Any]) -> None:
    record = believed_answer(answer(performative, content), ID, REGISTRY)
    assert record is not None
    assert record.write() == content


def test_an_answer_is_believed_whatever_its_age_so_that_a_replay_comes_to_the_same_end() -> None:
    assert believed(answer(Performative.INFORM, DONE, timestamp=1, reply_by=2))


@given(st.integers(0, len(SIGNED) - 1), st.characters(min_codepoint=32, max_codepoint=126))
def test_no_character_of_an_answer_can_be_changed(at: int, char: str) -> None:
    changed = SIGNED[:at] + char + SIGNED[at + 1 :]
    with suppress(ValueError):  # no JSON any more: not believed, either
        assume(json.loads(changed) != json.loads(SIGNED))
    assert not believed(changed)


@pytest.mark.parametrize("payload", ["", "cancelled", "{}", "[" * 100_000, json.dumps(DONE), "\ud83d"])
def test_what_is_not_signed_is_silence(payload: str) -> None:
    assert not believed(payload)


@pytest.mark.parametrize("by", ["h02", "h09"])
def test_an_agent_cannot_answer_for_another_one(by: str) -> None:
    assert not believed(answer(Performative.INFORM, DONE, by=by))
    assert not believed(answer(Performative.INFORM, {**DONE, "agent": by}, by=by))


def test_an_agent_whose_key_is_not_trusted_is_not_believed() -> None:
    assert not believed(SIGNED, Registry({}))
    assert not believed(SIGNED, Registry({agent_uri("h01"): signer(agent_uri("h02")).public_key}))


@given(st.sampled_from(ANSWERS), st.sampled_from(sorted(DONE)), st.data())
def test_an_agent_can_state_no_other_identity_than_that_of_the_request(
    honest: tuple[Performative, dict[str, Any]], name: str, data: st.DataObject
) -> None:
    """Also with its own key: an answer to one request is none to another."""
    performative, content = honest
    free = {"model", "at_ms", "cost_nusd", "reason"}  # judged by their form, or not at all
    proven = {"evidence_hash", "size_bytes", "tokens_in", "tokens_out"}  # by the object, if there is one
    assume(name not in free | (set() if performative is Performative.REFUSE else proven))
    other = st.text(max_size=8) if isinstance(content[name], str) else st.integers(-3, 1 << 52)
    value = data.draw(other)
    assume(value != content[name])
    assert not believed(answer(performative, {**content, name: value}))


@pytest.mark.parametrize(
    ("performative", "content", "changes"),
    [
        (Performative.INFORM, DONE, {"in_reply_to": new_message_id()}),
        (Performative.INFORM, DONE, {"in_reply_to": None}),
        (Performative.INFORM, DONE, {"receiver": agent_uri("h02")}),
        (Performative.FAILURE, DONE, {}),
        (Performative.REFUSE, DONE, {}),
        (Performative.INFORM, FAILED, {}),
        (Performative.INFORM, DECLINED, {}),
        (Performative.FAILURE, DECLINED, {}),
        (Performative.REFUSE, FAILED, {}),
        (Performative.AGREE, DONE, {}),
        (Performative.CANCEL, DECLINED, {}),
    ],
)
def test_an_answer_fits_its_performative_its_request_and_its_receiver(
    performative: Performative, content: dict[str, Any], changes: dict[str, Any]
) -> None:
    assert not believed(answer(performative, content, **changes))


PLACES = [
    result_key(KEY, "h02", "t0001", 0),
    result_key(KEY, "h01", "t0002", 0),
    result_key(KEY, "h01", "t0001", 1),
    result_key(KEY._replace(session_id="s2"), "h01", "t0001", 0),
    result_key(KEY._replace(epoch=2), "h01", "t0001", 0),
    f"{ATTEMPT.place(KEY)}/../x",
    "",
]


@pytest.mark.parametrize("place", PLACES)
def test_an_answer_names_no_other_place_than_the_one_that_was_asked_for(place: str) -> None:
    assert not believed(answer(Performative.INFORM, {**DONE, "s3_key": place}))


@pytest.mark.parametrize(
    "changes",
    [
        {"reason": ""},
        {"reason": "x" * 61},
        {"reason": "two\nlines"},
        {"reason": " "},
        {"reason": NOT_NEEDED},  # a task with this reason counts as skipped, not as failed
        {"reason": "b\u00fcdget"},
        {"model": ""},
        {"model": "m" * 201},
        {"model": "m\u0000"},
        {"cost_nusd": -1},
        {"tokens_in": 1 << 52},
        {"tokens_out": -1},
        {"size_bytes": 1},
        {"evidence_hash": "x" * 1_000},
    ],
    ids=repr,
)
def test_a_refusal_states_nothing_that_no_object_proves(changes: dict[str, Any]) -> None:
    """Its members go into the session's items and into history, together with those of other agents."""
    assert not believed(answer(Performative.REFUSE, {**DECLINED, **changes}))


@pytest.mark.parametrize("chars", [MAX_ANSWER_CHARS, MAX_ANSWER_CHARS + 1])
def test_an_answer_that_is_padded_with_white_space_is_believed_up_to_a_limit(chars: int) -> None:
    assert believed(SIGNED + " " * (chars - len(SIGNED))) is (chars == MAX_ANSWER_CHARS)


def test_an_answer_may_claim_any_cost_and_the_ledger_pays_the_allowance_at_most() -> None:
    record = believed_answer(answer(Performative.REFUSE, {**DECLINED, "cost_nusd": 9_000_000 * 10**9}), ID, REGISTRY)
    assert record is not None


# -- objects -----------------------------------------------------------------------------------------------------------

RECORD = TaskRecord.read(DONE)


def test_an_object_is_believed_if_the_answer_states_its_hash_and_size() -> None:
    found = believed_object(STORED, ID, RECORD)
    assert found is not None
    assert found.result.cost_nusd == COST


def test_without_an_answer_the_object_in_the_place_speaks_for_itself() -> None:
    assert believed_object(STORED, ID, None) == believed_object(STORED, ID, RECORD)


def test_an_answer_without_its_object_is_not_believed() -> None:
    assert believed_object(None, ID, RECORD) is None
    assert believed_object(None, ID, None) is None


@given(st.integers(0, len(STORED) - 1), st.integers(0, 255))
def test_no_byte_of_an_object_can_be_changed_behind_its_answer(at: int, byte: int) -> None:
    changed = STORED[:at] + bytes([byte]) + STORED[at + 1 :]
    assume(changed != STORED)
    assert believed_object(changed, ID, RECORD) is None


@pytest.mark.parametrize("changes", [{"evidence_hash": f"sha256:{'0' * 64}"}, {"size_bytes": 1}, {"status": "FAILED"}])
def test_an_answer_that_states_another_object_makes_neither_believed(changes: dict[str, Any]) -> None:
    assert believed_object(STORED, ID, TaskRecord.read({**DONE, **changes})) is None


def test_an_object_of_another_attempt_is_not_believed() -> None:
    other = attempt_id(an_order(), ATTEMPT.model_copy(update={"number": 1}))
    assert believed_object(STORED, other, None) is None
