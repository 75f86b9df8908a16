"""``fabric bus verify --history``: rows in a real PostgreSQL, exported and judged as by a researcher."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from infrafabric.cli.main import main
from infrafabric.recorder.connect import Executor
from infrafabric.recorder.history import HistoryRecorder, RecorderDeps
from tests.unit.recorder.conftest import (
    AGENT,
    BOSS,
    NOW,
    PEER,
    REGISTRY,
    WRITER,
    Database,
    FakeDeadLetters,
    answer,
    attempts,
    body,
    message,
    row,
    session,
    signer,
)

EXPORT = "SELECT row_to_json(one)::text FROM signed_history AS one ORDER BY one.row->>'task_id' NULLS FIRST"
SESSION_COLUMNS = {
    *("session_id", "home", "epoch", "owner", "status", "reason", "created_at", "ended_at", "budget_usd", "cost_usd"),
    *("committed_usd", "tasks", "model", "report_key", "labels", "record_id"),
}
ATTEMPT_COLUMNS = {
    *("session_id", "home", "epoch", "task_id", "attempt", "agent", "status", "reason", "s3_key", "evidence_hash"),
    *("tokens_in", "tokens_out", "cost_usd", "model", "message_id", "recorded_at", "answer", "record_id"),
}


class Verified(NamedTuple):
    status: int
    verdicts: list[dict[str, Any]]
    error: str


Verify = Callable[..., Verified]


@pytest.fixture
def verify(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Verify:
    def run(*lines: str | bytes, registry: dict[str, str] | None = None, options: tuple[str, ...] = ()) -> Verified:
        file = tmp_path / "registry.json"
        file.write_text(json.dumps(registry or {one.principal: one.public_key for one in (AGENT, PEER, BOSS)}))
        raw = b"".join((line if isinstance(line, bytes) else line.encode()) + b"\n" for line in lines)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))
        status = main(["bus", "verify", "--registry", str(file), "--history", *options])
        out, error = capsys.readouterr()
        return Verified(status, [json.loads(line) for line in out.splitlines()], error)

    return run


@pytest.fixture
def exported(database: Database) -> list[str]:
    """Lines of a session, of an attempt with an answer, and of one without."""
    with database.connect() as connection:
        connection.execute("TRUNCATE sessions, task_results, records")
    with database.connect(WRITER) as connection:
        deps = RecorderDeps(
            now_ms=lambda: NOW,
            registry=lambda: REGISTRY,
            execute=Executor(lambda: connection),
            dead_letters=FakeDeadLetters(),
        )
        signed = answer()
        rows = row(signed), row(task_id="t0002", agent="h03", attempt=2, status="FAILED", reason="lost")
        for text in (body(*attempts(*rows), signed), body(message(session(labels=["q4", "é"])))):
            HistoryRecorder(deps).record(text)
    return [line for (line,) in database.rows(EXPORT)]


def test_rows_that_the_coordinator_signed_are_proven_and_so_is_each_answer(exported: list[str], verify: Verify) -> None:
    verified = verify(*exported)
    assert (verified.status, verified.error) == (0, "")
    coordinator, agent = BOSS.principal, AGENT.principal
    assert verified.verdicts == [
        {"row": row, "valid": True, "reason": "ok", "detail": detail}
        for row, detail in (
            ("s1", f"{coordinator} signed the row"),
            ("s1 t0001.0 h01", f"{coordinator} signed the row, {agent} its answer"),
            ("s1 t0002.2 h03", f"{coordinator} signed the row"),
        )
    ]


def others(column: str, value: Any) -> list[Any]:
    """Return values that somebody might have put into a column instead."""
    if column.endswith("_at"):
        return [None, "never", value.replace("2027", "2028")]
    if column == "answer":
        return [answer(), value.replace('"model":"m"', '"model":"n"')] if value else [answer()]
    if isinstance(value, str):
        return [None, f"{value} ", f"x{value}"]
    if isinstance(value, list):
        return [None, [], [*value, "x"]]
    return [None, value + 1, str(value), bool(value)]


@pytest.mark.parametrize(("number", "columns"), [(0, SESSION_COLUMNS), (1, ATTEMPT_COLUMNS), (2, ATTEMPT_COLUMNS)])
def test_no_column_of_a_row_can_be_changed_or_removed(
    exported: list[str], verify: Verify, number: int, columns: set[str]
) -> None:
    line = json.loads(exported[number])
    assert line["row"].keys() == columns
    for column in columns:
        for other in others(column, line["row"][column]):
            verified = verify(json.dumps({**line, "row": {**line["row"], column: other}}))
            (verdict,) = verified.verdicts
            assert (verified.status, verdict["valid"]) == (1, False), (column, other)


def test_a_changed_value_is_named_with_the_signed_one(exported: list[str], verify: Verify, database: Database) -> None:
    with database.connect() as connection:
        connection.execute("UPDATE task_results SET cost_usd = 20000000 WHERE task_id = 't0002'")
    verified = verify(*(line for (line,) in database.rows(EXPORT)))
    assert verified.status == 1
    assert [verdict["valid"] for verdict in verified.verdicts] == [True, True, False]
    detail = f"cost_usd is '20000000.000000000', and {BOSS.principal} signed '0.000001234'"
    assert (verified.verdicts[2]["reason"], verified.verdicts[2]["detail"]) == ("changed", detail)


@pytest.mark.parametrize(
    ("number", "change", "reason"),
    [
        (0, {"record": None}, "no-record"),
        (0, {"record": "{}"}, "missing-member"),
        (0, {"record": message(session(), AGENT)}, "bad-content"),
        (0, {"record": message(session(), signer(BOSS.principal))}, "key-mismatch"),
        (0, {"record": message(session(status="COMPLETE"))}, "changed"),
        (0, {"record": attempts(row())[0], "rows": attempts(row())[1]}, "changed"),
        (1, {"record": message(session())}, "changed"),
        (1, {"record": message(session()).replace("s1", "s2")}, "tampered"),
        (1, {"rows": None}, "bad-content"),
        (1, {"rows": attempts(row(cost_nusd=0))[1]}, "bad-content"),
    ],
)
def test_a_row_without_its_own_record_is_not_proven(
    exported: list[str], verify: Verify, number: int, change: dict[str, Any], reason: str
) -> None:
    verified = verify(json.dumps({**json.loads(exported[number]), **change}))
    assert (verified.status, verified.verdicts[0]["reason"]) == (1, reason)


def test_an_answer_that_another_agent_signed_is_not_proven(exported: list[str], verify: Verify) -> None:
    line = json.loads(exported[1])
    for forged, reason in ((answer(PEER), "bad-content"), (answer(signer(AGENT.principal)), "key-mismatch")):
        verified = verify(json.dumps({**line, "row": {**line["row"], "answer": forged}}))
        assert (verified.status, verified.verdicts[0]["reason"]) == (1, reason)


def test_a_row_is_judged_by_the_registry_that_is_given(exported: list[str], verify: Verify) -> None:
    verified = verify(*exported, registry={BOSS.principal: BOSS.public_key})
    assert [verdict["reason"] for verdict in verified.verdicts] == ["ok", "unknown-sender", "ok"]


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ([], "standard input has no line; export"),
        (["hello"], "standard input, line 1: not JSON; export"),
        ([b"\xff"], "standard input, line 1: not UTF-8; export"),
        (["[" * 100_000], "standard input, line 1: not JSON; export"),
        (["[]"], "standard input, line 1: not a JSON object with a row; export"),
        (['{"row": 1}'], "standard input, line 1: not a JSON object with a row; export"),
        (['{"row": {}}'], "standard input, line 1: record must be a text or null; export"),
        (['{"row": {}, "record": null, "rows": 1}'], "standard input, line 1: rows must be a text or null; export"),
    ],
)
def test_lines_that_are_no_history_end_with_2_and_one_clear_line(
    verify: Verify, lines: list[str | bytes], problem: str
) -> None:
    verified = verify(*lines)
    assert (verified.status, verified.verdicts) == (2, [])
    assert problem in verified.error
    assert "SELECT row_to_json(one) FROM signed_history AS one" in verified.error
    assert verified.error.count("\n") == 1


def test_a_receiver_or_a_time_makes_no_sense_for_history(verify: Verify) -> None:
    verified = verify(options=("--at", "1"))
    assert (verified.status, verified.verdicts) == (2, [])
    assert "--history takes neither --receiver nor --at" in verified.error
