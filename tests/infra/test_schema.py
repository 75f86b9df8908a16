"""Inputs exist in the provider's SDK, with the right type and shape.

Nested inputs are plain dicts, which are checked by the provider only.
"""

from __future__ import annotations

import inspect
import sys
import types
import typing
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from enum import Enum
from functools import cache
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest
from pulumi import _types


@cache
def arguments(type_: str) -> type:
    """Return the SDK class of the inputs of a type such as ``aws:sqs/queue:Queue``."""
    module, name = type_.split(":")[1].split("/", maxsplit=1)[0], type_.split(":")[2]
    made = getattr(getattr(aws, {"lambda": "lambda_"}.get(module, module)), name)
    file = sys.modules[made.__module__]
    return getattr(file, f"{name}InitArgs", None) or getattr(file, f"{name}Args")


@cache
def members(args: type) -> dict[str, tuple[Any, bool, bool]]:
    """Return per schema name: type, required flag, deprecated flag."""
    hints = typing.get_type_hints(args.__init__, vars(sys.modules[args.__module__]))
    parameters = inspect.signature(args.__init__).parameters
    return {
        name: (hints[python], parameters[python].default is parameters[python].empty, _is_deprecated(args, python))
        for python, name in _types.input_type_py_to_pulumi_names(args).items()
    }


def _is_deprecated(args: type, name: str) -> bool:
    return hasattr(getattr(args, name).fget, "_pulumi_deprecated_callable")


def shapes(hint: Any) -> Iterator[Any]:
    """Return the possible types of a value, without Output and Awaitable."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        for one in typing.get_args(hint):
            yield from shapes(one)
    elif hint is not type(None) and typing.get_origin(hint) not in (Awaitable, pulumi.Output):
        yield hint


def problems(args: type, inputs: Mapping[str, Any], where: str) -> Iterator[str]:
    known = members(args)
    yield from (f"{where}.{key} is unknown" for key in inputs if key not in known)
    yield from (f"{where}.{key} is missing" for key, (_, needed, _) in known.items() if needed and key not in inputs)
    for key, value in inputs.items():
        if key in known and value is not None:
            hint, _, deprecated = known[key]
            if deprecated:
                yield f"{where}.{key} is deprecated"
            yield from nearest(hint, value, f"{where}.{key}")


def nearest(hint: Any, value: Any, where: str) -> list[str]:
    """Return the problems of ``value`` with the type that fits best."""
    return min((list(misfits(shape, value, where)) for shape in shapes(hint)), key=len)


def misfits(shape: Any, value: Any, where: str) -> Iterator[str]:
    origin, inner = typing.get_origin(shape), typing.get_args(shape)
    if origin is Sequence:
        if not isinstance(value, list):
            yield f"{where} is no list"
        else:
            for number, one in enumerate(value):
                yield from nearest(inner[0], one, f"{where}[{number}]")
    elif origin is Mapping:
        if not isinstance(value, dict):
            yield f"{where} is no table"
        else:
            for name, one in value.items():
                yield from nearest(inner[1], one, f"{where}[{name}]")
    elif isinstance(value, dict) and shape.__name__.endswith("Args"):
        yield from problems(shape, value, where)
    else:
        yield from plain(shape, value, where)


def plain(shape: Any, value: Any, where: str) -> Iterator[str]:
    if shape in (int, float):
        number = not isinstance(value, bool) and isinstance(value, int | float)
        if not number or (shape is int and value != int(value)):
            yield f"{where} is no {'whole ' if shape is int else ''}number: {value!r}"
    elif issubclass(shape, Enum):
        if value not in {one.value for one in shape}:
            yield f"{where} is none of {shape.__name__}: {value!r}"
    elif typing.is_typeddict(shape) or not isinstance(value, shape):
        yield f"{where} is no {shape.__name__}: {value!r}"


@pytest.mark.parametrize("stack", ["dev", "prod", "standby", "lavish", "frugal", "bare", "european", "taken_over"])
def test_every_input_is_one_that_the_provider_has_in_its_shape(request, stack):
    resources = request.getfixturevalue(stack).resources
    assert [said for type_, name, inputs in resources for said in problems(arguments(type_), inputs, name)] == []


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"fifo": True}, "q.fifo is unknown"),
        ({"delaySeconds": "3"}, "q.delaySeconds is no whole number: '3'"),
        ({"fifoQueue": "true"}, "q.fifoQueue is no bool: 'true'"),
        ({"tags": ["a"]}, "q.tags is no table"),
        ({"name": 3}, "q.name is no str: 3"),
    ],
)
def test_what_does_not_fit_is_seen(inputs, said):
    assert list(problems(arguments("aws:sqs/queue:Queue"), inputs, "q")) == [said]


def test_what_does_not_fit_is_seen_at_any_depth():
    table = {
        "attributes": [{"name": "pk"}],
        "globalSecondaryIndexes": [{"hashKey": "pk", "name": "by", "projectionType": "ALL"}],
        "ttl": [{"enabled": True}],
    }
    assert sorted(problems(arguments("aws:dynamodb/table:Table"), table, "t")) == [
        "t.attributes[0].type is missing",
        "t.globalSecondaryIndexes[0].hashKey is deprecated",
        "t.ttl is no TableTtlArgs: [{'enabled': True}]",
    ]
