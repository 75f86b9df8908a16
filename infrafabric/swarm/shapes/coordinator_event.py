"""Event of a coordinator's execution: a whole session, part of a round of a large one, or a second execution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import Field

from infrafabric.swarm.shapes.attempt import Attempt
from infrafabric.swarm.shapes.order import Order
from infrafabric.swarm.shapes.shape import Shape

_ROUND = "round"  # member of the event that holds a part of a round


class ExecutionMode(StrEnum):
    """Purpose of an execution. The values are members of the event and parts of the execution's name."""

    START = "start"
    RESUME = "again"  # continue with the tasks that are not done
    WRAP_UP = "wrap_up"  # only report and end


class RoundOrder(Shape):
    """Attempts that an execution runs at the same time, with the texts of their tasks."""

    number: int  # of the round, from 0
    part: int = 0
    attempts: Annotated[tuple[Attempt, ...], Field(strict=False)]
    texts: Annotated[tuple[str, ...], Field(strict=False)]  # one for each attempt
    required: int  # done tasks after which the others are not waited for
    silence_s: int  # an agent that sends no heartbeat for longer is silent


@dataclass(frozen=True, kw_only=True)
class CoordinatorEvent:
    """Order of the session, with the purpose of this execution."""

    order: Order
    mode: ExecutionMode = ExecutionMode.START
    round_order: RoundOrder | None = None  # set in a child execution

    def as_event(self) -> dict[str, Any]:
        """Return the event as the coordinator receives it."""
        event = self.order.as_event()
        if self.mode is not ExecutionMode.START:
            event[self.mode.value] = True
        if self.round_order is not None:
            event[_ROUND] = self.round_order.write()
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
            round_order=RoundOrder.read(event[_ROUND]) if _ROUND in event else None,
        )
