"""Order of a session: the client's request with all defaults filled in, as the coordinator receives and keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import Field

from infrafabric.swarm.session_key import SessionKey
from infrafabric.swarm.shapes.labels import Labels
from infrafabric.swarm.shapes.shape import BadShapeError, Shape

ORDER_VERSION = 2  # changes only when an order cannot be read by the rules of Shape any more
_VERSION = "order"  # member of the event that holds the version


class Order(Shape):
    """Either ``goal`` is set or ``tasks`` is not empty."""

    session_id: str  # the internal id
    home: str  # region that writes the session's data
    epoch: int = 1
    owner: str
    goal: str | None
    tasks: Annotated[tuple[str, ...], Field(strict=False)]
    agents: int
    created_ms: int
    deadline_ms: int
    budget_nusd: int
    quorum: float
    labels: Labels = ()
    max_tokens: int | None = None  # of an agent's answer; None: as the stack has it

    def as_event(self) -> dict[str, Any]:
        """Return the order as the coordinator's event.

        A member at its default is left out. So an order without new members has the bytes that the previous release
        wrote, as Lambda demands of a repeated start: one execution name, one payload.
        """
        return {_VERSION: ORDER_VERSION, **self.model_dump(mode="json", exclude_defaults=True)}

    @classmethod
    def from_event(cls, event: Mapping[str, Any]) -> Self:
        """Return the order of a coordinator's event.

        Raises:
            BadShapeError: an order of another version, or an event that is not an order.
        """
        if not isinstance(event, Mapping):
            raise BadShapeError("Order", "is not an object")
        if event.get(_VERSION) != ORDER_VERSION:
            raise BadShapeError(
                "Order", f"version {event.get(_VERSION)!r:.20}: this release reads version {ORDER_VERSION}"
            )
        return cls.read(event)

    @property
    def key(self) -> SessionKey:
        return SessionKey(self.session_id, self.home, self.epoch)

    @property
    def tasks_deadline_ms(self) -> int:
        """Deadline of the tasks: a tenth of the session's time, at most a minute, is reserved for the report."""
        return self.deadline_ms - min(60_000, (self.deadline_ms - self.created_ms) // 10)
