"""Settings that no reference stack and no variant uses."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Iterator
from typing import Any, Literal

from pydantic import BaseModel

from infra.settings import Settings


def unused(stacks: Iterable[Settings]) -> list[str]:
    """Return a line for each setting with a value, or kind of value, that none of ``stacks`` has.

    Switches need both values, choices each of their texts, and what may be left out needs to be left out and to be set.
    Every other setting needs two different values.
    """
    stacks = list(stacks)
    return [
        f"{path}: no stack has {' or '.join(missing)}"
        for path, annotation in _settings(Settings)
        if (missing := _missing(annotation, list(_values(stacks, path.split(".")))))
    ]


def _settings(model: type[BaseModel], above: str = "") -> Iterator[tuple[str, Any]]:
    """Return every setting below ``model``, by dotted path as in a stack file, with its type."""
    for name, field in model.model_fields.items():
        path = f"{above}{field.alias or name}"
        section = next((one for one in _options(field.annotation) if _is_section(one)), None)
        if section is None or type(None) in _options(field.annotation):
            yield path, field.annotation
        if section is not None:
            yield from _settings(section, f"{path}.")


def _values(stacks: Iterable[BaseModel], path: list[str]) -> Iterator[Any]:
    """Return the values at ``path`` of the stacks that have the section around it."""
    for stack in stacks:
        value: Any = stack
        for key in path:
            if value is None:
                break
            fields = type(value).model_fields.items()
            value = getattr(value, next(name for name, field in fields if (field.alias or name) == key))
        else:
            yield value


def _missing(annotation: Any, values: list[Any]) -> list[str]:
    if not values:
        return []  # the section around it is missing, which is a line of its own
    options = _options(annotation)
    needed: list[Any] = [text for one in options if typing.get_origin(one) is Literal for text in typing.get_args(one)]
    if bool in options:
        needed = [True, False]
    if needed and not all(isinstance(one, int) and not isinstance(one, bool) for one in needed):
        return [repr(one) for one in needed if one not in values]
    if type(None) in options:
        return [text for text, there in (("null", None in values), ("a value", any(values))) if not there]
    return [] if any(value != values[0] for value in values) else [f"another value than {values[0]!r}"]


def _options(annotation: Any) -> tuple[Any, ...]:
    """Return the members of a union, or the type alone."""
    union = typing.get_origin(annotation) in {typing.Union, types.UnionType}
    return typing.get_args(annotation) if union else (annotation,)


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
