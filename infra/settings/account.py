"""Account: quotas that the stack shares, budget, and tags for the bill."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from infra.settings.section import Section


class AccountSettings(Section):
    """Quotas of the AWS account that all of its stacks share."""

    # Concurrent executions per region; 1,000 by default, but less in a new account (Service Quotas, L-B99A9384).
    lambda_concurrency: int = Field(default=1000, ge=1)


class BudgetSettings(Section):
    """Monthly budget of the stack in USD, and the alert threshold."""

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
