"""Operations: who hears of what, and what is out of bounds whoever deploys."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from infra.settings.regions import REGION
from infra.settings.section import Section

Email = Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+\.[A-Za-z]{2,}$")]
Region = Annotated[str, Field(pattern=REGION)]


class AlarmThresholdSettings(Section):
    """When an alarm goes off. The first two are the seed's (section 4.3)."""

    error_rate_percent: float = Field(default=5, gt=0, le=100)  # of tasks, and of calls of functions, in five minutes
    stuck_minutes: int = Field(default=30, ge=10, le=1440)  # a running session without a sign of progress
    queue_age_s: int = Field(default=900, ge=60, le=1_209_600)
    latency_p95_ms: int = Field(default=3000, ge=100, le=29_000)
    server_error_percent: float = Field(default=1, gt=0, le=100)  # of the API's answers
    database_cpu_percent: float = Field(default=80, gt=0, le=100)
    database_free_gb: float = Field(default=5, gt=0)
    database_connections: int = Field(default=60, ge=1)  # RDS grants a db.t4g.micro about 80
    replica_lag_s: int = Field(default=60, ge=1)


def _without_duplicates(addresses: list[str]) -> list[str]:
    duplicates = sorted({address for address in addresses if addresses.count(address) > 1})
    if duplicates:
        raise ValueError(f"{', '.join(duplicates)}: must be there once")
    return addresses


class ObservabilitySettings(Section):
    """Alarms, and where they go."""

    # Each confirms once, from its inbox.
    emails: Annotated[list[Email], AfterValidator(_without_duplicates)] = []  # noqa: RUF012  Pydantic copies a default
    pager_duty: bool = False  # the integration's address is the secret pagerDutyEndpoint
    # CloudWatch gives an account three dashboards, and takes 3 USD a month for each further one.
    dashboards: Literal["none", "combined", "each"] = "none"
    thresholds: AlarmThresholdSettings = AlarmThresholdSettings()


class GithubOidcSettings(Section):
    """Deployment from GitHub Actions, without a key that could leak."""

    repository: str = Field(pattern=r"^[A-Za-z0-9-]{1,39}/[A-Za-z0-9._-]{1,100}$")
    create_provider: bool = True  # one per account: false where another stack, or the organisation, has made it


class BackupSettings(Section):
    """AWS Backup, beside the stores' own point-in-time recovery."""

    daily_days: int = Field(default=35, ge=1, le=36_500)
    monthly_days: int = Field(default=365, ge=1, le=36_500)
    # governance: whom IAM lets may still delete. compliance: nobody, the root user and AWS included, three days after
    # the deployment; the vault then stays, and is paid for, until the last backup has expired.
    vault_lock: Literal["none", "governance", "compliance"] = "none"

    @model_validator(mode="after")
    def _a_monthly_one_outlives_the_daily_ones(self) -> Self:
        if self.monthly_days < self.daily_days:
            raise ValueError(f"monthlyDays = {self.monthly_days}: must be at least dailyDays ({self.daily_days})")
        return self


class GuardrailsSettings(Section):
    """One switch each. What an account has only once (trail, password policy, detector …) is one stack's of it."""

    boundary: bool = True
    allowed_regions: list[Region] = []  # beside the stack's own and its copies'  # noqa: RUF012
    budgets: bool = True
    anomaly_detection: bool = True
    anomaly_percent: int = Field(default=30, ge=1)  # over what was expected: the seed's +30 %
    anomaly_usd: int = Field(default=10, ge=1)  # and so much at least: 30 % of a dollar is nobody's concern
    cloud_trail: bool = False
    trail_days: int = Field(default=365, ge=1, le=3650)  # for so long nobody can delete the log
    account_baseline: bool = False
    guard_duty: bool = False
    security_hub: bool = False
    config: bool = False
    github_oidc: GithubOidcSettings | None = None
    backup: BackupSettings | None = None

    @model_validator(mode="after")
    def _each_has_what_it_builds_on(self) -> Self:
        if self.security_hub and not self.config:
            raise ValueError("securityHub = True: needs config true as well, which its controls are evaluated from")
        if self.github_oidc and not self.boundary:
            raise ValueError("boundary = False: must be true with githubOidc: it bounds what a deployment can grant")
        return self
