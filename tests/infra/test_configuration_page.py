"""Page docs/configuration.md lists every setting with its default, and every environment variable."""

from __future__ import annotations

import re
import typing
from pathlib import Path

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from infra.settings import ClientSettings, Settings
from infrafabric import environment

PAGE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()
VARIABLES = [
    *("AWS_REGION", "AWS_PROFILE", "RESULTS_BUCKET", "STATE_BUCKET", "LOG_BUCKET", "RDS_HOST", "RDS_PORT"),
    *("RDS_DATABASE", "RDS_USER", "RDS_SECRET_ARN", "AGENT_QUEUE_TOPIC", "COMPLETION_TOPIC_ARN"),
    *("CLOUDWATCH_NAMESPACE", "LOG_GROUP", "LAMBDA_TIMEOUT", "LAMBDA_MEMORY", "COST_ALERT_THRESHOLD"),
    "BUDGET_MONTHLY",
]


def section(annotation):
    """Return the settings section of a field, also of an optional field; None for a plain value or a map."""
    options = () if typing.get_origin(annotation) is dict else typing.get_args(annotation) or (annotation,)
    return next((o for o in options if isinstance(o, type) and issubclass(o, BaseModel)), None)


def settings(model: type[BaseModel] = Settings, above=""):
    for name, field in model.model_fields.items():
        key, inner = above + (field.alias or name), section(field.annotation)
        if inner is None or field.default is None:
            yield key, field.default
        if inner is not None:
            yield from settings(inner, f"{key}.")


def rows(heading):
    part = PAGE.split(f"## {heading}")[1].split("\n## ")[0]
    lines = [line.strip("| ").split(" | ") for line in part.splitlines() if line.startswith("| `")]
    return {first.strip("` "): [cell.strip("` ") for cell in rest] for first, *rest in lines}


def written(default):
    if default is PydanticUndefined:
        return "–"
    if default is None or default in ({}, ()):
        return "none"
    if isinstance(default, dict):
        return ", ".join(default)
    return str(default).lower() if isinstance(default, bool) else str(default)


@pytest.mark.parametrize(("key", "default"), list(settings()))
def test_every_setting_is_listed_with_its_default(key, default):
    assert rows("Settings")[key][0].replace(",", "") == written(default)


def test_the_page_lists_no_setting_that_is_not_there():
    assert set(rows("Settings")) == {key for key, _ in settings()}


def test_every_key_of_a_client_is_listed_with_its_default():
    part = PAGE.split("#### Clients")[1].split("\n### ")[0]
    lines = [line.strip("| ").split(" | ") for line in part.splitlines() if re.match(r"\| [a-z]+[A-Z]?\w* \|", line)]
    defaults = {key: default.strip("`") for key, default, *_ in lines}
    of_the_api = ("throttleRate", "throttleBurst", "monthlyQuota")
    assert defaults == {
        field.alias or name: f"api.{field.alias}" if field.alias in of_the_api else str(field.default)
        for name, field in ClientSettings.model_fields.items()
    }


def test_every_variable_of_the_analysis_has_its_place():
    assert list(rows("Variables of the analysis")) == VARIABLES


def test_the_variables_that_the_page_names_are_read_by_a_function():
    models = (m for m in vars(environment).values() if isinstance(m, type) and issubclass(m, environment.Environment))
    known = {name.upper() for model in models for name in model.model_fields}
    places = " ".join(row[0] for row in rows("Variables of the analysis").values())
    assert set(re.findall(r"`?([A-Z]{2,}_[A-Z_]+)`?", places)) <= known
