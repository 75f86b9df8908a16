"""HTTP API of the stack: its clients, and what each may send and spend."""

from __future__ import annotations

import re
from typing import Literal, Self

from pydantic import Field, model_validator

from infra.settings.section import Section

DEFAULT_CLIENT = "default"
CURRENT, NEXT = "current", "next"  # labels of a client's keys
# The function's variables have 4 KB at most (Lambda quotas): a client takes up to 170 bytes of them.
MAX_CLIENTS = 16
_CLIENT_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")


class SpendSettings(Section):
    """What a caller's sessions may cost in USD: one session, and all that start on one UTC day in one region."""

    max_budget_usd: float = Field(default=10, gt=0, le=10_000)
    daily_cap_usd: float = Field(default=25, gt=0, le=1_000_000)

    @model_validator(mode="after")
    def _check_cap(self) -> Self:
        if self.daily_cap_usd < self.max_budget_usd:
            raise ValueError(
                f"dailyCapUsd = {self.daily_cap_usd:g}: must be at least maxBudgetUsd ({self.max_budget_usd:g}), "
                "the budget of one session"
            )
        return self


class ClientSettings(SpendSettings):
    """Client of the API: an owner of sessions with its own keys, usage plan and caps. None: as the API's limit."""

    keys: Literal[1, 2] = 1  # the second lets a client change keys without an interruption
    throttle_rate: int | None = Field(default=None, ge=1, le=10_000)  # requests per second and key
    throttle_burst: int | None = Field(default=None, ge=1, le=5_000)
    monthly_quota: int | None = Field(default=None, ge=1)  # requests per key

    @property
    def key_labels(self) -> tuple[str, ...]:
        """Labels of the client's keys, as in the output ``api_keys``."""
        return (CURRENT, NEXT)[: self.keys]


class ApiSettings(Section):
    """Limits and protection of the HTTP API."""

    # Of each method, for all callers together; a client without limits of its own has these, too.
    throttle_rate: int = Field(default=50, ge=1, le=10_000)  # requests per second
    throttle_burst: int = Field(default=100, ge=1, le=5_000)
    monthly_quota: int = Field(default=100_000, ge=1)  # requests per key
    # By name. Pydantic copies a default.
    clients: dict[str, ClientSettings] = {DEFAULT_CLIENT: ClientSettings()}  # noqa: RUF012
    iam: SpendSettings = SpendSettings()  # of each role or user that signs its requests
    # API Gateway has one logging role per account and region, so only one stack in a region may own the role.
    account_log_role: bool = True
    waf: bool = False  # about 10 USD a month: a web ACL and its rules
    rate_limit_per_ip: int = Field(default=2_000, ge=10, le=2_000_000_000)  # requests in five minutes, with waf

    @model_validator(mode="after")
    def _check_clients(self) -> Self:
        if not 1 <= len(self.clients) <= MAX_CLIENTS:
            raise ValueError(f"clients: names {len(self.clients)} clients, and 1 to {MAX_CLIENTS} are allowed")
        for name in self.clients:
            if not _CLIENT_NAME.fullmatch(name):
                raise ValueError(
                    f"clients.{name}: is not a client's name: a letter, then up to 30 letters, digits and hyphens, in "
                    "lower case; choose another"
                )
        return self

    @model_validator(mode="after")
    def _check_client_limits(self) -> Self:
        for name, client in self.clients.items():
            for key, value, most in (
                ("throttleRate", client.throttle_rate, self.throttle_rate),
                ("throttleBurst", client.throttle_burst, self.throttle_burst),
            ):
                if value is not None and value > most:
                    raise ValueError(
                        f"clients.{name}.{key} = {value}: must be at most api.{key} ({most}), the limit of all callers"
                    )
        return self

    @property
    def main_client(self) -> str:
        """Client whose key is the output ``api_key``: ``default``, else the first by name."""
        return DEFAULT_CLIENT if DEFAULT_CLIENT in self.clients else min(self.clients)
