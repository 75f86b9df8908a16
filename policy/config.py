"""Configuration of the rules: properties of the stack, allowed regions and sizes, and the compliance profile."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROFILES = ("soc2", "hipaa", "gdpr")
SETTINGS = "infrafabric:settings"
# A copy of the list in infra/settings/tree.py, compared by a test: the pack runs where infra may not be installed.
EU_REGIONS = ("eu-central-1", "eu-north-1", "eu-south-1", "eu-south-2", "eu-west-1", "eu-west-3")
CLASSES = ("nano", "micro", "small", "medium")
FAMILIES = ("t3", "t3a", "t4g")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Properties and limits of one stack that rules use."""

    environment: str = "prod"  # the stricter rules apply to a stack without settings
    role: str = "primary"
    region: str = "us-east-1"
    residency: str = "anywhere"
    regions: tuple[str, ...] = ()  # allowed for resources; empty: all regions that residency allows
    families: tuple[str, ...] = FAMILIES  # allowed instance families (cost)
    classes: tuple[str, ...] = CLASSES  # allowed instance sizes (cost)
    least_log_days: int = 365  # in prod, for audits
    profile: str | None = None  # None: all rules; else rules for one of PROFILES only

    @property
    def prod(self) -> bool:
        """Whether the rules for production apply."""
        return self.environment == "prod"

    @classmethod
    def of_settings(cls, tree: Mapping[str, Any], **more: Any) -> Config:
        """Create the configuration from a stack's settings (``infrafabric:settings``), overridden by ``more``."""
        other_stacks = [tree.get("recovery"), tree.get("primary")]
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
                        *(other["region"] for other in other_stacks if isinstance(other, Mapping)),
                        *guards.get("allowedRegions", ()),
                        "us-east-1",  # required by CloudFront and Route 53; the rules for residency check further
                    ]
                )
            ),
            **more,
        )

    @classmethod
    def of_text(cls, settings: str, **more: Any) -> Config:
        """Create the configuration from settings as JSON text, overridden by ``more``."""
        return cls.of_settings(json.loads(settings), **more)

    @classmethod
    def of_stack(cls, stack: str, folder: Path | None = None, **more: Any) -> Config:
        """Create the configuration from ``Pulumi.<stack>.yaml`` in ``folder`` (the root), overridden by ``more``."""
        from infra.settings import stackfile  # noqa: PLC0415  the pack's process must run without infra

        return cls.of_text(stackfile.read(stack, folder=folder or stackfile.FOLDER)[SETTINGS], **more)
