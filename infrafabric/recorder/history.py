"""Writing history: one verified message becomes one row, however often it is delivered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from infrafabric.bus.envelope import Envelope
from infrafabric.bus.refusal import Reason, Refused
from infrafabric.bus.registry import Registry
from infrafabric.bus.verify import verify
from infrafabric.swarm.session import COORDINATOR
from infrafabric.swarm.task import claimed

_TASK = """
INSERT INTO task_results (session_id, task_id, attempt, agent, status, reason, s3_key, evidence_hash, tokens_in,
                          tokens_out, cost_usd, model, message_id, recorded_at)
VALUES (%(session_id)s, %(task_id)s, %(attempt)s, %(agent)s, %(status)s, %(reason)s, %(s3_key)s, %(evidence_hash)s,
        %(tokens_in)s, %(tokens_out)s, %(cost_nusd)s / 1e9, %(model)s, %(message_id)s, to_timestamp(%(at_ms)s / 1e3))
ON CONFLICT DO NOTHING
"""
_SESSION = """
INSERT INTO sessions (session_id, status, reason, created_at, ended_at, budget_usd, cost_usd, tasks, model, report_key)
VALUES (%(session_id)s, %(status)s, %(reason)s, to_timestamp(%(created_ms)s / 1e3), to_timestamp(%(ended_ms)s / 1e3),
        %(budget_nusd)s / 1e9, %(spent_nusd)s / 1e9, %(tasks)s, %(model)s, %(s3_key)s)
ON CONFLICT (session_id) DO NOTHING
"""
_STATEMENTS = {"task": _TASK, "session": _SESSION}
_FIELDS: dict[str, dict[str, type]] = {
    "task": {
        "session_id": str, "task_id": str, "attempt": int, "agent": str, "status": str, "reason": str, "s3_key": str,
        "evidence_hash": str, "tokens_in": int, "tokens_out": int, "cost_nusd": int, "model": str, "at_ms": int,
    },
    "session": {
        "session_id": str, "status": str, "reason": str, "created_ms": int, "ended_ms": int, "budget_nusd": int,
        "spent_nusd": int, "tasks": int, "model": str, "s3_key": str,
    },
}  # fmt: skip


class BadRowError(Exception):
    """Values that the table does not take, now or later: a wrong type, a number out of range, an unknown status."""


@dataclass(frozen=True, kw_only=True)
class RecorderDeps:
    """Everything the recorder does to the world."""

    now_ms: Callable[[], int]
    registry: Callable[[str, str], Registry]  # one that is fresh enough to judge this sender's key
    execute: Callable[[str, Mapping[str, Any]], None]  # one statement, committed; raises BadRowError
    dead_letter: Callable[[str, str, str], None]  # body, reason, detail


def record(body: str, deps: RecorderDeps) -> None:
    """Write one message of the results queue. What is not trusted goes to the dead-letter queue with its reason.

    So does what the tables do not take: it would never be taken, and hold up the rest of its session.
    """
    try:
        envelope = verify(body, registry=deps.registry(*claimed(body)), now_ms=deps.now_ms())
    except Refused as refused:
        deps.dead_letter(body, str(refused.reason), refused.detail)
        return
    problem = _problem(envelope)
    if problem:
        deps.dead_letter(body, Reason.BAD_CONTENT, problem)
        return
    try:
        deps.execute(_STATEMENTS[envelope.content["kind"]], {**envelope.content, "message_id": envelope.message_id})
    except BadRowError as error:
        deps.dead_letter(body, Reason.BAD_CONTENT, str(error))


def _problem(envelope: Envelope) -> str:
    kind = envelope.content.get("kind")
    if not isinstance(kind, str) or kind not in _STATEMENTS:
        return f"content.kind = {kind!r:.40}: must be task or session"
    for name, wanted in _FIELDS[kind].items():
        if type(envelope.content.get(name)) is not wanted:
            return f"content.{name} is missing or no {wanted.__name__}"
    agent = envelope.content.get("agent")
    if kind == "task" and envelope.sender != f"if://agent/{agent}":
        return f"content.agent = {agent!r:.40} but {envelope.sender} signed it: an agent reports on itself only"
    if kind == "session" and envelope.sender != COORDINATOR:
        return f"{envelope.sender} signed it: only {COORDINATOR} reports on sessions"
    return ""
