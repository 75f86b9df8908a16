"""The VPC."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from infra import subnets
from infra.settings.section import Section


def _vpc_range(cidr: str) -> str:
    subnets.check(cidr)
    return cidr


class Network(Section):
    """The VPC of the database, and of what reaches it."""

    cidr: Annotated[str, AfterValidator(_vpc_range)] = "10.0.0.0/16"
    zones: int = Field(default=2, ge=2, le=subnets.SLOTS - 1)  # RDS wants subnets in two zones at least
    nat: Literal["none", "single", "per-az"] = "none"
    ipv6: bool = True  # a free way out for instances: an egress-only gateway, which nothing comes in through
    endpoint_zones: int = Field(default=1, ge=1, le=subnets.SLOTS - 1)  # interface endpoints are paid per zone

    @model_validator(mode="after")
    def _endpoints_have_a_subnet(self) -> Self:
        if self.endpoint_zones > self.zones:
            raise ValueError(f"endpointZones = {self.endpoint_zones}: must be at most zones ({self.zones})")
        return self
