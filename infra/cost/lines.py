"""A line of the bill."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Line:
    """What one resource costs a month for one reason."""

    resource: str  # logical name
    type: str
    label: str  # hours of a db.t4g.small, GB stored …
    quantity: float  # a month
    unit_usd: float

    @property
    def usd(self) -> float:
        return self.quantity * self.unit_usd
