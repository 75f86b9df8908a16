"""Attempt: one agent's turn at a task, as the coordinator notes it before it sends the request."""

from __future__ import annotations

from pydantic import Field

from infrafabric.swarm.assignment import task_id
from infrafabric.swarm.limits import MAX_TOKENS
from infrafabric.swarm.object_keys import result_key
from infrafabric.swarm.session_key import SessionKey
from infrafabric.swarm.shapes.shape import Shape


class Attempt(Shape):
    """Attempt at task ``index`` (from 0)."""

    index: int
    number: int  # from 0; attempts of a second execution count from 100
    agent: str
    allowance_nusd: int
    # Of the answer. Left out at its default, so that a repeated start has the payload of the release before.
    max_tokens: int = Field(default=MAX_TOKENS, exclude_if=lambda tokens: tokens == MAX_TOKENS)
    message_id: str  # of the request

    @property
    def task_id(self) -> str:
        return task_id(self.index)

    @property
    def name(self) -> str:
        """Name of the attempt in its session, such as ``t0001.0``."""
        return f"{self.task_id}.{self.number}"

    def place(self, key: SessionKey) -> str:
        """Return the S3 key of the attempt's result."""
        return result_key(key, self.agent, self.task_id, self.number)
