"""Adds up what every resource of a graph costs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from infra.cost import meters
from infra.cost.lines import Line
from infra.cost.traffic import Traffic
from infra.graph import Graph


class UnpricedError(Exception):
    """A type that is neither metered nor known to cost nothing: an estimate without it would be too low."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a stack costs a month."""

    stack: str
    lines: tuple[Line, ...]

    @property
    def usd(self) -> float:
        return sum(line.usd for line in self.lines)

    def by_service(self) -> dict[str, float]:
        """USD a month by AWS service, dearest first."""
        sums: Counter[str] = Counter()
        for line in self.lines:
            sums[line.type.split(":")[1].split("/", maxsplit=1)[0]] += line.usd  # pyright: ignore[reportArgumentType]
        return dict(sums.most_common())


def estimate(graph: Graph, traffic: Traffic) -> Estimate:
    """What ``graph`` costs a month with ``traffic``.

    Raises:
        UnpricedError: names every type that nobody has said anything about.
    """
    unknown = sorted({r.type for r in graph.custom} - meters.known())
    if unknown:
        raise UnpricedError(
            f"no price for {', '.join(unknown)}: add a meter, or the type to FREE, in infra/cost/meters"
        )
    month = meters.Month(graph=graph, traffic=traffic)
    lines = [line for resource in graph.custom for line in meters.lines_of(resource, month) if line.quantity]
    return Estimate(stack=graph.stack, lines=tuple(lines))
