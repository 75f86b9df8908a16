"""HTTP API of the stack."""

from __future__ import annotations

from pydantic import Field

from infra.settings.section import Section


class ApiSettings(Section):
    """Limits and protection of the HTTP API."""

    throttle_rate: int = Field(default=50, ge=1, le=10_000)  # requests per second
    throttle_burst: int = Field(default=100, ge=1, le=5_000)
    monthly_quota: int = Field(default=100_000, ge=1)  # requests per key
    # API Gateway has one logging role per account and region, so only one stack in a region may own the role.
    account_log_role: bool = True
    waf: bool = False  # about 10 USD a month: a web ACL and its rules
    rate_limit_per_ip: int = Field(default=2_000, ge=10, le=2_000_000_000)  # requests in five minutes, with waf
