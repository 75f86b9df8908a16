"""A session's vocabulary: its states, its outcome, where its objects lie, who gets which task. All of it pure."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Self

NANO = 1_000_000_000  # money is counted in nano-USD: one cached Haiku token costs 10 of them, so integers are exact
ORDER_VERSION = 1
COORDINATOR = "if://agent/coordinator"
ORDERS = "order#"  # begins the partition key of an order, and of nothing else: agents may not touch those
WRAP_UP = "wrap_up"  # in the coordinator's event: only the end of a session that lost its coordinator
TASKS_AN_EXECUTION = 50  # replaying a durable execution is quadratic in its operations: bigger sessions are split


class Status(StrEnum):
    """Where a session stands. The last four are final, and none of them is silent."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    COMPLETE = "COMPLETE"
    PARTIAL = "PARTIAL"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def final(self) -> bool:
        return self not in (Status.PENDING, Status.RUNNING)


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a session was asked to do, as the coordinator gets it. Either ``goal`` or ``tasks`` is given."""

    session_id: str
    goal: str | None
    tasks: tuple[str, ...]
    agents: int
    created_ms: int
    deadline_ms: int
    budget_nusd: int
    quorum: float

    def as_event(self) -> dict[str, Any]:
        return {"order": ORDER_VERSION, **asdict(self), "tasks": list(self.tasks)}

    @classmethod
    def from_event(cls, event: Mapping[str, Any]) -> Self:
        """Raises ``ValueError`` for an event that is no order of this version."""
        if event.get("order") != ORDER_VERSION:
            raise ValueError(f"not an order of version {ORDER_VERSION}: order = {event.get('order')!r}")
        known = {name: event[name] for name in cls.__dataclass_fields__}
        return cls(**{**known, "tasks": tuple(known["tasks"])})

    @property
    def tasks_by_ms(self) -> int:
        """When the tasks must be done: a tenth of the time, at most a minute, is kept for the report."""
        return self.deadline_ms - min(60_000, (self.deadline_ms - self.created_ms) // 10)


@dataclass(frozen=True, kw_only=True)
class TaskResult:
    """How one task ended, small enough to travel; the result itself lies in S3."""

    task_id: str
    agent: str
    attempt: int
    status: str  # DONE or FAILED
    s3_key: str = ""
    evidence_hash: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    cost_nusd: int = 0
    reason: str = ""


def task_id(index: int) -> str:
    """``t0001`` for the first task: sorts as it counts."""
    return f"t{index + 1:04}"


def agent_for(index: int, attempt: int, agents: int) -> str:
    """The agent that gets task ``index`` (from 0) at its ``attempt`` (from 0): in turn, and never the same one twice
    in a row when there is another."""
    return f"h{(index + attempt) % agents + 1:02}"


def needed(quorum: float, tasks: int) -> int:
    """How many tasks must be done for the session to be COMPLETE; a quorum of 0 asks for one all the same."""
    # 0.1 * 30 is 3.0000000000000004 in binary: without the guard that quorum would ask for 4
    return min(tasks, max(1, math.ceil(quorum * tasks - 1e-9)))


def outcome(done: int, tasks: int, quorum: float) -> Status:
    """COMPLETE when the quorum is reached, PARTIAL when anything was done, FAILED when nothing was."""
    if tasks and done >= needed(quorum, tasks):
        return Status.COMPLETE
    return Status.PARTIAL if done else Status.FAILED


def prefix(session_id: str) -> str:
    """Where a session's objects lie. Two hex digits of a hash spread sessions over S3's partitions (seed, 3.1)."""
    return f"sessions/{hashlib.sha256(session_id.encode()).hexdigest()[:2]}/{session_id}"


def result_key(session_id: str, agent: str, task: str, attempt: int, *, failed: bool = False) -> str:
    return f"{prefix(session_id)}/agents/{agent}/{task}/{attempt}/{'error' if failed else 'result'}.json"


def report_key(session_id: str) -> str:
    return f"{prefix(session_id)}/report.json"


def order_key(session_id: str) -> str:
    """The partition of a session's order. Whoever writes one has work ordered: it is the API's alone."""
    return f"{ORDERS}{session_id}"


def conversation(session_id: str) -> str:
    """The session's messages on the bus. An IF.bus name starts with a letter or digit, and a session id may not."""
    return f"if://conversation/{'s~' if session_id.startswith('-') else ''}{session_id}"


def usd(nusd: int) -> float:
    return nusd / NANO
