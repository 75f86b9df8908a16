"""Table of meters by resource type."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from infra.cost.lines import Line
from infra.cost.prices import price
from infra.cost.traffic import Traffic
from infra.graph import Graph, Resource

# "All custom metrics charges are prorated by the hour and metered only when you send metrics" (CloudWatch pricing).
HOURLY_METRICS = "metrics, by the hours in which they come"


@dataclass(frozen=True, kw_only=True)
class Month:
    """Graph and traffic of a month, as input of every meter."""

    graph: Graph
    traffic: Traffic

    def share(self, resource: Resource) -> float:
        """Return the equal share of ``resource`` in a quantity of its type: 1 / number of resources of the type."""
        return 1 / sum(other.type == resource.type for other in self.graph.custom)


Meter = Callable[[Resource, Month], Iterator[Line]]
METERS: dict[str, Meter] = {}


def meter(*tokens: str) -> Callable[[Meter], Meter]:
    """Register a function as the meter of ``tokens``."""

    def register(function: Meter) -> Meter:
        for token in tokens:
            if token in METERS:
                raise ValueError(f"{token} has two meters")
            METERS[token] = function
        return function

    return register


def lines_of(resource: Resource, month: Month) -> Iterator[Line]:
    """Yield the cost lines of ``resource``; none for a free type."""
    if resource.type in METERS:
        yield from METERS[resource.type](resource, month)


def line(resource: Resource, label: str, quantity: float, price_name: str) -> Line:
    """Return a cost line with a price from the table."""
    return Line(resource=resource.name, type=resource.type, label=label, quantity=quantity, unit_usd=price(price_name))
