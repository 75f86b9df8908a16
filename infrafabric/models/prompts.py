"""Prompt templates: files with a version, filled strictly. What stays the same comes first, so that it can be cached."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from string import Template
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infrafabric.models import schemas

_USER = "--- user ---\n"


class BadTemplateError(Exception):
    """A template file that is not as it must be, or is filled with other names than it has."""


@dataclass(frozen=True)
class Prompt:
    """What a model is asked. ``name`` is the template and its version, as in ``agent/1``."""

    name: str
    system: str
    user: str


def agent(*, agent: str, session_id: str, goal: str, task: str) -> Prompt:
    return _fill("agent", agent=agent, session_id=session_id, goal=goal, task=task)


def plan(*, goal: str, tasks: int) -> Prompt:
    return _fill("plan", goal=goal, tasks=str(tasks))


def report(*, goal: str, findings: str) -> Prompt:
    return _fill("report", goal=goal, findings=findings)


def agent_answer() -> type[schemas.AgentAnswer]:
    from infrafabric.models import schemas  # noqa: PLC0415  late, like the SDK

    return schemas.AgentAnswer


def plan_answer() -> type[schemas.Plan]:
    from infrafabric.models import schemas  # noqa: PLC0415

    return schemas.Plan


def report_answer() -> type[schemas.Report]:
    from infrafabric.models import schemas  # noqa: PLC0415

    return schemas.Report


@dataclass(frozen=True)
class _Template:
    name: str
    system: Template
    user: Template
    names: frozenset[str]


def _fill(which: str, **values: str) -> Prompt:
    template = _load(which)
    if set(values) != template.names:
        raise BadTemplateError(f"{template.name} needs {sorted(template.names)} and was given {sorted(values)}")
    fenced = {name: _without_marks(value) for name, value in values.items()}
    return Prompt(template.name, template.system.substitute(fenced), template.user.substitute(fenced))


@cache
def _load(which: str) -> _Template:
    text = (resources.files("infrafabric.models") / "templates" / f"{which}.md").read_text()
    head, _, body = text.removeprefix("---\n").partition("---\n")
    fields = dict(line.split(": ", 1) for line in head.strip().splitlines())
    system, mark, user = body.partition(_USER)
    if not mark or set(fields) != {"id", "version"} or fields["id"] != which:
        raise BadTemplateError(f"template {which}.md needs id and version at its top and a line '{_USER.strip()}'")
    parts = Template(system.strip()), Template(user.strip())
    names = frozenset(name for part in parts for name in part.get_identifiers())
    return _Template(f"{which}/{fields['version']}", *parts, names)


def _without_marks(value: str) -> str:
    """User text cannot close the marks that fence it."""
    for name in ("goal", "task", "findings"):
        value = value.replace(f"</{name}>", f"<\u200b/{name}>")
    return value
