"""Error messages for wrong settings: one line per problem, with the key, its value and the allowed values."""

from __future__ import annotations

import difflib
import typing
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails


def explain(error: ValidationError, model: type[BaseModel], root: str, stack: str) -> str:
    """Return ``error`` as text for an operator; ``root`` is the configuration key that holds the tree of ``model``."""
    lines = [f"Pulumi.{stack}.yaml does not describe a stack:"]
    lines += [f"  {_problem(details, model, root)}" for details in error.errors()]
    return "\n".join([*lines, f"Change one with: pulumi config set --path '{root}.<key>' <value>"])


def _problem(details: ErrorDetails, model: type[BaseModel], root: str) -> str:
    key = ".".join([root, *map(str, details["loc"])])
    kind, message = details["type"], details["msg"]
    if kind == "extra_forbidden":
        return f"{key} = {details['input']!r}: unknown key; {_known(model, details['loc'])}"
    if kind == "missing":
        return f"{key}: is missing; {_known(model, details['loc'])}"
    if kind == "value_error":
        text = message.removeprefix("Value error, ")
        whole_section = isinstance(details["input"], dict)
        return f"{key}.{text}" if whole_section else f"{key} = {details['input']!r}: {text}"
    return f"{key} = {details['input']!r}: {message}"


def _known(model: type[BaseModel], loc: tuple[int | str, ...]) -> str:
    """Return a hint with the keys that are allowed at ``loc``."""
    steps = iter(map(str, loc[:-1]))
    for step in steps:
        model, is_map = _section(model, step)
        if is_map:
            next(steps)  # a name of the operator's choice
    keys = sorted(field.alias or name for name, field in model.model_fields.items())
    near = difflib.get_close_matches(str(loc[-1]), keys, n=1)
    meant = f"did you mean {near[0]}? " if near and near[0] != loc[-1] else ""
    return f"{meant}allowed here: {', '.join(keys)}"


def _section(model: type[BaseModel], alias: str) -> tuple[type[BaseModel], bool]:
    """Return the section below a key, and whether the key holds a map of such sections by name."""
    annotation: Any = next(f.annotation for n, f in model.model_fields.items() if (f.alias or n) == alias)
    options = typing.get_args(annotation) or (annotation,)
    section = next(option for option in options if isinstance(option, type) and issubclass(option, BaseModel))
    return section, typing.get_origin(annotation) is dict
