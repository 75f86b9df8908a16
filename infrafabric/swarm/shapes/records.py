"""Records: contents of the signed messages from which the recorder writes history."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from infrafabric.swarm.shapes.labels import Labels
from infrafabric.swarm.shapes.result import TaskResult
from infrafabric.swarm.shapes.shape import Shape
from infrafabric.swarm.status import SessionStatus, TaskStatus

RECORD_LIFETIME_MS = 14 * 86_400_000  # SQS keeps a message 14 days at most


class TaskRecord(Shape):
    """End of an attempt at a task, signed by the agent."""

    kind: Literal["task"] = "task"
    session_id: str
    task_id: str
    agent: str
    attempt: int
    status: Annotated[TaskStatus, Field(strict=False)]
    s3_key: str
    evidence_hash: str
    tokens_in: int
    tokens_out: int
    cost_nusd: int
    reason: str
    model: str
    at_ms: int

    @classmethod
    def of(cls, session_id: str, result: TaskResult, *, model: str, at_ms: int) -> TaskRecord:
        """Return the record of a task's result."""
        return cls(session_id=session_id, model=model, at_ms=at_ms, **result.model_dump())


class SessionRecord(Shape):
    """End of a session, signed by the coordinator."""

    kind: Literal["session"] = "session"
    session_id: str
    status: Annotated[SessionStatus, Field(strict=False)]
    reason: str
    created_ms: int
    ended_ms: int
    budget_nusd: int
    spent_nusd: int
    tasks: int
    model: str
    s3_key: str
    labels: Labels = ()
