"""Recorder: writes history from the coordinator's verified records; a repeated delivery writes nothing (idempotency).

A message of the queue is a JSON array: the coordinator's signed record and, beside a record of attempts, its rows and
the agents' signed answers. Rows hold what the coordinator believed, and each answer as the agent signed it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from infrafabric.bus.envelope import Envelope, parse
from infrafabric.bus.refusal import Reason, Refused
from infrafabric.bus.registry import Registry
from infrafabric.bus.uris import COORDINATOR, agent_uri, last_segment
from infrafabric.bus.verify import verify
from infrafabric.money import NANO
from infrafabric.swarm.deps import DeadLetters, RegistrySource
from infrafabric.swarm.evidence import evidence_hash
from infrafabric.swarm.object_keys import result_key
from infrafabric.swarm.session_key import SessionKey
from infrafabric.swarm.shapes.records import AttemptRow, AttemptRows, AttemptsRecord, SessionRecord
from infrafabric.swarm.shapes.shape import BadShapeError

_TASK = """
INSERT INTO task_results (session_id, home, epoch, task_id, attempt, agent, status, reason, s3_key, evidence_hash,
                          tokens_in, tokens_out, cost_usd, model, message_id, recorded_at, answer)
VALUES (%(session_id)s, %(home)s, %(epoch)s, %(task_id)s, %(attempt)s, %(agent)s, %(status)s, %(reason)s, %(s3_key)s,
        %(evidence_hash)s, %(tokens_in)s, %(tokens_out)s, %(cost_usd)s, %(model)s, %(message_id)s,
        to_timestamp(%(at_ms)s / 1e3), %(answer)s)
ON CONFLICT DO NOTHING
"""
_SESSION = """
INSERT INTO sessions (session_id, home, epoch, owner, status, reason, created_at, ended_at, budget_usd, cost_usd,
                      committed_usd, tasks, model, report_key, labels)
VALUES (%(session_id)s, %(home)s, %(epoch)s, %(owner)s, %(status)s, %(reason)s, to_timestamp(%(created_ms)s / 1e3),
        to_timestamp(%(ended_ms)s / 1e3), %(budget_usd)s, %(spent_usd)s, %(committed_usd)s, %(tasks)s, %(model)s,
        %(s3_key)s, %(labels)s)
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


class _BadRecordError(Exception):
    """Trusted message that is not a record of the coordinator."""


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
            record_body, *beside = _parts(body)
            registry = deps.registry()
            envelope = verify(record_body, registry=registry, now_ms=deps.now_ms())
            record = _record_of(envelope)
            if isinstance(record, SessionRecord):
                deps.execute(_SESSION, _with_exact_usd(record.write()))
            else:
                rows, (answers, refusals) = _rows_of(envelope, beside), _verified(beside[1:], registry)
                self._write_attempts([_values_of(record, row, envelope, answers) for row in rows])
                for answer, refused in refusals:
                    deps.dead_letters.dead_letter(answer, str(refused.reason), refused.detail)
        except Refused as refused:
            deps.dead_letters.dead_letter(body, str(refused.reason), refused.detail)
        except (_BadRecordError, BadRowError) as error:
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


# Answers as they travelled, None for one that is not trusted, by message id, sender, and the task and attempt that they
# name: an agent chooses its message ids, and may give several answers the same one.
_Answers = Mapping[tuple[str, str, str], str | None]


def _parts(body: str) -> list[str]:
    """Return the messages of a queue's message.

    Raises:
        _BadRecordError: the body is not an array of texts.
    """
    try:
        parts = json.loads(body)
    except (ValueError, RecursionError):
        parts = None
    if not isinstance(parts, list) or not parts or not all(isinstance(part, str) for part in parts):
        raise _BadRecordError("the body is not a JSON array of signed messages, the coordinator's first")
    return parts


def _verified(answers: Sequence[str], registry: Registry) -> tuple[_Answers, list[tuple[str, Refused]]]:
    """Return the answers by what identifies them, and those that are not trusted with the reason.

    The coordinator trusted them all. Since then a key may have been revoked, which must keep no row from history: the
    coordinator has paid it, and other agents' rows lie beside it. The age of an answer was judged by the coordinator.

    Raises:
        Refused: an answer is no message.
    """
    found: dict[tuple[str, str, str], str | None] = {}
    refusals: list[tuple[str, Refused]] = []
    for body in answers:
        envelope = parse(body)
        identity = f"{envelope.content.get('task_id')}.{envelope.content.get('attempt')}"
        trusted: str | None = body
        try:
            verify(body, registry=registry, now_ms=envelope.timestamp, receiver=COORDINATOR)
        except Refused as refused:
            trusted = None
            refusals.append((body, refused))
        found[last_segment(envelope.message_id), envelope.sender, identity] = trusted
    return found, refusals


def _rows_of(envelope: Envelope, beside: Sequence[str]) -> tuple[AttemptRow, ...]:
    """Return the rows of a record of attempts.

    Raises:
        _BadRecordError: the rows are missing or changed, or have another shape.
    """
    rows = beside[0] if beside else ""
    if evidence_hash(rows.encode("utf-8", "surrogatepass")) != envelope.citation.evidence_hash:
        raise _BadRecordError("the record's citation has the hash of other rows")
    try:
        return AttemptRows.read(json.loads(rows)).attempts
    except (ValueError, AttributeError) as error:
        problem = error.problem if isinstance(error, BadShapeError) else "not a JSON object"
        raise _BadRecordError(f"rows: {problem}") from None


def _values_of(record: AttemptsRecord, attempt: AttemptRow, envelope: Envelope, answers: _Answers) -> dict[str, Any]:
    """Return an attempt's row, with the answer that the agent signed if the coordinator got one and it is trusted.

    Raises:
        _BadRecordError: the answer is missing, another agent's or about another attempt.
    """
    key = SessionKey(record.session_id, record.home, record.epoch)
    identity = attempt.answer_id, agent_uri(attempt.agent), attempt.name
    if attempt.answer_id and identity not in answers:
        raise _BadRecordError(f"attempt {attempt.name}: its answer is not that of {attempt.agent}")
    stored = bool(attempt.evidence_hash)
    return {
        **_with_exact_usd(attempt.write()),
        **key._asdict(),
        "s3_key": result_key(key, attempt.agent, attempt.task_id, attempt.attempt) if stored else "",
        "message_id": f"if://message/{attempt.answer_id}" if attempt.answer_id else envelope.message_id,
        "answer": answers.get(identity),
    }


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


def _record_of(envelope: Envelope) -> AttemptsRecord | SessionRecord:
    if envelope.sender != COORDINATOR:
        raise _BadRecordError(f"{envelope.sender} signed it: only {COORDINATOR} writes history")
    kind = envelope.content.get("kind")
    try:
        if kind == "attempts":
            return AttemptsRecord.read(envelope.content)
        if kind == "session":
            return SessionRecord.read(envelope.content)
    except BadShapeError as error:
        raise _BadRecordError(f"content.{error.problem}") from None
    raise _BadRecordError(f"content.kind = {kind!r:.40}: must be attempts or session")
