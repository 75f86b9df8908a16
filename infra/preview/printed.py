"""Summaries of previews as Markdown for a pull request, as text for a shell, and as JSON."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from infra.preview.data_loss import DataLoss, losses
from infra.preview.events import Change, Operation, Preview, Violation
from infra.preview.session_effects import effects

MARK = "<!-- fabric preview -->"  # marks the pull request's comment, so that a later run can update it
MAX_CHARS = 60_000  # GitHub accepts 65,536 characters in a comment
_MAX_ITEMS = 30  # list items per section of a stack; the rest is counted
_MAX_ITEM_CHARS = 600
_COLUMNS = (Operation.CREATE, Operation.IMPORT, Operation.UPDATE, Operation.REPLACE, Operation.DELETE)
# First character of a line in a diff block, by which GitHub colours the line.
_SIGNS = {
    Operation.CREATE: "+",
    Operation.IMPORT: "+",
    Operation.UPDATE: "!",
    Operation.REPLACE: "-",
    Operation.DELETE: "-",
}


def markdown(previews: Sequence[Preview], costs: Mapping[str, float]) -> str:
    """Return the comment: counts and verdicts first, the single changes folded below.

    Args:
        costs: change of the monthly cost by stack, in USD.
    """
    head = [MARK, "### Preview", "", *_table(previews, costs), *sorted(_table_of_others(previews, costs))]
    for title, lines in (
        ("Data that would be deleted", [f"- **{_at(p, text)}**" for p in previews for text in _losses(p)]),
        ("Policy", [f"- {_at(p, text)}" for p in previews for text in _violations(p)]),
        ("Errors", [line for p in previews for line in _errors(p)]),
        ("Running sessions", [f"- {_at(p, text)}" for p in previews for text in _effects(p)]),
    ):
        if lines:
            head += ["", f"#### {title}", "", *lines]
    text = _cut("\n".join(head), MAX_CHARS // 2, "\n\nThe summary was cut here: the log of the run has all of it.")
    changed = [preview for preview in previews if preview.changes]
    for index, preview in enumerate(changed):
        room = (MAX_CHARS - len(text)) // (len(changed) - index)
        text += _folded(preview, room)
    return text + "\n"


def text(previews: Sequence[Preview], costs: Mapping[str, float]) -> str:
    """Return the summary for a shell, with every change."""
    return "\n\n".join("\n".join(_plain(preview, costs)) for preview in previews)


def as_json(previews: Sequence[Preview], costs: Mapping[str, float]) -> dict[str, Any]:
    """Return the summary as a JSON-compatible document."""
    return {"stacks": {preview.stack: _document(preview, costs.get(preview.stack)) for preview in previews}}


def verdict(preview: Preview) -> str:
    """Return the verdict of the policy packs, in one or two words."""
    if preview.violations is None:
        return "not checked"
    mandatory = sum(violation.mandatory for violation in preview.violations)
    if mandatory:
        return f"{mandatory} violated"
    return "incomplete" if not preview.succeeded else "passed"


def _table(previews: Sequence[Preview], costs: Mapping[str, float]) -> Iterator[str]:
    yield f"| stack | {' | '.join(_COLUMNS)} | result | policy | USD a month |"
    yield f"| --- | {' | '.join(['---:'] * len(_COLUMNS))} | --- | --- | ---: |"
    for preview in previews:
        counts = " | ".join(str(preview.count(operation)) for operation in _COLUMNS)
        result = "succeeds" if preview.succeeded else "**fails**"
        policy = verdict(preview)
        policy = f"**{policy}**" if "violated" in policy else policy
        yield f"| {_plain_text(preview.stack)} | {counts} | {result} | {policy} | {_usd(costs.get(preview.stack))} |"


def _table_of_others(previews: Sequence[Preview], costs: Mapping[str, float]) -> Iterator[str]:
    """Yield the rows of stacks that are priced and not previewed, as for a pull request of a fork."""
    for stack in costs.keys() - {preview.stack for preview in previews}:
        yield f"| {_plain_text(stack)} | {' | '.join('–' * len(_COLUMNS))} | not previewed | – | {_usd(costs[stack])} |"


def _usd(cost: float | None) -> str:
    if cost is None:
        return "not compared"
    return f"{cost:+,.2f}" if round(cost, 2) else "no change"


def _losses(preview: Preview) -> Iterator[str]:
    yield from _limited([_loss(loss) for loss in losses(preview)])


def _loss(loss: DataLoss) -> str:
    change = loss.change
    kind, reason = _plain_text(_short(change.type)), _plain_text(loss.reason)
    return f"{change.operation} {_code(change.name)} ({kind}): {loss.lost}. Reason: {reason}."


def _violations(preview: Preview) -> Iterator[str]:
    yield from _limited([_violation(violation) for violation in _ranked(preview)])


def _ranked(preview: Preview) -> list[Violation]:
    return sorted(preview.violations or (), key=lambda violation: not violation.mandatory)


def _level(violation: Violation) -> str:
    return "mandatory" if violation.mandatory else "advisory"


def _violation(violation: Violation) -> str:
    level = f"**{_level(violation)}**" if violation.mandatory else _level(violation)
    return f"{level} {_code(violation.rule)}, {_code(violation.resource)}: {_plain_text(violation.text)}"


def _effects(preview: Preview) -> Iterator[str]:
    found = list(effects(preview))
    yield from found or (["they notice nothing."] if preview.succeeded else [])


def _errors(preview: Preview) -> Iterator[str]:
    for error in _limited(list(preview.errors)):
        fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", error)), default=0))
        yield from (f"{_plain_text(preview.stack)}:", fence + "text", error[:_MAX_ITEM_CHARS], fence)


def _limited(items: list[str]) -> Iterator[str]:
    yield from items[:_MAX_ITEMS]
    if len(items) > _MAX_ITEMS:
        yield f"and {len(items) - _MAX_ITEMS} more, in the log of the run."


def _folded(preview: Preview, room: int) -> str:
    """Return the section with a stack's single changes, in at most ``room`` characters."""
    begin = (
        f"\n\n<details><summary>{_plain_text(preview.stack)}: {_count(preview)}, {preview.same} resources stay "
        "as they are</summary>\n\n```diff\n"
    )
    end, more = "```\n\n</details>", "… and {} more, in the log of the run\n"
    room -= len(begin) + len(end) + len(more) + 10
    lines, left = "", len(preview.changes)
    for change in sorted(preview.changes, key=lambda c: (-_COLUMNS.index(c.operation), c.urn)):
        line = f"{_SIGNS[change.operation]} {_line(change)}\n"
        if len(lines) + len(line) > room:
            break
        lines += line
        left -= 1
    if room < 0:
        return ""
    return begin + lines + (more.format(left) if left else "") + end


