"""Variants listed in tests/stacks/variants.yaml: a reference stack with some settings changed, and the reason."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from infra.graph.capture import PLACEHOLDER_SECRETS
from infra.settings import Settings, stackfile
from policy.config import SETTINGS

FILE = stackfile.REFERENCE / "variants.yaml"
SECRETS = {
    **PLACEHOLDER_SECRETS,
    "infrafabric:pagerDutyEndpoint": "https://events.pagerduty.com/integration/0123secret/enqueue",
}


class BadVariantsError(Exception):
    """Mistake in the file of variants."""


class Variant(BaseModel):
    """Reference stack with changed settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    stack: Literal["dev", "prod", "prod-secondary"]
    why: str = Field(min_length=20)
    settings: dict[str, Any] = Field(min_length=1)  # values by dotted path

    @property
    def changes(self) -> dict[str, Any]:
        """Changed settings; one agent unless the variant says otherwise, because agents are alike."""
        return {"fleet.size": 1, **self.settings}

    @property
    def text(self) -> str:
        """Settings of the stack with the changes, as JSON."""
        return stackfile.read(self.stack, self.changes, stackfile.REFERENCE)[SETTINGS]


def variants(file: Path = FILE) -> dict[str, Variant]:
    """Return the listed variants by name, with settings that describe a stack.

    Raises:
        BadVariantsError: the file is wrong; one line says where, what is wrong, and what is allowed.
    """
    try:
        entries = yaml.safe_load(file.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise BadVariantsError(f"{file.name}: cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(entries, list):
        raise BadVariantsError(f"{file.name}: must be a list of variants, each with name, stack, why and settings")
    found: dict[str, Variant] = {}
    for number, entry in enumerate(entries, start=1):
        name = entry.get("name") if isinstance(entry, Mapping) else None
        label = f"{file.name}: variant {name or number}"
        try:
            variant = Variant.model_validate(entry)
            Settings.model_validate(json.loads(variant.text))
        except ValidationError as error:
            raise BadVariantsError(f"{label}: {_first_problem(error)}") from None
        if variant.name in found:
            raise BadVariantsError(f"{label}: is listed twice; names must differ")
        found[variant.name] = variant
    return found


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False)[0]
    key, message = ".".join(map(str, problem["loc"])), problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error":
        return message
    return f"{key} = {problem['input']!r}: {message}" if problem["type"] != "missing" else f"{key}: is missing"
