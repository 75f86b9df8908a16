"""Migrations and rows in a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from infrafabric.recorder import migrate
from infrafabric.recorder.connect import Executor
from infrafabric.recorder.history import HistoryRecorder, RecorderDeps
from infrafabric.swarm.object_keys import result_key
from tests.unit.recorder.conftest import (
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
    task_body,
)
from tests.unit.swarm.orders import KEY


@pytest.fixture
def executor(database: Database) -> Iterator[Executor]:
    with database.connect() as connection:
        connection.execute("TRUNCATE sessions, task_results, records")
    with database.connect(WRITER) as connection:
        yield Executor(lambda: connection)


def write(text: str, executor: Executor) -> list[tuple[str, str, str]]:
    """Record a message. Returns the messages that went to the dead-letter queue."""
    dead_letters = FakeDeadLetters()
    deps = RecorderDeps(now_ms=lambda: NOW, registry=lambda: REGISTRY, execute=executor, dead_letters=dead_letters)
    HistoryRecorder(deps).record(text)
    return dead_letters.messages


def test_a_session_record_without_labels_is_a_row_without_labels(database: Database, executor: Executor) -> None:
    assert write(body(message(session())), executor) == []
    assert write(body(message(session(session_id="s2", labels=["team:boats", "q4"]))), executor) == []
    assert database.rows("SELECT session_id, labels FROM sessions ORDER BY 1") == [
        ("s1", []),
        ("s2", ["team:boats", "q4"]),
    ]


def test_a_migration_is_applied_once(database: Database) -> None:
    with database.connect() as connection:
        assert migrate.apply(connection, writer=WRITER) == []


def test_a_history_that_was_rewritten_is_refused(database: Database) -> None:
    with database.connect() as connection, connection.transaction(force_rollback=True):
        connection.execute("UPDATE migrations SET digest = 'another'")
        with pytest.raises(migrate.MigrationError, match=r"0001_history\.sql was changed"):
            migrate.apply(connection, writer=WRITER)


def test_the_version_changes_with_any_migration(monkeypatch: pytest.MonkeyPatch) -> None:
    before = migrate.version()
    more = [*migrate.migrations(), migrate.Migration("9999_more.sql", "SELECT 1")]
    monkeypatch.setattr(migrate, "migrations", lambda: more)
    assert migrate.version() != before


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM sessions",
        "UPDATE task_results SET reason = ''",
        "UPDATE records SET rows = ''",
        "DROP TABLE sessions",
    ],
)
def test_the_recorder_can_add_to_history_and_not_change_it(database: Database, statement: str) -> None:
    with database.connect(WRITER) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement.encode())


def test_a_message_delivered_twice_is_one_row_to_the_last_nano_dollar(database: Database, executor: Executor) -> None:
    for text in (task_body(), body(message(session()))):
        assert write(text, executor) == []
        assert write(text, executor) == []
    assert database.rows("SELECT count(*) FROM records") == [(2,)]
    assert database.rows("SELECT task_id, status, cost_usd FROM task_results") == [
        ("t0001", "DONE", Decimal("0.000001234"))
    ]
    found = "SELECT status, cost_usd, budget_usd, extract(epoch FROM ended_at - created_at) FROM sessions"
    assert database.rows(found) == [("PARTIAL", Decimal("0.000002468"), Decimal(1), Decimal(5))]


def test_a_session_has_its_owner_and_the_money_that_may_still_be_spent(database: Database, executor: Executor) -> None:
    write(body(message(session())), executor)
    assert database.rows("SELECT owner, committed_usd FROM sessions") == [("research", Decimal("0.000001"))]


def test_each_region_and_epoch_of_a_session_has_rows_of_its_own(database: Database, executor: Executor) -> None:
    for home, epoch in (("us-east-1", 1), ("us-west-2", 1), ("us-west-2", 2)):
        write(body(message(session(home=home, epoch=epoch))), executor)
        write(body(*attempts(row(), home=home, epoch=epoch)), executor)
    for table in ("sessions", "task_results"):
        assert database.rows(f"SELECT session_id, home, epoch FROM {table} ORDER BY home, epoch") == [
            ("s1", "us-east-1", 1),
            ("s1", "us-west-2", 1),
            ("s1", "us-west-2", 2),
        ]
    places = [result_key(KEY._replace(home="us-west-2", epoch=2), "h01", "t0001", 0)]
    assert [place for (place,) in database.rows("SELECT s3_key FROM task_results WHERE epoch = 2")] == places


def test_the_answer_is_kept_byte_by_byte_as_its_agent_signed_it(database: Database, executor: Executor) -> None:
    signed = answer().replace('"kind":"task"', '"kind" : "t\\u0061sk"')  # JSON that a parser would write otherwise
    assert write(body(*attempts(row(signed), row(task_id="t0002")), signed), executor) == []
    assert database.rows("SELECT task_id, answer FROM task_results ORDER BY 1") == [("t0001", signed), ("t0002", None)]


def test_each_attempt_has_a_row(database: Database, executor: Executor) -> None:
    write(body(*attempts(row(status="FAILED", reason="model-refusal"))), executor)
    write(body(*attempts(row(attempt=1))), executor)
    assert database.rows("SELECT attempt, status FROM task_results ORDER BY 1") == [(0, "FAILED"), (1, "DONE")]


def test_no_agent_takes_anothers_row_by_answering_for_its_task(database: Database, executor: Executor) -> None:
    forged, own = answer(PEER, agent="h01"), answer()
    assert len(write(body(*attempts(row(forged)), forged), executor)) == 1
    assert write(body(*attempts(row(own)), own), executor) == []
    assert database.rows("SELECT agent, answer FROM task_results") == [("h01", own)]


@pytest.mark.parametrize(
    "changes",
    [{"status": "ALMOST"}, {"reason": "a\x00b"}, {"tokens_in": 2**31}, {"attempt": -(2**31) - 1}],
)
def test_values_that_no_column_takes_go_to_the_dead_letter_queue(executor: Executor, changes: dict[str, Any]) -> None:
    ((_, reason, detail),) = write(task_body(**changes), executor)
    assert reason == "bad-content"
    assert "\n" not in detail, "one line: the rest of PostgreSQL's message quotes the row"
    assert write(task_body(), executor) == [], "the connection is still good"


def test_the_recorder_of_a_release_without_records_writes_its_rows_to_this_schema(
    database: Database, executor: Executor
) -> None:
    """After a rollback the migration stays."""
    executor(
        "INSERT INTO sessions (session_id, home, epoch, owner, status, reason, created_at, ended_at, budget_usd,"
        " cost_usd, committed_usd, tasks, model, report_key, labels)"
        " VALUES ('old', 'r', 1, 'o', 'COMPLETE', '', now(), now(), 1, 1, 0, 1, 'm', '', '{}')",
        {},
    )
    assert database.rows("SELECT session_id, record_id FROM sessions") == [("old", None)]