def _line(change: Change) -> str:
    keys = f": {', '.join(change.changed)}" if change.changed else ""
    line = " ".join(f"{_short(change.type)} {change.name}{keys}".split()).replace("`", "'")
    return f"{change.operation:7} {line}"[:_MAX_ITEM_CHARS]


def _plain(preview: Preview, costs: Mapping[str, float]) -> Iterator[str]:
    cost = costs.get(preview.stack)
    change = "" if cost is None else f", {cost:+,.2f} USD a month"
    result = "" if preview.succeeded else " The preview fails."
    yield f"{preview.stack}: {_count(preview)}; policy: {verdict(preview)}{change}.{result}"
    for loss in losses(preview):
        yield f"  DATA  {_line(loss.change).partition(':')[0]}: {loss.lost}. Reason: {loss.reason}."
    yield from (f"  RULE  {_level(v)} {v.rule}, {v.resource}: {' '.join(v.text.split())}" for v in _ranked(preview))
    yield from (f"  ERROR {line}" for error in preview.errors for line in error.splitlines())
    yield from (f"  sessions: {effect.replace('`', '')}" for effect in _effects(preview))
    yield from (f"  {_SIGNS[change.operation]} {_line(change)}" for change in preview.changes)


def _document(preview: Preview, cost: float | None) -> dict[str, Any]:
    return {
        "succeeded": preview.succeeded,
        "counts": {str(operation): preview.count(operation) for operation in _COLUMNS} | {"same": preview.same},
        "data_loss": [
            {
                "operation": str(loss.change.operation),
                "urn": loss.change.urn,
                "lost": loss.lost,
                "reason": loss.reason,
            }
            for loss in losses(preview)
        ],
        "violations": None
        if preview.violations is None
        else [
            {"rule": v.rule, "mandatory": v.mandatory, "resource": v.resource, "text": v.text}
            for v in preview.violations
        ],
        "errors": list(preview.errors),
        "sessions": list(effects(preview)),
        "change_usd": cost,
        "changes": [
            {"operation": str(change.operation), "urn": change.urn, "inputs": list(change.changed)}
            for change in preview.changes
        ],
    }


def _count(preview: Preview) -> str:
    number = len(preview.changes)
    return "no changes" if not number else f"{number} change{'s' if number != 1 else ''}"


def _at(preview: Preview, text: str) -> str:
    return f"{_plain_text(preview.stack)}: {text}"


def _short(type_: str) -> str:
    """Return ``sqs Queue`` for ``aws:sqs/queue:Queue``."""
    package, _, name = type_.rpartition(":")
    return f"{package.split(':')[-1].partition('/')[0]} {name}"


def _code(text: str) -> str:
    return f"`{' '.join(text.split()).replace('`', chr(39))[:_MAX_ITEM_CHARS]}`"


def _plain_text(text: str) -> str:
    """Return ``text`` on one line and without effect as Markdown or HTML: it may come from the change under review."""
    line = " ".join(text.split())[:_MAX_ITEM_CHARS]
    return re.sub(r"([\\`*_\[\]<>|#@~])", r"\\\1", line).replace("\\@", "@\u200b")


def _cut(text: str, most: int, note: str) -> str:
    return text if len(text) <= most else text[: most - len(note)] + note
