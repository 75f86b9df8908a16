"""Operations: alarm thresholds, notifications, dashboards, backups and guardrails."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from infra.settings.regions import REGION
from infra.settings.section import Section

Email = Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+\.[A-Za-z]{2,}$")]
Region = Annotated[str, Field(pattern=REGION)]


class AlarmThresholdSettings(Section):
    """Thresholds of the alarms; the first two are from section 4.3 of the analysis, see docs/origin.md."""

    error_rate_percent: float = Field(default=5, gt=0, le=100)  # of tasks, and of function invocations, in five minutes
    stuck_minutes: int = Field(default=30, ge=10, le=1440)  # a running session without a sign of progress
    model_usd_per_day: float = Field(default=25, gt=0)  # of all sessions together, whatever their budgets
    queue_age_s: int = Field(default=900, ge=60, le=1_209_600)
    latency_p95_ms: int = Field(default=3000, ge=100, le=29_000)
    server_error_percent: float = Field(default=1, gt=0, le=100)  # of the API's responses
    database_cpu_percent: float = Field(default=80, gt=0, le=100)
    database_free_gb: float = Field(default=5, gt=0)
    database_connections: int = Field(default=60, ge=1)  # RDS grants a db.t4g.micro about 80
    replica_lag_s: int = Field(default=60, ge=1)


def _without_duplicates(addresses: list[str]) -> list[str]:
    duplicates = sorted({address for address in addresses if addresses.count(address) > 1})
    if duplicates:
        raise ValueError(f"{', '.join(duplicates)}: must be listed once")
    return addresses


class ObservabilitySettings(Section):
    """Alarms, notifications and dashboards."""

    # Every recipient confirms the subscription once, by e-mail.
    emails: Annotated[list[Email], AfterValidator(_without_duplicates)] = []  # noqa: RUF012  Pydantic copies a default
    pager_duty: bool = False  # the integration's address is the secret pagerDutyEndpoint
    # CloudWatch includes three dashboards per account, and bills 3 USD per month for every further dashboard.
    dashboards: Literal["none", "combined", "each"] = "none"
    thresholds: AlarmThresholdSettings = AlarmThresholdSettings()


class GithubOidcSettings(Section):
    """Deployment from GitHub Actions by OpenID Connect, without a stored access key."""

    repository: str = Field(pattern=r"^[A-Za-z0-9-]{1,39}/[A-Za-z0-9._-]{1,100}$")
    create_provider: bool = True  # one per account: false if another stack or the organisation created it
    # Bucket of Pulumi's state; by default the bucket that fabric bootstrap creates without --bucket.
    state_bucket: str | None = Field(default=None, pattern=r"^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$")


class BackupSettings(Section):
    """AWS Backup, in addition to the stores' own point-in-time recovery."""

    daily_days: int = Field(default=35, ge=1, le=36_500)
    monthly_days: int = Field(default=365, ge=1, le=36_500)
    # governance: principals with IAM permission can delete. compliance: three days after the deployment nobody can
    # delete any more, neither the root user nor AWS; the vault is billed until the last backup has expired.
    vault_lock: Literal["none", "governance", "compliance"] = "none"

    @model_validator(mode="after")
    def _check_backup_retention(self) -> Self:
        if self.monthly_days < self.daily_days:
            raise ValueError(f"monthlyDays = {self.monthly_days}: must be at least dailyDays ({self.daily_days})")
        return self


class GuardrailsSettings(Section):
    """Guardrails, one switch per guardrail.

    One stack per account owns the guardrails that an account has only once (trail, password policy, detector …).
    """

    boundary: bool = True
    allowed_regions: list[Region] = []  # in addition to the regions of the stack and its copies  # noqa: RUF012
    budgets: bool = True
    # Off by default: whether an account may create a monitor depends on its organization, see docs/guardrails.md.
    anomaly_detection: bool = False
    anomaly_monitor: Literal["service", "cost-center"] = "service"
    # Above the expected cost; +30 % is from the analysis, see docs/origin.md.
    anomaly_percent: int = Field(default=30, ge=1)
    anomaly_usd: int = Field(default=10, ge=1)  # and at least this amount, because 30 % of one dollar needs no reaction
    cloud_trail: bool = False
    trail_days: int = Field(default=365, ge=1, le=3650)  # object lock of the log
    account_baseline: bool = False
    guard_duty: bool = False
    security_hub: bool = False
    config: bool = False
    github_oidc: GithubOidcSettings | None = None
    backup: BackupSettings | None = None

    @model_validator(mode="after")
    def _check_prerequisites(self) -> Self:
        if self.security_hub and not self.config:
            raise ValueError(
                "securityHub = True: needs config true as well, because the controls evaluate AWS Config data"
            )
        if self.github_oidc and not self.boundary:
            raise ValueError(
                "boundary = False: must be true with githubOidc, because it limits the roles of a deployment"
            )
        return self
