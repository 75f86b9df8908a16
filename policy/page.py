"""``python -m policy.page`` (``make docs``): writes the table of rules into docs/policy.md."""

from __future__ import annotations

from pathlib import Path

from policy.config import PROFILES
from policy.rules import SUBJECTS

PAGE = Path(__file__).resolve().parent.parent / "docs" / "policy.md"
BEGIN, END = "<!-- rules: written by make docs -->", "<!-- end of rules -->"
_HEAD = ("rule", "what it wants", "severity", *(name.upper().replace("SOC2", "SOC 2") for name in PROFILES))


def table() -> str:
    """Every rule, by subject, with the controls that it serves."""
    lines = ["| " + " | ".join(_HEAD) + " |", "|" + " --- |" * len(_HEAD)]
    for subject, rules in SUBJECTS.items():
        lines.append(f"| **{subject}** |" + " |" * (len(_HEAD) - 1))
        for rule in rules:
            marks = [*(["advisory"] if not rule.mandatory else []), *(["prod"] if rule.prod_only else [])]
            severity = rule.severity + (f" ({', '.join(marks)})" if marks else "")
            served = (", ".join(rule.controls.get(profile, ())) or "–" for profile in PROFILES)
            lines.append(f"| `{rule.name}` | {rule.description} | {severity} | " + " | ".join(served) + " |")
    return "\n".join(lines)


def with_table(text: str) -> str:
    """docs/policy.md with the table as it should be."""
    before, _, rest = text.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"docs/policy.md lacks the marks {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text()))
