"""Recorder: writes one row of history per verified message; a repeated delivery writes nothing (idempotency)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from infrafabric.bus.envelope import Envelope
from infrafabric.bus.refusal import Reason, Refused
from infrafabric.bus.uris import COORDINATOR, agent_uri
from infrafabric.bus.verify import verify
from infrafabric.money import NANO
from infrafabric.swarm.deps import DeadLetters, RegistrySource
from infrafabric.swarm.shapes.records import SessionRecord, TaskRecord
from infrafabric.swarm.shapes.shape import BadShapeError

_TASK = """
INSERT INTO task_results (session_id, task_id, attempt, agent, status, reason, s3_key, evidence_hash, tokens_in,
                          tokens_out, cost_usd, model, message_id, recorded_at)
VALUES (%(session_id)s, %(task_id)s, %(attempt)s, %(agent)s, %(status)s, %(reason)s, %(s3_key)s, %(evidence_hash)s,
        %(tokens_in)s, %(tokens_out)s, %(cost_usd)s, %(model)s, %(message_id)s, to_timestamp(%(at_ms)s / 1e3))
ON CONFLICT DO NOTHING
"""
_SESSION = """
INSERT INTO sessions (session_id, status, reason, created_at, ended_at, budget_usd, cost_usd, tasks, model, report_key,
                      labels)
VALUES (%(session_id)s, %(status)s, %(reason)s, to_timestamp(%(created_ms)s / 1e3), to_timestamp(%(ended_ms)s / 1e3),
        %(budget_usd)s, %(spent_usd)s, %(tasks)s, %(model)s, %(s3_key)s, %(labels)s)
ON CONFLICT (session_id) DO NOTHING
"""
_STATEMENTS = {"task": _TASK, "session": _SESSION}


class BadRowError(Exception):
    """Values that the table never accepts: a wrong type, a number out of range, an unknown status."""


@dataclass(frozen=True, kw_only=True)
class RecorderDeps:
    """Side effects of the recorder."""

    now_ms: Callable[[], int]
    registry: RegistrySource
    execute: Callable[[str, Mapping[str, Any]], None]  # one statement, committed; raises BadRowError
    dead_letters: DeadLetters


class _BadRecordError(Exception):
    """Trusted message that is not a record of the sender's own work."""


class HistoryRecorder:
    """Writes the messages of the results queue to PostgreSQL."""

    def __init__(self, deps: RecorderDeps) -> None:
        self._deps = deps

    def record(self, body: str) -> None:
        """Write a message, or dead-letter an untrusted or unacceptable message with the reason.

        A retry of an unacceptable message would never succeed, and hold up the rest of the session.
        """
        deps = self._deps
        try:
            envelope = verify(body, registry=deps.registry(), now_ms=deps.now_ms())
        except Refused as refused:
            deps.dead_letters.dead_letter(body, str(refused.reason), refused.detail)
            return
        try:
            record = _record_of(envelope)
            row = {**_with_exact_usd(record.write()), "message_id": envelope.message_id}
            deps.execute(_STATEMENTS[record.kind], row)
        except (_BadRecordError, BadRowError) as error:
            deps.dead_letters.dead_letter(body, Reason.BAD_CONTENT, str(error))


def _with_exact_usd(members: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members with each amount of nano-USD as an exact amount of USD."""
    return {
        **members,
        **{
            f"{name.removesuffix('_nusd')}_usd": Decimal(value) / NANO
            for name, value in members.items()
            if name.endswith("_nusd")
        },
    }


def _record_of(envelope: Envelope) -> TaskRecord | SessionRecord:
    kind = envelope.content.get("kind")
    try:
        if kind == "task":
            record = TaskRecord.read(envelope.content)
        elif kind == "session":
            record = SessionRecord.read(envelope.content)
        else:
            raise _BadRecordError(f"content.kind = {kind!r:.40}: must be task or session")
    except BadShapeError as error:
        raise _BadRecordError(f"content.{error.problem}") from None
    if isinstance(record, TaskRecord) and envelope.sender != agent_uri(record.agent):
        text = f"content.agent = {record.agent!r:.40} but {envelope.sender} signed it"
        raise _BadRecordError(f"{text}: an agent reports on itself only")
    if isinstance(record, SessionRecord) and envelope.sender != COORDINATOR:
        raise _BadRecordError(f"{envelope.sender} signed it: only {COORDINATOR} reports on sessions")
    return record
