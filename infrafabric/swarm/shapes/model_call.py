"""Model call of the coordinator itself: noted before the call, and again with its cost after it.

A step of a durable execution may be repeated. The note of a call whose cost was never written counts in full.
"""

from __future__ import annotations

from infrafabric.swarm.shapes.shape import Shape


class ModelCall(Shape):
    """Plan or report call number ``number`` of a session."""

    name: str
    number: int
    reserved_nusd: int
    spent_nusd: int | None = None  # None while the cost is unknown

    @property
    def committed_nusd(self) -> int:
        """Money that the call may have spent without our knowledge."""
        return self.reserved_nusd if self.spent_nusd is None else 0
