"""Public frontend: DNS names, the application behind a load balancer, and CloudFront."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from infra.settings.section import Section

# Not checked here: ACM also refuses the reserved names of RFC 2606, such as example.com, during the deployment.
DOMAIN = r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$"
ZONE_ID = r"^Z[A-Z0-9]{7,31}$"
Country = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]  # ISO 3166-1 alpha-2
# The characters that CloudFront allows.
PathPattern = Annotated[str, Field(pattern=r"^/[A-Za-z0-9_.$/~\"'@:+*?-]{0,254}$")]

_GRAVITON = re.compile(r"^[a-z]+\d+g")  # t4g, m7gd, c6gn: the g for Graviton follows the generation


class DnsSettings(Section):
    """Hosted zone of the stack's names."""

    # ACM limits a certificate's first name to 64 characters, and the longest prefix is app-ap-southeast-1.
    domain: str = Field(pattern=DOMAIN, max_length=45)
    zone_id: str | None = Field(default=None, pattern=ZONE_ID)  # None: the stack creates the zone
    parent_zone_id: str | None = Field(default=None, pattern=ZONE_ID)  # zone that delegates to a new zone
    caa: bool = True
    dnssec: bool = False

    @model_validator(mode="after")
    def _check_existing_zone(self) -> Self:
        if self.zone_id is None:
            return self
        if self.parent_zone_id:
            raise ValueError("parentZoneId: must not be set with zoneId: only a new zone is delegated; leave one out")
        if self.dnssec:
            raise ValueError(
                "dnssec = True: must be false with zoneId, because only a new zone is signed; or leave zoneId out"
            )
        return self


class ReleaseSettings(Section):
    """Artifact that a colour runs: a tar archive in the assets bucket, with an executable ``run`` at its root."""

    artifact_key: str | None = Field(default=None, pattern=r"^app/[A-Za-z0-9._/-]{1,200}\.tar$")  # None: a placeholder
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")

    @model_validator(mode="after")
    def _check_artifact_has_digest(self) -> Self:
        if (self.artifact_key is None) != (self.sha256 is None):
            missing = "sha256" if self.sha256 is None else "artifactKey"
            raise ValueError(f"{missing}: is missing; artifactKey and sha256 go together, or leave both out")
        return self


class AppSettings(Section):
    """Application in two colours, blue and green; a release shifts weight from one to the other."""

    instance_type: str = Field(default="t4g.small", pattern=r"^[a-z][a-z0-9-]*\.[a-z0-9]+$")
    instances: int = Field(default=1, ge=1, le=50)  # minimum per running colour
    max_instances: int = Field(default=4, ge=1, le=100)
    blue_weight: int = Field(default=100, ge=0, le=100)  # per cent of the requests; green gets the rest
    # Keep the colour without weight running, so that a rollback is immediate: instances take minutes to start.
    warm: bool = False
    blue: ReleaseSettings = ReleaseSettings()
    green: ReleaseSettings = ReleaseSettings()
    cpu_target: int = Field(default=60, ge=10, le=90)  # per cent; target of the scaling policy
    volume_gb: int = Field(default=20, ge=8, le=1024)
    waf: bool = True

    @model_validator(mode="after")
    def _check_instance_limits(self) -> Self:
        if self.max_instances < self.instances:
            raise ValueError(f"maxInstances = {self.max_instances}: must be at least instances ({self.instances})")
        return self

    @property
    def architecture(self) -> Literal["arm64", "x86_64"]:
        return "arm64" if _GRAVITON.match(self.instance_type) else "x86_64"

    @property
    def weights(self) -> dict[str, int]:
        return {"blue": self.blue_weight, "green": 100 - self.blue_weight}

    def runs(self, colour: str) -> bool:
        return self.warm or self.weights[colour] > 0

    @property
    def releases(self) -> dict[str, ReleaseSettings]:
        return {"blue": self.blue, "green": self.green}


class EdgeSettings(Section):
    """CloudFront distribution in front of application, API and assets."""

    rate_limit_per_ip: int = Field(default=2_000, ge=10, le=2_000_000_000)  # requests in five minutes
    price_class: Literal["PriceClass_100", "PriceClass_200", "PriceClass_All"] = "PriceClass_100"
    blocked_countries: tuple[Country, ...] = Field(default=(), max_length=50, strict=False)
    # Application paths that accept writes. CloudFront retries only reads in another region, so these paths go to the
    # name that Route 53 fails over.
    write_paths: tuple[PathPattern, ...] = Field(default=(), max_length=10, strict=False)
