"""Conversions from Pulumi inputs (camelCase) to boto3 arguments."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def arguments(inputs: Mapping[str, Any], **names: str) -> dict[str, Any]:
    """Return boto3 arguments for the inputs that are set: ``arguments(inputs, Timeout="timeout")``."""
    return {argument: inputs[name] for argument, name in names.items() if inputs.get(name) is not None}


def pascal_case(value: Any) -> Any:
    """Return nested inputs with keys in PascalCase: ``{"maxReceive": 1}`` becomes ``{"MaxReceive": 1}``."""
    if isinstance(value, Mapping):
        return {name[:1].upper() + name[1:]: pascal_case(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [pascal_case(inner) for inner in value]
    return value


def camel_case(value: Any) -> Any:
    """Return nested values of a response with keys in camelCase, the inverse of :func:`pascal_case`."""
    if isinstance(value, Mapping):
        return {name[:1].lower() + name[1:]: camel_case(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [camel_case(inner) for inner in value]
    return value


def inputs_of(response: Mapping[str, Any], **names: str) -> dict[str, Any]:
    """Return the inputs that a response has, the inverse of :func:`arguments`: ``inputs_of(r, Timeout="timeout")``."""
    return {name: response[argument] for argument, name in names.items() if response.get(argument) is not None}


def text(value: object) -> str:
    """Return a value as attribute text; booleans in lower case."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def attribute_texts(inputs: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, str]:
    """Return attributes as text for the inputs that are set; ``names`` maps an input to its attribute."""
    return {names[key]: text(value) for key, value in inputs.items() if key in names and value is not None}


def inputs_of_texts(attributes: Mapping[str, str], names: Mapping[str, str]) -> dict[str, Any]:
    """Return the inputs of attributes, the inverse of :func:`attribute_texts`: numbers and booleans as such."""
    return {key: _parsed(attributes[name]) for key, name in names.items() if attributes.get(name)}


def _parsed(value: str) -> Any:
    if value in ("true", "false"):
        return value == "true"
    return int(value) if value.isdecimal() else value


def patch_operations(inputs: Mapping[str, Any], paths: Mapping[str, str]) -> list[dict[str, str]]:
    """Return API Gateway's patch operations for the inputs that are set; ``paths`` maps a patch path to its input."""
    values = {path: inputs.get(name) for path, name in paths.items()}
    return [
        {"op": "replace", "path": path, "value": text(value)} for path, value in values.items() if value is not None
    ]


def json_text(document: Any) -> str:
    """Return a policy document as JSON text; text stays as it is."""
    return document if isinstance(document, str) else json.dumps(document)
