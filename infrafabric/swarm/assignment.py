"""Task ids, and the assignment of tasks to agents."""

from __future__ import annotations

TASKS_PER_EXECUTION = 50  # a replay is quadratic in an execution's operations, so larger rounds are split
SECOND_EXECUTION = 100  # number of the first attempt of a second execution


def task_id(index: int) -> str:
    """Return the id of task ``index`` (from 0): ``t0001`` for the first. Ids sort in numeric order."""
    return f"t{index + 1:04}"


def agent_for(index: int, tries: int, agents: int) -> str:
    """Return the agent for the next attempt at task ``index`` (from 0), after ``tries`` attempts.

    Round robin; consecutive attempts go to different agents if there is more than one.
    """
    return f"h{(index + tries) % agents + 1:02}"
