"""Who may write history, and what becomes of messages that no table takes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from infrafabric.bus.registry import Registry, RegistryUnavailableError
from infrafabric.bus.uris import COORDINATOR, new_message_id
from infrafabric.recorder.history import BadRowError, HistoryRecorder, RecorderDeps
from tests.unit.recorder.conftest import (
    AGENT,
    NOW,
    PEER,
    PLACE,
    REGISTRY,
    FakeDeadLetters,
    answer,
    attempts,
    body,
    message,
    row,
    session,
    signer,
    task_body,
)
from tests.unit.swarm.orders import KEY

NUSD_OF_20_MILLION_USD = 20_000_000 * 10**9


class World:
    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.refused_status = ""  # of rows that the table refuses
        self.outage = False  # the registry cannot be read
        self.rows: list[Mapping[str, Any]] = []  # of sessions and attempts
        self.records: list[Mapping[str, Any]] = []
        self.dead_letters = FakeDeadLetters()

    def record(self, text: str) -> None:
        def execute(statement: str, values: Mapping[str, Any]) -> None:
            if self.error:
                raise self.error
            if "INTO records" in statement:
                self.records.append(values)
                return
            if values["status"] == self.refused_status:
                raise BadRowError("CheckViolation: no such status")
            self.rows.append(values)

        def read_registry() -> Registry:
            if self.outage:
                raise RegistryUnavailableError("the registry cannot be read: SlowDown")
            return REGISTRY

        deps = RecorderDeps(now_ms=lambda: NOW, registry=read_registry, execute=execute, dead_letters=self.dead_letters)
        HistoryRecorder(deps).record(text)


def test_a_record_of_the_coordinator_becomes_a_row_per_attempt_or_session() -> None:
    world = World()
    first, second = answer(), answer(PEER, task_id="t0002", agent="h03")
    rows = row(first), row(second, task_id="t0002", agent="h03", status="FAILED", evidence_hash="")
    world.record(body(*attempts(*rows), first, second))
    world.record(body(message(session())))
    assert [(one["session_id"], one["home"], one["epoch"]) for one in world.rows] == [tuple(KEY)] * 3
    assert [one["s3_key"] for one in world.rows] == [PLACE, "", "r"], "the place follows from the attempt"
    assert world.dead_letters.messages == []


def test_a_row_has_the_agents_answer_as_it_travelled_and_the_answers_message_id() -> None:
    world = World()
    spaced = json.dumps(json.loads(answer()), indent=1)
    world.record(body(*attempts(row(spaced)), spaced))
    assert world.rows[0]["answer"] == spaced
    assert world.rows[0]["message_id"] == json.loads(spaced)["message_id"]


@pytest.mark.parametrize("other", [(AGENT, "t0002", "h01"), (PEER, "t0001", "h03")])
def test_answers_with_the_same_message_id_go_to_the_rows_that_they_are_about(other: tuple[Any, str, str]) -> None:
    """An agent chooses the ids of its messages."""
    by, task_id, agent = other
    message_id = new_message_id()
    first = answer(message_id=message_id)
    second = answer(by, message_id=message_id, task_id=task_id, agent=agent)
    rows = row(first), row(second, task_id=task_id, agent=agent)
    for answers in ((first, second), (second, first)):
        world = World()
        world.record(body(*attempts(*rows), *answers))
        assert [one["answer"] for one in world.rows] == [first, second]


def test_a_row_of_an_object_that_was_found_without_an_answer_has_the_records_message_id() -> None:
    world = World()
    record, rows = attempts(row())
    world.record(body(record, rows))
    assert (world.rows[0]["answer"], world.rows[0]["message_id"]) == (None, json.loads(record)["message_id"])


def test_a_signed_record_is_stored_as_it_travelled_and_its_rows_name_it() -> None:
    world, signed = World(), answer()
    record, rows = attempts(row(signed), row(task_id="t0002"))
    ended = json.dumps(json.loads(message(session())), indent=1)
    world.record(body(record, rows, signed))
    world.record(body(ended))
    assert [(one["record"], one["rows"]) for one in world.records] == [(record, rows), (ended, None)]
    ids = [json.loads(text)["message_id"] for text in (record, record, ended)]
    assert [one["record_id"] for one in world.rows] == ids


def test_a_message_waits_in_the_queue_while_the_registry_cannot_be_read() -> None:
    world, text = World(), task_body()
    world.outage = True
    for _ in range(20):
        with pytest.raises(RegistryUnavailableError):
            world.record(text)
    assert (world.rows, world.dead_letters.messages) == ([], [])
    world.outage = False
    world.record(text)
    assert len(world.rows) == 1


def of_another_agent() -> str:
    forged = answer(PEER)  # says that it is h01's
    return body(*attempts(row(forged)), forged)


NOT_AN_ARRAY = "the body is not a JSON array of signed messages, the coordinator's first"
ATTACKS = {
    "an agent's answer alone": (answer(), "bad-content", NOT_AN_ARRAY),
    "an agent's answer as a record": (body(answer()), "bad-content", f"only {COORDINATOR} writes history"),
    "an agent's record of attempts": (
        body(*attempts(row(), by=AGENT)),
        "bad-content",
        f"if://agent/h01 signed it: only {COORDINATOR} writes history",
    ),
    "an agent's record of a session": (
        body(message(session(), AGENT)),
        "bad-content",
        f"if://agent/h01 signed it: only {COORDINATOR} writes history",
    ),
    "20,000,000 USD for another session": (
        body(*attempts(row(cost_nusd=NUSD_OF_20_MILLION_USD), session_id="victim", by=AGENT)),
        "bad-content",
        f"only {COORDINATOR} writes history",
    ),
    "20,000,000 USD in an answer of another session": (
        body(answer(session_id="victim", cost_nusd=NUSD_OF_20_MILLION_USD), answer()),
        "bad-content",
        f"only {COORDINATOR} writes history",
    ),
    "the coordinator's name on an agent's key": (
        body(*attempts(row(), by=signer(COORDINATOR))),
        "key-mismatch",
        "the registry has",
    ),
    "a record that was changed": (
        body(*attempts(row())).replace("s1", "s2"),
        "tampered",
        "the signature does not fit",
    ),
    "a row that was changed": (
        body(*attempts(row())).replace('"tokens_in\\": 3', '"tokens_in\\": 4'),
        "bad-content",
        "the record's citation has the hash of other rows",
    ),
    "rows of another record": (body(attempts(row())[0], attempts(row(cost_nusd=0))[1]), "bad-content", "other rows"),
    "a record without its rows": (body(attempts(row())[0]), "bad-content", "other rows"),
    "an answer in the place of the rows": (body(attempts(row())[0], answer()), "bad-content", "other rows"),
    "rows that no text holds": (body(attempts(row())[0], "\ud800"), "bad-content", "other rows"),
    "an unsigned wrapper": (json.dumps({"record": attempts(row())[0]}), "bad-content", NOT_AN_ARRAY),
    "an unsigned record": (json.dumps([{"kind": "attempts"}]), "bad-content", NOT_AN_ARRAY),
    "an unsigned record as text": (json.dumps([json.dumps({"kind": "attempts"})]), "missing-member", "schema"),
    "no message": ("[]", "bad-content", NOT_AN_ARRAY),
    "no JSON": ("[", "bad-content", NOT_AN_ARRAY),
    "deep JSON": ("[" * 100_000, "bad-content", NOT_AN_ARRAY),
    "an answer that is missing": (
        body(*attempts(row(answer()))),
        "bad-content",
        "attempt t0001.0: its answer is not that of h01",
    ),
    "an answer of another agent": (of_another_agent(), "bad-content", "attempt t0001.0: its answer is not that of h01"),
    "an answer that is no message": (body(*attempts(row()), "{}"), "missing-member", "schema"),
    "another kind of record": (body(message({"kind": "gossip"})), "bad-content", "must be attempts or session"),
    "a kind that is no text": (body(message({"kind": ["attempts"]})), "bad-content", "must be attempts or session"),
    "an attempt that is no number": (
        body(*attempts(row(attempt="0"))),
        "bad-content",
        "rows: attempts.0.attempt: input should be a valid integer",
    ),
    "a session without its id": (body(message({"kind": "session"})), "bad-content", "content.session_id is missing"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_is_not_trusted_or_no_record_goes_to_the_dead_letter_queue_with_the_reason(attack: str) -> None:
    text, reason, detail = ATTACKS[attack]
    world = World()
    world.record(text)
    ((dead, why, said),) = world.dead_letters.messages
    assert (dead, why) == (text, reason)
    assert detail in said
    assert (world.rows, world.records) == ([], [])


UNTRUSTED = {
    "of a key that was revoked since": (answer(signer("if://agent/h01")), "key-mismatch", "the registry has"),
    "of a stranger": (answer(signer("if://agent/h02"), agent="h02"), "unknown-sender", "if://agent/h02"),
    "that was changed": (answer().replace('"model":"m"', '"model":"n"'), "tampered", "did not sign the message"),
}


@pytest.mark.parametrize("which", UNTRUSTED)
def test_an_answer_that_is_no_longer_trusted_keeps_no_row_from_history_and_is_dead_lettered_alone(which: str) -> None:
    untrusted, reason, detail = UNTRUSTED[which]
    agent = json.loads(untrusted)["sender"][-3:]
    other = answer(PEER, task_id="t0002", agent="h03")
    world = World()
    world.record(
        body(*attempts(row(untrusted, agent=agent), row(other, task_id="t0002", agent="h03")), untrusted, other)
    )
    assert [(one["agent"], one["answer"]) for one in world.rows] == [(agent, None), ("h03", other)]
    assert world.rows[0]["message_id"] == json.loads(untrusted)["message_id"]
    ((dead, why, said),) = world.dead_letters.messages
    assert (dead, why) == (untrusted, reason)
    assert detail in said


def test_a_bad_row_writes_no_row_beside_it() -> None:
    world, first = World(), answer()
    world.record(body(*attempts(row(first), row(answer(), attempt=1)), first))
    assert [detail for _, _, detail in world.dead_letters.messages] == [
        "attempt t0001.1: its answer is not that of h01"
    ]
    assert world.rows == []


def test_a_row_that_the_table_refuses_keeps_no_other_from_being_written() -> None:
    world = World()
    world.refused_status = "FAILED"
    text = body(*attempts(row(status="FAILED"), row(attempt=1)))
    world.record(text)
    assert [one["attempt"] for one in world.rows] == [1]
    assert world.dead_letters.messages == [(text, "bad-content", "CheckViolation: no such status")]


def test_a_database_that_is_away_is_waited_for() -> None:
    world = World(ConnectionError("no route"))
    with pytest.raises(ConnectionError):
        world.record(task_body())
    assert world.dead_letters.messages == []
