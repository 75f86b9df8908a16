"""Task: content of the request that the coordinator sends to an agent."""

from __future__ import annotations

from infrafabric.swarm.shapes.shape import Shape


class Task(Shape):
    """Task with the callback for the answer."""

    session_id: str
    task_id: str
    attempt: int
    text: str
    goal: str  # "" if the session has explicit tasks
    callback_id: str
    budget_nusd: int
