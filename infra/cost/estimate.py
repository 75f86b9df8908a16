"""Monthly cost estimate of a graph."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from infra.cost import meters
from infra.cost.lines import Line
from infra.cost.traffic import Traffic
from infra.graph import Graph


class UnpricedError(Exception):
    """Resource type without a meter that is not listed as free; without the type an estimate would be too low."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Monthly cost of a stack."""

    stack: str
    lines: tuple[Line, ...]

    @property
    def usd(self) -> float:
        return sum(line.usd for line in self.lines)

    def by_service(self) -> dict[str, float]:
        """Return USD per month by AWS service, most expensive first."""
        sums: Counter[str] = Counter()
        for line in self.lines:
            sums[line.type.split(":")[1].split("/", maxsplit=1)[0]] += line.usd  # pyright: ignore[reportArgumentType]
        return dict(sums.most_common())


def estimate(graph: Graph, traffic: Traffic) -> Estimate:
    """Return the monthly cost of ``graph`` with ``traffic``.

    Raises:
        UnpricedError: names every type that has no meter and is not listed as free.
    """
    unknown = sorted({r.type for r in graph.custom} - meters.known())
    if unknown:
        raise UnpricedError(
            f"no price for {', '.join(unknown)}: add a meter, or add the type to FREE, in infra/cost/meters"
        )
    month = meters.Month(graph=graph, traffic=traffic)
    lines = [line for resource in graph.custom for line in meters.lines_of(resource, month) if line.quantity]
    return Estimate(stack=graph.stack, lines=tuple(lines))
