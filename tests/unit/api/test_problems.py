"""Problem documents: each type is explained in docs/problems.md, and the description is valid OpenAPI."""

from __future__ import annotations

import re

import yaml
from openapi_spec_validator import validate

from local.platform import ROOT


def test_every_type_of_problem_is_explained() -> None:
    code = "".join(
        path.read_text() for folder in ("infrafabric/api", "lambdas/api") for path in (ROOT / folder).glob("*.py")
    )
    slugs = set(re.findall(r'ProblemError\(\s*\d{3},\s*"([a-z-]+)"', code))
    explained = set(re.findall(r"^## ([a-z-]+)$", (ROOT / "docs" / "problems.md").read_text(), re.MULTILINE))
    assert slugs == explained


def test_the_description_is_openapi() -> None:
    validate(yaml.safe_load((ROOT / "docs" / "openapi.yaml").read_text()))
