"""Records: contents of the signed messages from which the recorder writes history, and of an agent's answer."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from infrafabric.swarm.session_key import SessionKey
from infrafabric.swarm.shapes.labels import Labels
from infrafabric.swarm.shapes.result import TaskResult
from infrafabric.swarm.shapes.shape import Shape
from infrafabric.swarm.status import SessionStatus

RECORD_LIFETIME_MS = 14 * 86_400_000  # SQS keeps a message 14 days at most


class TaskRecord(TaskResult):
    """Answer of an agent: the end of an attempt, signed by the agent."""

    kind: Literal["task"] = "task"
    session_id: str
    home: str
    epoch: int
    model: str
    at_ms: int

    @classmethod
    def of(cls, key: SessionKey, result: TaskResult, *, model: str, at_ms: int) -> TaskRecord:
        """Return the record of a task's result."""
        return cls(**key._asdict(), model=model, at_ms=at_ms, **result.model_dump())

    @property
    def key(self) -> SessionKey:
        return SessionKey(self.session_id, self.home, self.epoch)

    @property
    def result(self) -> TaskResult:
        return TaskResult(**{name: getattr(self, name) for name in TaskResult.model_fields})


class AttemptRow(TaskResult):
    """Result that the coordinator believed."""

    answer_id: str = ""  # message id of the agent's answer; "" where only the object was found
    model: str
    at_ms: int


class AttemptsRecord(Shape):
    """Ends of several attempts, signed by the coordinator.

    The rows travel beside the signed message, whose citation has their hash: KMS signs 4,096 bytes at most, which would
    be eight rows.
    """

    kind: Literal["attempts"] = "attempts"
    session_id: str
    home: str
    epoch: int


class AttemptRows(Shape):
    """Rows of a record of attempts."""

    attempts: Annotated[tuple[AttemptRow, ...], Field(strict=False)]


class SessionRecord(Shape):
    """End of a session, signed by the coordinator."""

    kind: Literal["session"] = "session"
    session_id: str
    home: str
    epoch: int
    owner: str
    status: Annotated[SessionStatus, Field(strict=False)]
    reason: str
    created_ms: int
    ended_ms: int
    budget_nusd: int
    spent_nusd: int
    committed_nusd: int  # what attempts without an answer may still spend
    tasks: int
    model: str
    s3_key: str
    labels: Labels = ()
