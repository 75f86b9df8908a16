"""Account: budget, and tags for the bill."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from infra.settings.section import Section


class BudgetSettings(Section):
    """Monthly budget of the account in USD, and the alert threshold."""

    monthly_usd: float = Field(default=500, gt=0)
    alert_threshold_usd: float = Field(default=100, gt=0)

    @model_validator(mode="after")
    def _check_alert_threshold(self) -> Self:
        if self.alert_threshold_usd > self.monthly_usd:
            raise ValueError(
                f"alertThresholdUsd = {self.alert_threshold_usd:g}: must be at most monthlyUsd ({self.monthly_usd:g})"
            )
        return self


class TagSettings(Section):
    """Tags whose values depend on the owner."""

    cost_center: str = Field(default="infrafabric", pattern=r"^[A-Za-z0-9 _.:/=+@-]{1,128}$")
