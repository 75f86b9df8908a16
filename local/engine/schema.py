"""Schema of the resource types that can be imported, from which ``pulumi import`` writes code.

pulumi-aws's own schema is not part of its Python package, so this one is derived from the package's classes. It knows a
property's kind, but not the members of nested objects.
"""

from __future__ import annotations

import collections.abc
import inspect
import typing
from collections.abc import Iterable
from importlib import metadata
from typing import Any

import pulumi

from infra.graph.output_shape import resource_class

_ANY = {"$ref": "pulumi.json#/Any"}
_KINDS = {str: "string", bool: "boolean", int: "integer", float: "number"}


def package_schema(types: Iterable[str]) -> dict[str, Any]:
    """Return the schema of the package ``aws`` with some resource types, such as ``aws:sqs/queue:Queue``.

    The format is https://www.pulumi.com/docs/iac/extending-pulumi/schema/.
    """
    return {
        "name": "aws",
        "version": metadata.version("pulumi_aws"),
        "meta": {"moduleFormat": "(.*)(?:/[^/]*)"},
        "language": {"python": {"moduleNameOverrides": {"lambda": "lambda_"}}},
        "resources": {token: _resource(resource) for token in types if (resource := resource_class(token))},
    }


def _resource(resource: type) -> dict[str, Any]:
    arguments = set(inspect.signature(resource._internal_init).parameters)  # pyright: ignore[reportAttributeAccessIssue]
    properties, inputs = {}, {}
    for name, member in vars(resource).items():
        if isinstance(member, property) and member.fget is not None:
            pulumi_name = getattr(member.fget, "_pulumi_name", name)
            properties[pulumi_name] = _type(member.fget.__annotations__.get("return"))
            if name in arguments:
                inputs[pulumi_name] = properties[pulumi_name]
    return {"properties": properties, "inputProperties": inputs, "required": [], "requiredInputs": []}


def _type(annotation: Any) -> dict[str, Any]:
    """Return the type of an ``Output[...]`` annotation, or of what is inside one."""
    for part in typing.get_args(annotation) if _wraps(annotation) else ():
        if part is not type(None):
            return _type(part)
    if annotation in _KINDS:
        return {"type": _KINDS[annotation]}
    inner = typing.get_args(annotation)
    if typing.get_origin(annotation) is collections.abc.Sequence:
        return {"type": "array", "items": _type(inner[0])}
    if typing.get_origin(annotation) is collections.abc.Mapping:
        return {"type": "object", "additionalProperties": _type(inner[1])}
    if annotation is pulumi.Archive:
        return {"$ref": "pulumi.json#/Archive"}
    return _ANY


def _wraps(annotation: Any) -> bool:
    return typing.get_origin(annotation) in (typing.Union, pulumi.Output)
