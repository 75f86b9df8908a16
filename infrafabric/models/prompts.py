"""Prompt templates: versioned files, filled strictly.

The constant part comes first (the system part, which holds no variable), so that it can be cached. Text from users or
models is data: it stands between marks that the text itself cannot close.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from string import Template
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infrafabric.models import schemas

_USER = "--- user ---\n"
# Models read "</ Task >" like "</task>", so both count as a mark.
_FENCE = re.compile(r"<(?=\s*/?\s*(?:goal|task|findings)\b)", re.IGNORECASE)


class BadTemplateError(Exception):
    """Malformed template file, or values for other variables than the template's."""


@dataclass(frozen=True)
class Prompt:
    """Prompt for a model. ``name`` is the template and its version, such as ``agent/1``."""

    name: str
    system: str
    user: str


def agent(*, agent: str, session_id: str, goal: str, task: str) -> Prompt:
    """Return the prompt of a task."""
    return _fill("agent", agent=agent, session_id=session_id, goal=goal, task=task)


def plan(*, goal: str, tasks: int) -> Prompt:
    """Return the prompt that splits a goal into tasks."""
    return _fill("plan", goal=goal, tasks=str(tasks))


def report(*, goal: str, findings: str) -> Prompt:
    """Return the prompt that summarizes findings."""
    return _fill("report", goal=goal, findings=findings)


def agent_answer() -> type[schemas.AgentAnswer]:
    """Return the schema of a task's answer, imported late like the SDK."""
    from infrafabric.models import schemas  # noqa: PLC0415  late, like the SDK

    return schemas.AgentAnswer


def plan_answer() -> type[schemas.TaskPlan]:
    """Return the schema of a plan."""
    from infrafabric.models import schemas  # noqa: PLC0415

    return schemas.TaskPlan


def report_answer() -> type[schemas.ReportSummary]:
    """Return the schema of a summary."""
    from infrafabric.models import schemas  # noqa: PLC0415

    return schemas.ReportSummary


@dataclass(frozen=True)
class _Template:
    name: str
    system: Template
    user: Template
    names: frozenset[str]


def _fill(which: str, **values: str) -> Prompt:
    template = _load(which)
    if set(values) != template.names:
        raise BadTemplateError(f"{template.name} needs {sorted(template.names)}, not {sorted(values)}")
    fenced = {name: _without_fences(value) for name, value in values.items()}
    return Prompt(template.name, template.system.substitute(fenced), template.user.substitute(fenced))


@cache
def _load(which: str) -> _Template:
    file = resources.files("infrafabric.models") / "templates" / f"{which}.md"
    return _parse(which, file.read_text(encoding="utf-8"))


def _parse(which: str, text: str) -> _Template:
    head, _, body = text.removeprefix("---\n").partition("---\n")
    fields = {name: value for name, _, value in (line.partition(": ") for line in head.splitlines())}
    system, mark, user = body.partition(_USER)
    if not mark or set(fields) != {"id", "version"} or fields["id"] != which:
        raise BadTemplateError(f"template {which}.md needs id and version at its top and a line '{_USER.strip()}'")
    parts = Template(system.strip()), Template(user.strip())
    if not all(part.is_valid() for part in parts):
        raise BadTemplateError(f"template {which}.md has a '$' that starts no name: write it as '$$'")
    names = frozenset(name for part in parts for name in part.get_identifiers())
    return _Template(f"{which}/{fields['version']}", *parts, names)


def _without_fences(value: str) -> str:
    """Return a value that cannot open or close the marks around it: a zero-width space breaks each mark."""
    return _FENCE.sub("<\u200b", value)
