"""Base of the shapes that are stored or that travel: strict when written, tolerant when read.

A release may add an optional member to a shape. Items, messages and events of the previous release lack that member and
are read with its default; those of the next release have members that this one ignores (docs/sessions.md, "Releases").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError


class BadShapeError(ValueError):
    """A stored or received value does not have its shape. The text names the member and never quotes the value."""

    def __init__(self, shape: str, problem: str) -> None:
        super().__init__(f"{shape}: {problem}")
        self.shape, self.problem = shape, problem


# Time in milliseconds since 1970, up to the year 9999, the last one that a datetime holds.
EpochMs = Annotated[int, Field(ge=0, le=253_402_300_799_999)]
OnUnreadable = Callable[[str, BadShapeError], None]  # is told the session id and the problem of an unreadable item


class Shape(BaseModel):
    """Immutable value with typed members; a subclass per shape, in a module of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> Self:
        """Return the shape that ``stored`` holds: unknown members are ignored, missing ones take their default.

        Raises:
            BadShapeError: a required member is missing, or a member has another type.
        """
        try:
            return cls.model_validate({name: stored[name] for name in cls.model_fields if name in stored})
        except ValidationError as error:
            raise BadShapeError(cls.__name__, _problem(error)) from None

    def write(self) -> dict[str, Any]:
        """Return the members as JSON-compatible values."""
        return self.model_dump(mode="json")


def _problem(error: ValidationError) -> str:
    first = error.errors(include_input=False, include_url=False)[0]
    member = ".".join(str(part) for part in first["loc"]) or "the whole"
    if first["type"] == "missing":
        return f"{member} is missing"
    return f"{member}: {first['msg'][0].lower()}{first['msg'][1:]}"
