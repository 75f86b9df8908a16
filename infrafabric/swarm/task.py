"""The content of the messages that coordinator and agents exchange about a task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from infrafabric.swarm.session import TaskResult

ARCHIVED_MS = 14 * 86_400_000  # a record may wait in its queue as long as SQS keeps it


class BadContentError(ValueError):
    """A signed message whose content is no task; the message names the member."""


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
        """Raises :class:`BadContentError`."""
        for name, kind in _TASK_TYPES.items():
            value = content.get(name)
            if not isinstance(value, kind) or isinstance(value, bool):
                raise BadContentError(f"content.{name} = {value!r:.60}: must be {kind.__name__}")
        return cls(**{name: content[name] for name in _TASK_TYPES})


_TASK_TYPES: dict[str, type] = {
    "session_id": str, "task_id": str, "attempt": int, "text": str, "goal": str, "callback_id": str, "budget_nusd": int
}  # fmt: skip


def record_of(session_id: str, result: TaskResult, *, model: str, at_ms: int) -> dict[str, Any]:
    """What an ``inform`` or ``failure`` about a task says."""
    return {"kind": "task", "session_id": session_id, **asdict(result), "model": model, "at_ms": at_ms}
