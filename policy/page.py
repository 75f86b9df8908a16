"""Writer of the table of rules in docs/policy.md: ``python -m policy.page``, part of ``make docs``."""

from __future__ import annotations

from pathlib import Path

from policy.config import PROFILES
from policy.rules import SUBJECTS

PAGE = Path(__file__).resolve().parent.parent / "docs" / "policy.md"
BEGIN, END = "<!-- rules: written by make docs -->", "<!-- end of rules -->"
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


def with_table(text: str) -> str:
    """Return the text of docs/policy.md with the current table.

    Raises:
        ValueError: the text has no begin or end mark.
    """
    before, _, rest = text.partition(BEGIN)
    _, end_mark, after = rest.partition(END)
    if not end_mark:
        raise ValueError(f"docs/policy.md must contain the marks {BEGIN} and {END}; add both around the table of rules")
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text()))
