"""Shape of pulumi-aws's outputs: properties that are unset in the inputs still stand in the state, as empty values.

pulumi-aws writes what its provider reads back. A property that nobody set becomes ``""``, ``[]`` or ``{}`` there
(recorded states under provider/testdata/recorded in pulumi/pulumi-aws: ``redrivePolicy: ""``, ``webAclId: ""``). Mocks
and the local provider return this shape, so that code which reads outputs meets it before it meets AWS.

The SDK's own classes are the source: they know every property in Pulumi's names, also of types that are newer than any
Terraform provider at hand. Booleans and numbers stay absent, because their unset value is the service's default.
"""

from __future__ import annotations

import collections.abc
import typing
from collections.abc import Mapping
from functools import cache
from types import ModuleType
from typing import Any

import pulumi_aws

_MODULES = {"lambda": "lambda_"}  # module names that Python reserves


@cache
def _unset_outputs(type_: str) -> dict[str, Any]:
    resource = resource_class(type_)
    if resource is None:
        return {}
    empty = {}
    for name, member in vars(resource).items():
        if isinstance(member, property) and member.fget is not None:
            value = _empty_value(member.fget.__annotations__.get("return"))
            if value is not None:
                empty[getattr(member.fget, "_pulumi_name", name)] = value
    return empty


def unset_outputs(type_: str) -> dict[str, Any]:
    """Return the outputs of a resource type that are strings, lists or maps, each as it is written if unset.

    Args:
        type_: token such as ``aws:sqs/queue:Queue``; a type that the SDK does not have has no outputs.
    """
    return {
        name: value.copy() if isinstance(value, list | dict) else value for name, value in _unset_outputs(type_).items()
    }


def in_state(type_: str, outputs: Mapping[str, Any], region: str) -> dict[str, Any]:
    """Return a resource's outputs as the state has them: with its unset properties, its region and ``tagsAll``.

    ``tagsAll`` equals the tags, since no stack configures default tags.
    """
    shape = unset_outputs(type_)
    computed = {"region": region, "tagsAll": outputs.get("tags") or {}}
    return {**shape, **{key: value for key, value in computed.items() if key in shape}, **outputs}


def resource_class(type_: str) -> type | None:
    """Return the SDK's class of a resource type; None for a type that the SDK does not have."""
    package, _, rest = type_.partition(":")
    module_name, class_name = rest.partition("/")[0], rest.rpartition(":")[2]
    if package != "aws" or not module_name:
        return None
    module: ModuleType | None = getattr(pulumi_aws, _MODULES.get(module_name, module_name), None)
    return getattr(module, class_name, None)


def _empty_value(annotation: Any) -> Any:
    """Return the empty value of an ``Output[...]`` annotation; None for numbers, booleans, objects and assets."""
    (output,) = typing.get_args(annotation) or (None,)
    for part in typing.get_args(output) if typing.get_origin(output) is typing.Union else (output,):
        empty = {str: "", collections.abc.Sequence: [], collections.abc.Mapping: {}}
        value = empty.get(part if part is str else typing.get_origin(part))
        if value is not None:
            return value
    return None
