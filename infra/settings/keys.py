"""Signing keys: their generations, by principal."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from infra.settings.section import Section

Generation = Annotated[int, Field(ge=1)]


class KeySettings(Section):
    """Generations of the signing keys, by principal (coordinator, h01 …)."""

    # Pydantic copies a default.
    generations: dict[str, Generation] = {}  # noqa: RUF012  the key that signs; 1 for principals that are not listed
    retired: dict[str, Generation] = {}  # noqa: RUF012  this generation and older ones are not trusted any more

    def trusted_generations(self, principal: str) -> tuple[int, ...]:
        """Return the generations whose keys exist and are trusted: the current one and, until it retires, the previous.

        The current generation comes first.
        """
        current = self.generations.get(principal, 1)
        previous = current - 1
        return (current, previous) if previous > self.retired.get(principal, 0) else (current,)

    @model_validator(mode="after")
    def _check_a_key_signs(self) -> Self:
        for principal, retired in self.retired.items():
            current = self.generations.get(principal, 1)
            if retired >= current:
                raise ValueError(
                    f"retired.{principal} = {retired}: must be below the generation that signs ({current}); raise "
                    f"generations.{principal} first, or in the same update to revoke a key at once"
                )
        return self
