"""Quorum: how many tasks a session needs, and the outcome that follows."""

from __future__ import annotations

import math

from infrafabric.swarm.status import SessionStatus


def required_tasks(quorum: float, tasks: int) -> int:
    """Return the number of done tasks that makes a session COMPLETE; a quorum of 0 requires one as well."""
    # 0.1 * 30 is 3.0000000000000004 in binary: without the guard that quorum would require 4
    return min(tasks, max(1, math.ceil(quorum * tasks - 1e-9)))


def outcome(done: int, tasks: int, quorum: float) -> SessionStatus:
    """Return COMPLETE if the quorum is reached, PARTIAL if any task is done, else FAILED."""
    if tasks and done >= required_tasks(quorum, tasks):
        return SessionStatus.COMPLETE
    return SessionStatus.PARTIAL if done else SessionStatus.FAILED
