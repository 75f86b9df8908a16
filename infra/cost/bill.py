"""Comparison of a stack's estimate with an earlier estimate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from infra.cost.estimate import Estimate
from infra.cost.lines import Line


class BadDocumentError(Exception):
    """Document that is not an estimate of ``fabric cost --json``."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """Changed monthly cost of one resource type and one cost item, in USD."""

    type: str  # ec2/natGateway
    label: str
    before: float
    after: float

    @property
    def usd(self) -> float:
        return self.after - self.before


@dataclass(frozen=True, kw_only=True)
class Bill:
    """Estimate of a stack, and the earlier estimate; ``before`` is None without a comparison or for a new stack."""

    now: Estimate
    before: Estimate | None = None

    @property
    def change_usd(self) -> float:
        return self.now.usd - self.before.usd if self.before else 0.0

    def changes(self) -> list[Change]:
        """Return all differences of half a cent or more, largest first."""
        before, after = _sums(self.before.lines if self.before else ()), _sums(self.now.lines)
        found = [
            Change(type=key[0], label=key[1], before=before.get(key, 0.0), after=after.get(key, 0.0))
            for key in sorted({*before, *after})
        ]
        return sorted((c for c in found if abs(c.usd) >= 0.005), key=lambda change: -abs(change.usd))


def document(estimate: Estimate) -> dict[str, Any]:
    """Return an estimate as JSON, which :func:`estimate_of` reads."""
    lines = [
        {
            "resource": line.resource,
            "type": line.type,
            "what": line.label,
            "quantity": line.quantity,
            "unit_usd": line.unit_usd,
            "usd": round(line.usd, 4),
        }
        for line in estimate.lines
    ]
    return {"usd": round(estimate.usd, 4), "lines": lines}


def estimate_of(stack: str, parsed: Mapping[str, Any]) -> Estimate:
    """Return the estimate in a document of :func:`document`.

    Raises:
        BadDocumentError: the document has another shape.
    """
    try:
        lines = [
            Line(
                resource=line["resource"],
                type=line["type"],
                label=line["what"],
                quantity=line["quantity"],
                unit_usd=line["unit_usd"],
            )
            for line in parsed["lines"]
        ]
        return Estimate(stack=stack, lines=tuple(lines)) if all(map(_is_line, lines)) else _refuse()
    except (KeyError, TypeError):
        return _refuse()


def _is_line(line: Line) -> bool:
    strings, numbers = (line.resource, line.type, line.label), (line.quantity, line.unit_usd)
    return all(isinstance(word, str) for word in strings) and all(isinstance(number, int | float) for number in numbers)


def _refuse() -> Estimate:
    raise BadDocumentError("is not an estimate of fabric cost --json")


def _sums(lines: Iterable[Line]) -> dict[tuple[str, str], float]:
    found: dict[tuple[str, str], float] = {}
    for line in lines:
        key = line.type.removeprefix("aws:").split(":")[0], line.label
        found[key] = found.get(key, 0.0) + line.usd
    return found
