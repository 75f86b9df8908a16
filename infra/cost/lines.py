"""Line of an estimate."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Line:
    """Cost line: monthly cost of a resource for a cost item."""

    resource: str  # logical name
    type: str
    label: str  # cost item: hours of a db.t4g.small, GB stored …
    quantity: float  # per month
    unit_usd: float

    @property
    def usd(self) -> float:
        return self.quantity * self.unit_usd
