"""Event of a coordinator's execution: a whole session, a slice of a large one, or a second execution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import Field

from infrafabric.swarm.shapes.order import Order
from infrafabric.swarm.shapes.shape import Shape

_SLICE = "part"  # member of the event that holds a task slice


class ExecutionMode(StrEnum):
    """Purpose of an execution. The values are members of the event and parts of the execution's name."""

    START = "start"
    RESUME = "again"  # continue with the tasks that are not done
    WRAP_UP = "wrap_up"  # only report and end


class TaskSlice(Shape):
    """Tasks of a session for a single execution."""

    texts: Annotated[tuple[str, ...], Field(strict=False)]
    first: int = 0  # index of the first task
    of: int  # tasks of the whole session
    again: bool = False  # an earlier execution began with these tasks, so some may be done


@dataclass(frozen=True, kw_only=True)
class CoordinatorEvent:
    """Order of the session, with the purpose of this execution."""

    order: Order
    mode: ExecutionMode = ExecutionMode.START
    task_slice: TaskSlice | None = None  # set in a child execution

    def as_event(self) -> dict[str, Any]:
        """Return the event as the coordinator receives it."""
        event = self.order.as_event()
        if self.mode is not ExecutionMode.START:
            event[self.mode.value] = True
        if self.task_slice is not None:
            event[_SLICE] = self.task_slice.write()
        return event

    @classmethod
    def from_event(cls, event: Mapping[str, Any]) -> Self:
        """Return the parts of an event.

        Raises:
            BadShapeError: as ``Order.from_event``.
        """
        second = (mode for mode in (ExecutionMode.RESUME, ExecutionMode.WRAP_UP) if mode.value in event)
        return cls(
            order=Order.from_event(event),
            mode=next(second, ExecutionMode.START),
            task_slice=TaskSlice.read(event[_SLICE]) if _SLICE in event else None,
        )
