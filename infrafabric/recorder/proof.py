"""Proof of rows of history: a row's values must follow from the record that the coordinator signed.

A line of the view ``signed_history`` has the row, and the signed record and its rows as they travelled.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from infrafabric.bus.envelope import Envelope, parse
from infrafabric.bus.refusal import Reason, Refused, quoted_value
from infrafabric.bus.registry import Registry
from infrafabric.bus.uris import agent_uri
from infrafabric.bus.verify import verify
from infrafabric.recorder.record import (
    BadRecordError,
    attempt_values,
    record_of,
    rows_of,
    session_values,
    verified_answers,
)
from infrafabric.swarm.shapes.records import AttemptsRecord, SessionRecord

NO_RECORD, CHANGED = "no-record", "changed"
_KEY = {name: name for name in ("session_id", "home", "epoch", "record_id")}
# Columns of the tables, and the members of the record that they follow from. A column of a later release is not judged.
_SESSION_COLUMNS = {
    **_KEY,
    **{name: name for name in ("owner", "status", "reason", "budget_usd", "committed_usd", "tasks", "model", "labels")},
    "cost_usd": "spent_usd",
    "report_key": "s3_key",
    "created_at": "created_ms",
    "ended_at": "ended_ms",
}
_ATTEMPT_COLUMNS = {
    **_KEY,
    **{name: name for name in ("task_id", "attempt", "agent", "status", "reason", "s3_key", "evidence_hash")},
    **{name: name for name in ("tokens_in", "tokens_out", "cost_usd", "model", "message_id", "answer")},
    "recorded_at": "at_ms",
}
_TIMES = ("created_at", "ended_at", "recorded_at")


class BadLineError(Exception):
    """Line that the view ``signed_history`` cannot have."""


@dataclass(frozen=True)
class Verdict:
    """Whether a row is proven, as ``fabric bus verify --history`` prints it."""

    row: str
    valid: bool
    reason: str
    detail: str


@dataclass(frozen=True)
class HistoryLine:
    """Line of the view ``signed_history``."""

    row: Mapping[str, Any]
    record: str | None  # None: a row of a release that stored no records
    rows: str | None

    @classmethod
    def parse(cls, text: str) -> HistoryLine:
        """Parse a line of JSON.

        Raises:
            BadLineError: saying what is missing.
        """
        try:
            line = json.loads(text, parse_float=Decimal)
        except (ValueError, RecursionError):
            raise BadLineError("not JSON") from None
        if not isinstance(line, dict) or not isinstance(line.get("row"), dict):
            raise BadLineError("not a JSON object with a row")
        for name in ("record", "rows"):
            if name not in line or not isinstance(line[name], str | None):
                raise BadLineError(f"{name} must be a text or null")
        return cls(line["row"], line["record"], line["rows"])

    @property
    def name(self) -> str:
        """Session, and for an attempt its task, number and agent."""
        row = self.row
        attempt = f" {row['task_id']}.{row.get('attempt')} {row.get('agent')}" if "task_id" in row else ""
        return f"{row.get('session_id')}{attempt}"


def prove(line: HistoryLine, registry: Registry) -> Verdict:
    """Judge a row: the coordinator's signature, the values of the row, and the agent's signature if it has an answer.

    A message's age does not count, because the recorder judged it when the message arrived.

    Args:
        registry: keys of the time when the row was written.
    """
    if line.record is None:
        return Verdict(line.name, False, NO_RECORD, "the row was written by a release that stored no signed records")
    try:
        envelope = verify(line.record, registry=registry, now_ms=parse(line.record).timestamp)
        record = record_of(envelope)
        if isinstance(record, SessionRecord):
            columns, signed = _SESSION_COLUMNS, session_values(record, envelope)
        else:
            columns, signed = _ATTEMPT_COLUMNS, _signed_attempt(line, record, envelope, registry)
    except Refused as refused:
        return Verdict(line.name, False, str(refused.reason), refused.detail)
    except BadRecordError as error:
        return Verdict(line.name, False, Reason.BAD_CONTENT, str(error))
    if signed is None:
        return Verdict(line.name, False, CHANGED, f"{envelope.sender} signed no such row in {envelope.message_id}")
    for column, member in columns.items():
        stored, expected = line.row.get(column), signed[member]
        if _comparable(column, stored) != _comparable(column, expected):
            detail = f"{column} is {_shown(stored)}, and {envelope.sender} signed {_shown(expected)}"
            return Verdict(line.name, False, CHANGED, detail)
    signers = f"{envelope.sender} signed the row"
    if line.row.get("answer"):
        signers += f", {agent_uri(line.row['agent'])} its answer"
    return Verdict(line.name, True, "ok", signers)


def _signed_attempt(
    line: HistoryLine, record: AttemptsRecord, envelope: Envelope, registry: Registry
) -> dict[str, Any] | None:
    """Return the values that the coordinator signed for the row's attempt; None if it signed none.

    Raises:
        Refused: the row's answer is not trusted.
        BadRecordError: the rows are not the signed ones, or the answer is about another attempt.
    """
    rows = rows_of(envelope, [] if line.rows is None else [line.rows])
    identity = tuple(line.row.get(name) for name in ("task_id", "attempt", "agent"))
    row = next((one for one in rows if (one.task_id, one.attempt, one.agent) == identity), None)
    if row is None:
        return None
    body = line.row.get("answer")
    answers, refusals = verified_answers([body] if isinstance(body, str) else [], registry)
    if refusals:
        raise refusals[0][1]
    if body is None:  # the recorder stores no answer whose key was revoked before it wrote the row
        answers = {(row.answer_id, agent_uri(row.agent), row.name): None}
    return attempt_values(record, row, envelope, answers)


def _comparable(column: str, value: Any) -> Any:
    """Return a value of a row or of a record in one form: milliseconds, exact decimals, lists."""
    if column in _TIMES and isinstance(value, str):
        try:
            return round(datetime.fromisoformat(value).timestamp() * 1000)
        except (ValueError, OverflowError):
            return value
    if isinstance(value, bool):
        return str(value)  # True is 1 for Python
    return list(value) if isinstance(value, tuple) else value


def _shown(value: Any) -> str:
    return quoted_value(f"{value:f}" if isinstance(value, Decimal) else value)
