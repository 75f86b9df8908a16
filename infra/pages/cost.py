"""Page docs/cost.md: cost of every estate, line by line."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from infra.cost.estimate import Estimate
from infra.cost.prices import AS_OF, REGION
from infra.cost.traffic import DEV, PROD, STANDBY, Traffic

HEAD = f"""# Monthly cost

`make docs` writes this page from the graphs of the stacks in `tests/stacks`, and a test keeps the page up to date.
Prices are on-demand list prices in {REGION} without free tiers, as of {AS_OF}. Prices that the analysis names are from
its section 1.3, see [origin](origin.md); `infra/cost/prices.py` lists all prices. Token costs of models are not
included: each session has a budget for tokens. `fabric cost` prints the same estimate for any stack; `--set` and
`--assume` show the effect of a changed setting or assumption.
"""


def page(estimates: Sequence[tuple[str, Estimate, float]]) -> str:
    """Return the page in Markdown; each entry is an estate's name, its estimate, and its limit in USD."""
    rows = [f"| {name} | {estimate.usd:,.2f} | {limit_usd:,.0f} |" for name, estimate, limit_usd in estimates]
    parts = [HEAD, "| estate | USD per month | limit |\n| --- | ---: | ---: |\n" + "\n".join(rows), _traffic()]
    parts += [_stack(name, estimate) for name, estimate, _ in estimates]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _stack(name: str, estimate: Estimate) -> str:
    lines: dict[tuple[str, str, float], list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    for line in estimate.lines:
        summed = lines[line.type.removeprefix("aws:").split(":")[0], line.label, line.unit_usd]
        summed[0] += 1
        summed[1] += line.quantity
        summed[2] += line.usd
    rows = [
        f"| {type_} | {label} | {int(count)} | {quantity:,.2f} | {unit:g} | {usd:,.2f} |"
        for (type_, label, unit), (count, quantity, usd) in sorted(lines.items(), key=lambda row: (-row[1][2], row[0]))
        if usd >= 0.005
    ]
    columns = "| type | what | resources | quantity | USD each | USD per month |"
    head = f"{columns}\n| --- | --- | ---: | ---: | ---: | ---: |"
    rest = sum(usd for _, _, usd in lines.values() if usd < 0.005)
    rows.append(f"| | sum of items below half a cent | | | | {rest:,.2f} |")
    return f"## {name}: {estimate.usd:,.2f} USD\n\n{head}\n" + "\n".join(rows)


def _traffic() -> str:
    columns: tuple[tuple[str, Traffic], ...] = (("dev", DEV), ("prod", PROD), ("standby", STANDBY))
    names = sorted(Traffic.__dataclass_fields__)
    head = "| per month | " + " | ".join(name for name, _ in columns) + " |\n| --- |" + " ---: |" * len(columns)
    rows = [
        f"| {name.replace('_', ' ')} | " + " | ".join(f"{getattr(t, name):,}" for _, t in columns) + " |"
        for name in names
    ]
    source = "Prod's traffic is from sections 4.1 and 8.6 of the analysis, see [origin](origin.md)."
    return f"## Assumed traffic\n\n{source}\n\n" + "\n".join([head, *rows])
