"""Result of one attempt at a task: the summary that travels and is stored in rows; the document itself lies in S3."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from infrafabric.swarm.shapes.shape import Shape
from infrafabric.swarm.status import TaskStatus


class TaskResult(Shape):
    """End of an attempt, small enough for a message or a checkpoint."""

    task_id: str
    agent: str
    attempt: int
    status: Annotated[TaskStatus, Field(strict=False)]
    s3_key: str = ""
    evidence_hash: str = ""
    size_bytes: int = 0  # of the object
    tokens_in: int = 0
    tokens_out: int = 0
    cost_nusd: int = 0
    reason: str = ""

    @property
    def name(self) -> str:
        """Name of the attempt in its session, such as ``t0001.0``."""
        return f"{self.task_id}.{self.attempt}"

    @property
    def done(self) -> bool:
        return self.status is TaskStatus.DONE
