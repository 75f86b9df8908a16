"""Why the store does not grant what it is asked for."""

from __future__ import annotations

from typing import Any

from infrafabric.swarm.session import TaskResult


class StoreError(Exception):
    """A claim that was not granted.

    ├── AlreadyDone     the message's work is done: answer it, do not redo it
    ├── BeingWorked     another invocation holds it
    ├── SessionOver     the session has ended or was cancelled
    └── OverBudget      the reservation would exceed the budget
    """


class AlreadyDoneError(StoreError):
    """``carrier`` is the id of the SQS message that brought the work that was done."""

    def __init__(self, result: TaskResult, carrier: str) -> None:
        super().__init__(f"task {result.task_id} was already answered")
        self.result, self.carrier = result, carrier


class BeingWorkedError(StoreError):
    pass


class SessionOverError(StoreError):
    pass


class OverBudgetError(StoreError):
    pass


class SessionExistsError(Exception):
    """A session of that id is there; ``item`` is it."""

    def __init__(self, item: dict[str, Any]) -> None:
        super().__init__(f"session {item['pk']} exists")
        self.item = item
