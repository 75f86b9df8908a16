"""What the rules are told besides a resource: where and what the stack is, and which of them count."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PROFILES = ("soc2", "hipaa", "gdpr")
SETTINGS = "infrafabric:settings"
# As infra/settings/tree.py has them (a test holds the two together): the pack runs where infra need not be installed.
EU_REGIONS = ("eu-central-1", "eu-north-1", "eu-south-1", "eu-south-2", "eu-west-1", "eu-west-3")
CLASSES = ("nano", "micro", "small", "medium")
FAMILIES = ("t3", "t3a", "t4g")


@dataclass(frozen=True, kw_only=True)
class Config:
    """One stack, as far as rules look at it."""

    environment: str = "prod"  # what is not known is held to more
    role: str = "primary"
    region: str = "us-east-1"
    residency: str = "anywhere"
    regions: tuple[str, ...] = ()  # where anything may be; none named: anywhere that residency allows
    families: tuple[str, ...] = FAMILIES  # of instances, for what may be paid
    classes: tuple[str, ...] = CLASSES
    least_log_days: int = 365  # in prod; what an audit asks for
    profile: str | None = None  # only the rules that serve it

    @property
    def prod(self) -> bool:
        return self.environment == "prod"

    @classmethod
    def of_settings(cls, tree: Mapping[str, Any], **more: Any) -> Config:
        """As the stack's own settings (``infrafabric:settings``) say, so that nobody has to say it twice."""
        others = [tree.get("recovery"), tree.get("primary")]
        guards = tree.get("guardrails") or {}
        return cls(
            environment=tree.get("environment", "prod"),
            role=tree.get("role", "primary"),
            region=tree.get("region", "us-east-1"),
            residency=tree.get("residency", "anywhere"),
            regions=tuple(
                dict.fromkeys(
                    [
                        tree.get("region", "us-east-1"),
                        *(one["region"] for one in others if isinstance(one, Mapping)),
                        *guards.get("allowedRegions", ()),
                        "us-east-1",  # where CloudFront and Route 53 want what is theirs; residency looks again
                    ]
                )
            ),
            **more,
        )

    @classmethod
    def of_text(cls, settings: str, **more: Any) -> Config:
        """As ``of_settings``, of the JSON that a stack's configuration holds."""
        return cls.of_settings(json.loads(settings), **more)

    @classmethod
    def of_stack(cls, stack: str, **more: Any) -> Config:
        """As ``Pulumi.<stack>.yaml`` says."""
        from infra.settings import stackfile  # noqa: PLC0415  the pack's own process needs no infra

        return cls.of_text(stackfile.read(stack)[SETTINGS], **more)
