"""Account: quotas that the stack shares, budget, and tags for the bill."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from infra.settings.section import Section

RECORDER_CONCURRENCY = 5  # one database connection per invocation of the recorder


class ReservedConcurrencySettings(Section):
    """Concurrent executions kept for functions that must not starve while agents are busy; 0 keeps none.

    A reservation is also a limit, and costs nothing.
    """

    api: int = Field(default=50, ge=0)
    coordinator: int = Field(default=50, ge=0)  # a session of 1,000 tasks runs as 21 executions
    recorder: int = Field(default=RECORDER_CONCURRENCY, ge=0)
    watchdog: int = Field(default=2, ge=0)

    @model_validator(mode="after")
    def _check_recorder(self) -> Self:
        if 0 < self.recorder < RECORDER_CONCURRENCY:
            raise ValueError(
                f"recorder = {self.recorder}: must be at least {RECORDER_CONCURRENCY}, what its queue may invoke at "
                "once, because SQS counts a throttled delivery as a failed one; or 0 for no reservation"
            )
        return self


class AccountSettings(Section):
    """Quotas of the AWS account that all of its stacks share."""

    # Concurrent executions per region (Service Quotas, L-B99A9384): often 1,000, in a new account as few as 10. None:
    # unknown, so nothing is reserved, and 1,000 is the limit for event sources.
    lambda_concurrency: int | None = Field(default=None, ge=1)
    reserved_concurrency: ReservedConcurrencySettings = ReservedConcurrencySettings()


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
