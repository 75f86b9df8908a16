"""Task ids, and the assignment of tasks to agents."""

from __future__ import annotations

TASKS_PER_EXECUTION = 50  # a replay is quadratic in an execution's operations, so larger sessions are split


def task_id(index: int) -> str:
    """Return the id of task ``index`` (from 0): ``t0001`` for the first. Ids sort in numeric order."""
    return f"t{index + 1:04}"


def agent_for(index: int, attempt: int, agents: int) -> str:
    """Return the agent for attempt ``attempt`` (from 0) at task ``index`` (from 0).

    Round robin; consecutive attempts go to different agents if there is more than one.
    """
    return f"h{(index + attempt) % agents + 1:02}"
