"""Recorder: writes history from the coordinator's verified records; a repeated delivery writes nothing (idempotency).

Rows hold what the coordinator believed, and each answer as the agent signed it. The signed record is stored, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from infrafabric.bus.refusal import Reason, Refused
from infrafabric.bus.verify import verify
from infrafabric.recorder.record import (
    BadRecordError,
    attempt_values,
    parts_of,
    record_of,
    rows_of,
    session_values,
    signed_values,
    verified_answers,
)
from infrafabric.swarm.deps import DeadLetters, RegistrySource
from infrafabric.swarm.shapes.records import SessionRecord

_RECORD = """
INSERT INTO records (message_id, session_id, home, epoch, signed_at, record, rows)
VALUES (%(message_id)s, %(session_id)s, %(home)s, %(epoch)s, to_timestamp(%(signed_ms)s / 1e3), %(record)s, %(rows)s)
ON CONFLICT DO NOTHING
"""
_TASK = """
INSERT INTO task_results (session_id, home, epoch, task_id, attempt, agent, status, reason, s3_key, evidence_hash,
                          tokens_in, tokens_out, cost_usd, model, message_id, recorded_at, answer, record_id)
VALUES (%(session_id)s, %(home)s, %(epoch)s, %(task_id)s, %(attempt)s, %(agent)s, %(status)s, %(reason)s, %(s3_key)s,
        %(evidence_hash)s, %(tokens_in)s, %(tokens_out)s, %(cost_usd)s, %(model)s, %(message_id)s,
        to_timestamp(%(at_ms)s / 1e3), %(answer)s, %(record_id)s)
ON CONFLICT DO NOTHING
"""
_SESSION = """
INSERT INTO sessions (session_id, home, epoch, owner, status, reason, created_at, ended_at, budget_usd, cost_usd,
                      committed_usd, tasks, model, report_key, labels, record_id)
VALUES (%(session_id)s, %(home)s, %(epoch)s, %(owner)s, %(status)s, %(reason)s, to_timestamp(%(created_ms)s / 1e3),
        to_timestamp(%(ended_ms)s / 1e3), %(budget_usd)s, %(spent_usd)s, %(committed_usd)s, %(tasks)s, %(model)s,
        %(s3_key)s, %(labels)s, %(record_id)s)
ON CONFLICT DO NOTHING
"""


class BadRowError(Exception):
    """Values that the table never accepts: a wrong type, a number out of range, an unknown status."""


class DatabaseUnavailableError(Exception):
    """Database that cannot be reached, or did not execute a statement in time; a retry may succeed."""


@dataclass(frozen=True, kw_only=True)
class RecorderDeps:
    """Side effects of the recorder."""

    now_ms: Callable[[], int]
    registry: RegistrySource
    # One statement, committed. Raises BadRowError or DatabaseUnavailableError.
    execute: Callable[[str, Mapping[str, Any]], None]
    dead_letters: DeadLetters


class HistoryRecorder:
    """Writes the messages of the results queue to PostgreSQL."""

    def __init__(self, deps: RecorderDeps) -> None:
        self._deps = deps

    def record(self, body: str) -> None:
        """Write a message, or dead-letter an untrusted or unacceptable message with the reason.

        A retry of an unacceptable message would never succeed, and hold up the rest of the session.

        Raises:
            RegistryUnavailableError: the sender cannot be verified now; the message must be delivered again.
            DatabaseUnavailableError: a row cannot be written now; likewise.
        """
        deps = self._deps
        try:
            record_body, *beside = parts_of(body)
            registry = deps.registry()
            envelope = verify(record_body, registry=registry, now_ms=deps.now_ms())
            record = record_of(envelope)
            if isinstance(record, SessionRecord):
                deps.execute(_RECORD, signed_values(record, envelope, record_body, None))
                deps.execute(_SESSION, session_values(record, envelope))
            else:
                rows, (answers, refusals) = rows_of(envelope, beside), verified_answers(beside[1:], registry)
                values = [attempt_values(record, row, envelope, answers) for row in rows]
                deps.execute(_RECORD, signed_values(record, envelope, record_body, beside[0]))
                self._write_attempts(values)
                for answer, refused in refusals:
                    deps.dead_letters.dead_letter(answer, str(refused.reason), refused.detail)
        except Refused as refused:
            deps.dead_letters.dead_letter(body, str(refused.reason), refused.detail)
        except (BadRecordError, BadRowError) as error:
            deps.dead_letters.dead_letter(body, Reason.BAD_CONTENT, str(error))

    def _write_attempts(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write a row for each attempt; a row that the table refuses keeps no other from being written.

        Raises:
            BadRowError: the table refused a row; the others are written.
        """
        refused: list[BadRowError] = []
        for values in rows:
            try:
                self._deps.execute(_TASK, values)
            except BadRowError as error:
                refused.append(error)
        if refused:
            raise refused[0]
