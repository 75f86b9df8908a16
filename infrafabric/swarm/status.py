"""Status of sessions and tasks."""

from __future__ import annotations

from enum import StrEnum


class SessionStatus(StrEnum):
    """Status of a session. The last four are final, and CANCELLING is shown, never stored."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    CANCELLING = "CANCELLING"  # a client cancelled; the coordinator is ending the session
    COMPLETE = "COMPLETE"
    PARTIAL = "PARTIAL"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def final(self) -> bool:
        return self not in (SessionStatus.PENDING, SessionStatus.RUNNING, SessionStatus.CANCELLING)


FINAL_STATUSES = frozenset(status for status in SessionStatus if status.final)


class TaskStatus(StrEnum):
    """Status of a task that has ended."""

    DONE = "DONE"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"  # only in reports: the session ended before the task did
