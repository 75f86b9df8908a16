"""Holds docs/openapi.yaml true: every answer that a test of this tier gets is checked against what it says."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

_FILE = Path(__file__).resolve().parent.parent.parent / "docs" / "openapi.yaml"


def check(method: str, path: str, status: int, content_type: str, document: Any) -> None:
    """Fails when the description does not allow this answer to this request."""
    template = next((known for known in _spec()["paths"] if _matches(known, path.partition("?")[0])), None)
    if template is None or method.lower() not in _spec()["paths"][template]:
        assert status in (403, 404), f"{method} {path} is not described, and was answered {status}"
        return
    responses = _spec()["paths"][template][method.lower()]["responses"]
    assert str(status) in responses, f"{method} {template} answered {status}, which is not described"
    response = responses[str(status)]
    if "$ref" in response:
        response = _spec()["components"]["responses"][response["$ref"].rpartition("/")[2]]
    assert content_type in response["content"], f"{method} {template} {status}: {content_type} is not described"
    schema = {**response["content"][content_type]["schema"], "components": _spec()["components"]}
    Draft202012Validator(schema).validate(document)


@cache
def _spec() -> dict[str, Any]:
    return yaml.safe_load(_FILE.read_text())


def _matches(template: str, path: str) -> bool:
    return re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path) is not None
