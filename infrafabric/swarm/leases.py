"""Leases of messages, and the errors of a lease or reservation that is not granted."""

from __future__ import annotations

from dataclasses import dataclass

from infrafabric.money import usd
from infrafabric.swarm.shapes.result import TaskResult


class LeaseError(Exception):
    """Lease or reservation that was not granted.

    ├── AlreadyDone     the message's work is done: answer it, do not repeat it (idempotency)
    ├── LeaseHeld       another invocation holds the lease
    ├── SessionOver     the session has ended, was cancelled or does not exist
    └── OverBudget      the reservation would exceed the budget
    """


class AlreadyDoneError(LeaseError):
    """Finished work, with the result and the SQS message of the delivery."""

    def __init__(self, result: TaskResult, sqs_message_id: str) -> None:
        super().__init__(f"task {result.task_id} was already answered")
        self.result, self.sqs_message_id = result, sqs_message_id


class LeaseHeldError(LeaseError):
    """Message that another invocation works on until ``until_ms`` (Unix milliseconds)."""

    def __init__(self, message_id: str, *, until_ms: int) -> None:
        super().__init__(f"message {message_id} is leased until {until_ms}")
        self.until_ms = until_ms


class SessionOverError(LeaseError):
    """Session that has ended, was cancelled or does not exist."""


class OverBudgetError(LeaseError):
    """Reservation that exceeds the budget."""

    def __init__(self, text: str, *, later: bool = False) -> None:
        """``later``: the reservation may fit once running calls turn out to cost less than they might."""
        super().__init__(text)
        self.later = later

    @classmethod
    def of(cls, *, reserve_nusd: int, budget_nusd: int, committed_nusd: int, spent_nusd: int) -> OverBudgetError:
        """Return the error for a reservation beyond what is free of a budget."""
        free_nusd = max(0, budget_nusd - committed_nusd)
        return cls(
            f"the next model call may cost {usd(reserve_nusd):.6f} USD and {usd(free_nusd):.6f} USD of the budget of "
            f"{usd(budget_nusd):.6f} USD are free: start the session again with a larger budget_usd",
            later=reserve_nusd <= budget_nusd - spent_nusd,
        )


@dataclass(frozen=True, kw_only=True)
class Lease:
    """Exclusive right to work on a message for a while, and the money reserved for the work."""

    session_id: str
    message_id: str
    reserved_nusd: int
    token: str  # tells this lease from all others
    sqs_message_id: str
