"""Result documents, which an agent may have filled with anything."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from infrafabric.bus.uris import new_message_id
from infrafabric.swarm.evidence import evidence_hash
from infrafabric.swarm.failure_reasons import NOT_NEEDED
from infrafabric.swarm.limits import MAX_FINDINGS, MAX_FINDINGS_BYTES, MAX_RESULT_BYTES
from infrafabric.swarm.result_document import AttemptId, read_result, stored_bytes, within_limits
from infrafabric.swarm.round_settlement import attempt_id
from infrafabric.swarm.session_key import SessionKey
from infrafabric.swarm.shapes.attempt import Attempt
from infrafabric.swarm.status import TaskStatus
from tests.unit.swarm.coordination import COST, WORST, Asked
from tests.unit.swarm.orders import KEY, an_order

ATTEMPT = Attempt(index=0, number=0, agent="h01", allowance_nusd=WORST, message_id=new_message_id())
ID = attempt_id(an_order(), ATTEMPT)
FINDING = {"text": "a fact", "confidence": 0.5, "sources": ["https://example.org"]}
FAILED = {"status": "FAILED", "error": {"reason": "model-refusal", "detail": "no"}}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),  # also half surrogate pairs
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def document(**changes: Any) -> dict[str, Any]:
    return {**Asked.of(ATTEMPT).document(findings=[FINDING]), **changes}


def raw(value: object) -> bytes:
    return json.dumps(value).encode()


def test_a_result_is_what_its_document_says_with_the_hash_and_size_of_its_bytes() -> None:
    stored = stored_bytes(document())
    read = read_result(stored, ID)
    assert read is not None
    assert (read.findings, read.model) == ([FINDING], "test-model")
    assert read.result.write() == {
        "task_id": "t0001",
        "agent": "h01",
        "attempt": 0,
        "status": "DONE",
        "s3_key": ATTEMPT.place(KEY),
        "evidence_hash": evidence_hash(stored),
        "size_bytes": len(stored),
        "tokens_in": 1,
        "tokens_out": 1,
        "cost_nusd": COST,
        "reason": "",
    }


def test_a_failed_attempt_has_a_reason_and_no_findings() -> None:
    read = read_result(raw(document(**FAILED)), ID)
    assert read is not None
    assert (read.result.status, read.result.reason, read.findings) == (TaskStatus.FAILED, "model-refusal", [])


@given(st.sampled_from(sorted(ID.members)), JSON)
def test_a_document_with_another_value_for_any_part_of_its_identity_is_not_believed(name: str, value: Any) -> None:
    assume(value != ID.members[name])
    assert read_result(raw(document(**{name: value})), ID) is None
    assert read_result(raw({member: held for member, held in document().items() if member != name}), ID) is None


OTHERS = [
    replace(ID, key=KEY._replace(session_id="s2")),
    replace(ID, key=KEY._replace(home="us-west-2")),
    replace(ID, key=SessionKey(*KEY[:2], epoch=2)),
    replace(ID, task_id="t0002"),
    replace(ID, agent="h02"),
    replace(ID, attempt=1),
    replace(ID, request=new_message_id()),
]


@pytest.mark.parametrize("other", OTHERS, ids=["session", "region", "epoch", "task", "agent", "attempt", "request"])
def test_a_document_proves_nothing_of_another_attempt(other: AttemptId) -> None:
    assert read_result(raw(document()), other) is None


@pytest.mark.parametrize("findings", [MAX_FINDINGS, MAX_FINDINGS + 1])
def test_no_more_than_a_hundred_findings_are_believed(findings: int) -> None:
    read = read_result(raw(document(findings=[FINDING] * findings)), ID)
    assert (read is not None) is (findings == 100)


@pytest.mark.parametrize("more", [0, 1])
def test_no_more_than_128_kib_of_findings_are_believed(more: int) -> None:
    empty = {**FINDING, "text": ""}
    text = "x" * (MAX_FINDINGS_BYTES // 2 - len(stored_bytes(empty)))
    findings = [{**FINDING, "text": text}, {**FINDING, "text": text + "x" * more}]
    assert (read_result(raw(document(findings=findings)), ID) is not None) is (more == 0)
    assert len(within_limits(findings)) == 2 - more, "an honest agent leaves out what would not be believed"


@pytest.mark.parametrize("size_bytes", [1024 * 1024, 1024 * 1024 + 1])
def test_no_more_than_a_mebibyte_is_believed(size_bytes: int) -> None:
    empty = len(raw(document(padding="")))
    stored = raw(document(padding="x" * (size_bytes - empty)))
    assert len(stored) == size_bytes
    assert (read_result(stored, ID) is not None) is (size_bytes == MAX_RESULT_BYTES)


def test_extra_members_of_a_finding_are_dropped() -> None:
    """The report adds the agent and the evidence of a finding: an agent may not."""
    forged = {**FINDING, "agent": "h02", "evidence_hash": "sha256:0", "quoted": True}
    read = read_result(raw(document(findings=[forged], also="ignored")), ID)
    assert read is not None
    assert read.findings == [FINDING]


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        b"no JSON",
        b"[" * 100_000,
        b"[]",
        b"{}",
        raw(document()) + b"{}",
        raw(document()).replace(b'"status": "DONE"', b'"status": "FAILED", "status": "DONE"'),
        b"\xff" + raw(document()),
    ],
)
def test_bytes_that_readers_could_understand_differently_are_not_believed(stored: bytes) -> None:
    assert read_result(stored, ID) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "ODD"},
        {"status": "FAILED"},  # without a reason
        {**FAILED, "error": {"reason": ""}},
        {**FAILED, "error": {"reason": "x" * 61}},
        {**FAILED, "error": {"reason": "two\nlines"}},
        {**FAILED, "error": {"reason": " "}},
        {**FAILED, "error": {"reason": NOT_NEEDED}},
        {**FAILED, "error": "model-refusal"},
        {"findings": None},
        {"findings": {}},
        {"findings": [None]},
        {"findings": [{**FINDING, "text": 1}]},
        {"findings": [{**FINDING, "text": "half a pair: \ud83d"}]},
        {"findings": [{**FINDING, "confidence": float("nan")}]},
        {"findings": [{**FINDING, "confidence": 1.01}]},
        {"findings": [{**FINDING, "confidence": -0.01}]},
        {"findings": [{**FINDING, "confidence": True}]},
        {"findings": [{**FINDING, "sources": "s"}]},
        {"findings": [{**FINDING, "sources": [1]}]},
        {"findings": [{"text": "x", "confidence": 0.5}]},
        {"model": None},
        {"model": ""},
        {"model": "m" * 201},
        {"model": "two\nlines"},
        {"cost_usd": -1e-9},
        {"cost_usd": 1e6},
        {"cost_usd": "1"},
        {"cost_usd": True},
        {"tokens": None},
        {"tokens": {"input": 1}},
        {"tokens": {"input": -1, "output": 1}},
        {"tokens": {"input": 1 << 31, "output": 1}},
        {"tokens": {"input": 1.0, "output": 1}},
    ],
    ids=repr,
)
def test_a_document_of_another_form_is_not_believed(changes: dict[str, Any]) -> None:
    assert read_result(raw(document(**changes)), ID) is None


@given(st.sampled_from(["status", "model", "findings", "cost_usd", "tokens", "error"]), JSON, st.booleans())
def test_whatever_an_agent_stores_what_is_believed_can_be_stored_again(name: str, value: Any, nested: bool) -> None:
    """One agent's document must not keep the coordinator from settling a round of all agents."""
    value = [{**FINDING, "text": value, "sources": [value]}] if nested and name == "findings" else value
    read = read_result(raw(document(**{name: value})), ID)
    if read is not None:
        stored_bytes({"t0001": read.findings})
        assert len(read.findings) <= MAX_FINDINGS
        assert len(read.result.model_dump_json()) + len(read.model) < 1_000


@given(st.binary(max_size=200))
def test_any_bytes_are_read_without_an_error(stored: bytes) -> None:
    assert read_result(stored, ID) is None
