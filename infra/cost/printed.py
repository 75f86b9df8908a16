"""Bills as text for a shell, as Markdown for a pull request, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from infra.cost.bill import Bill, Change, document
from infra.cost.prices import AS_OF, REGION

NOTE = (
    f"List prices in {REGION}, on demand, as of {AS_OF}, for the months that docs/cost.md assumes. "
    "Token costs of models are extra: each session has a budget for tokens."
)
MARK = "<!-- fabric cost -->"  # marks the pull request's comment, so that a later run can update it


def text(bills: Sequence[Bill]) -> str:
    """Return the bills as text for a shell."""
    parts = ["\n".join([_headline(bill), *_rows(bill)]) for bill in bills]
    if len(bills) > 1:
        parts.append(f"together: {sum(bill.now.usd for bill in bills):,.2f} USD a month")
    return "\n\n".join([*parts, NOTE])


def markdown(bills: Sequence[Bill]) -> str:
    """Return the bills as a pull request's comment: a table, and the changes in folded sections."""
    head = ["| stack | before | after | change |", "| --- | ---: | ---: | ---: |"]
    rows = [f"| {bill.now.stack} | {_before(bill)} | {bill.now.usd:,.2f} | {_change(bill)} |" for bill in bills]
    folded = [line for bill in bills if bill.before and bill.changes() for line in _folded(bill)]
    return "\n".join([MARK, "### Monthly cost", "", *head, *rows, *folded, "", f"USD. {NOTE}"])


def _folded(bill: Bill) -> Iterator[str]:
    yield from ("", f"<details><summary>{bill.now.stack}: {_signed(bill.change_usd)} USD</summary>", "")
    yield from ("| change | what | before | after |", "| ---: | --- | ---: | ---: |")
    for change in bill.changes():
        label = f"{change.type}: {change.label}"
        yield f"| {_signed(change.usd)} | {label} | {change.before:,.2f} | {change.after:,.2f} |"
    yield from ("", "</details>")


def as_json(bills: Sequence[Bill]) -> dict[str, Any]:
    """Return the bills as JSON, which ``--against`` reads."""
    stacks = {
        bill.now.stack: {
            **document(bill.now),
            **(
                {"before_usd": round(bill.before.usd, 4), "change_usd": round(bill.change_usd, 4)}
                if bill.before
                else {}
            ),
        }
        for bill in bills
    }
    return {"region": REGION, "as_of": AS_OF, "usd": round(sum(bill.now.usd for bill in bills), 4), "stacks": stacks}


def _headline(bill: Bill) -> str:
    if bill.before is None:
        return f"{bill.now.stack}: {bill.now.usd:,.2f} USD a month"
    if not bill.changes():
        return f"{bill.now.stack}: {bill.now.usd:,.2f} USD a month, as before"
    return f"{bill.now.stack}: {bill.before.usd:,.2f} → {bill.now.usd:,.2f} USD a month ({_signed(bill.change_usd)})"


def _rows(bill: Bill) -> Iterator[str]:
    if bill.before is not None:
        yield from map(_changed, bill.changes())
        return
    rest = 0.0
    for service, usd in bill.now.by_service().items():
        if usd >= 0.005:
            yield f"{usd:>10,.2f}  {service}"
        else:
            rest += usd
    if rest >= 0.005:
        yield f"{rest:>10,.2f}  below half a cent, together"


def _changed(change: Change) -> str:
    return f"{_signed(change.usd):>10}  {change.type}: {change.label} ({change.before:,.2f} → {change.after:,.2f})"


def _before(bill: Bill) -> str:
    return f"{bill.before.usd:,.2f}" if bill.before else ""


def _change(bill: Bill) -> str:
    if bill.before is None:
        return "not compared"
    return _signed(bill.change_usd) if bill.changes() else "none"


def _signed(usd: float) -> str:
    return f"{usd:+,.2f}"
