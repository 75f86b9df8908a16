"""VPC of the stack."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from infra.settings import subnets
from infra.settings.section import Section


def _vpc_range(cidr: str) -> str:
    subnets.check(cidr)
    return cidr


# Regions without zones a, b and c: the missing zone is closed to new accounts, or never existed.
_DEFAULT_LETTERS = {"ap-northeast-1": "acd", "ca-central-1": "abd"}


class NetworkSettings(Section):
    """VPC of the database, of the functions that reach the database, and of the application."""

    cidr: Annotated[str, AfterValidator(_vpc_range)] = "10.0.0.0/16"
    zones: int = Field(default=2, ge=2, le=subnets.SLOTS - 1)  # RDS requires subnets in at least two zones
    # Zones by the letter after the region's name; None: the letters that every account has in the region.
    zone_letters: str | None = Field(default=None, pattern=r"^[a-z]{2,3}$")
    nat: Literal["none", "single", "per-az"] = "none"
    ipv6: bool = True  # an egress-only internet gateway costs nothing and lets no connection in
    endpoint_zones: int = Field(default=1, ge=1, le=subnets.SLOTS - 1)  # AWS bills interface endpoints per zone

    @model_validator(mode="after")
    def _check_zone_letters(self) -> Self:
        letters = self.zone_letters
        if letters is not None and len(set(letters)) < max(len(letters), self.zones):
            raise ValueError(f"zoneLetters = {letters!r}: must be {self.zones} different letters or more (zones)")
        return self

    def letters_in(self, region: str) -> str:
        """Return the letters of the zones in ``region``, in order."""
        return (self.zone_letters or _DEFAULT_LETTERS.get(region, "abc"))[: self.zones]

    @model_validator(mode="after")
    def _check_endpoint_zones(self) -> Self:
        if self.endpoint_zones > self.zones:
            raise ValueError(f"endpointZones = {self.endpoint_zones}: must be at most zones ({self.zones})")
        return self
