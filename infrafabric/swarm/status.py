"""Status of sessions and tasks."""

from __future__ import annotations

from enum import StrEnum


class SessionStatus(StrEnum):
    """Status of a session. The last four are final."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    COMPLETE = "COMPLETE"
    PARTIAL = "PARTIAL"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def final(self) -> bool:
        return self not in (SessionStatus.PENDING, SessionStatus.RUNNING)


FINAL_STATUSES = frozenset(status for status in SessionStatus if status.final)


class TaskStatus(StrEnum):
    """Status of a task that has ended."""

    DONE = "DONE"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"  # only in reports: the session ended before the task did
