"""The content of the messages that coordinator and agents exchange about a task."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from infrafabric.bus.refusal import Reason
from infrafabric.swarm.session import TaskResult

ARCHIVED_MS = 14 * 86_400_000  # a record may wait in its queue as long as SQS keeps it
# Why an attempt failed, where the coordinator acts on it: another agent would meet the same.
BUDGET, DEADLINE, CANCELLED = "budget", "deadline", "cancelled"
THROTTLED = "throttled"


class BadRequestError(ValueError):
    """A trusted message that is no task of the coordinator's: ``reason`` and ``detail`` go to the dead-letter queue."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


@dataclass(frozen=True, kw_only=True)
class Task:
    """A request's content: what to do, and where to say that it is done."""

    session_id: str
    task_id: str
    attempt: int
    text: str
    goal: str  # "" when the session was given tasks
    callback_id: str
    budget_nusd: int

    def as_content(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def parse(cls, content: Mapping[str, Any]) -> Self:
        """Raises :class:`BadRequestError`, which names the member and never quotes it."""
        for name, kind in _TASK_TYPES.items():
            if name not in content:
                raise BadRequestError(Reason.BAD_CONTENT, f"content.{name} is missing")
            if type(content[name]) is not kind:
                found = type(content[name]).__name__
                raise BadRequestError(Reason.BAD_CONTENT, f"content.{name} is {found}: must be {kind.__name__}")
        return cls(**{name: content[name] for name in _TASK_TYPES})


_TASK_TYPES: dict[str, type] = {
    "session_id": str, "task_id": str, "attempt": int, "text": str, "goal": str, "callback_id": str, "budget_nusd": int
}  # fmt: skip


def record_of(session_id: str, result: TaskResult, *, model: str, at_ms: int) -> dict[str, Any]:
    """What an ``inform`` or ``failure`` about a task says."""
    return {"kind": "task", "session_id": session_id, **asdict(result), "model": model, "at_ms": at_ms}


def claimed(body: str) -> tuple[str, str]:
    """Who a message says it is from, and with which key; "" where it does not. Only to know whether a registry that is
    held is fresh enough to judge it: ``verify`` decides."""
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        return "", ""
    return _text(message, "sender"), _text(_member(message, "signature"), "public_key")


def _member(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, dict) else None


def _text(value: object, name: str) -> str:
    found = _member(value, name)
    return found if isinstance(found, str) else ""
