"""Writer of the tables in docs/policy.md, rules and stand-ins: ``python -m policy.page``, part of ``make docs``."""

from __future__ import annotations

from pathlib import Path

from policy.config import PROFILES
from policy.provider.stand_ins import STAND_INS
from policy.rules import SUBJECTS

PAGE = Path(__file__).resolve().parent.parent / "docs" / "policy.md"
RULES = ("<!-- rules: written by make docs -->", "<!-- end of rules -->")
NEWER = ("<!-- stand-ins: written by make docs -->", "<!-- end of stand-ins -->")
_HEAD = ("rule", "requirement", "severity", *(name.upper().replace("SOC2", "SOC 2") for name in PROFILES))


def table() -> str:
    """Return a Markdown table of all rules, grouped by subject, with the controls that each rule supports."""
    lines = ["| " + " | ".join(_HEAD) + " |", "|" + " --- |" * len(_HEAD)]
    for subject, rules in SUBJECTS.items():
        lines.append(f"| **{subject}** |" + " |" * (len(_HEAD) - 1))
        for rule in rules:
            marks = [*(["advisory"] if not rule.mandatory else []), *(["prod"] if rule.prod_only else [])]
            severity = rule.severity + (f" ({', '.join(marks)})" if marks else "")
            controls = (", ".join(rule.controls.get(profile, ())) or "–" for profile in PROFILES)
            lines.append(f"| `{rule.name}` | {rule.description} | {severity} | " + " | ".join(controls) + " |")
    return "\n".join(lines)


def stand_ins() -> str:
    """Return a Markdown table of the stand-ins for what is newer than the provider."""
    lines = ["| argument | judged as | reason |", "| --- | --- | --- |"]
    for one in STAND_INS:
        judged_as = f"`{one.instead}`" if one.instead else "older arguments" if one.rewrite else "left out"
        lines.append(f"| [`{one}`]({one.page}) | {judged_as} | {one.reason} |")
    return "\n".join(lines)


def with_tables(text: str) -> str:
    """Return the text of docs/policy.md with the current tables.

    Raises:
        ValueError: the text has no begin or end mark of a table.
    """
    for (begin, end), written in ((RULES, table()), (NEWER, stand_ins())):
        before, _, rest = text.partition(begin)
        _, end_mark, after = rest.partition(end)
        if not end_mark:
            raise ValueError(f"docs/policy.md must contain the marks {begin} and {end}; add both around the table")
        text = f"{before}{begin}\n{written}\n{end}{after}"
    return text


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text()))
