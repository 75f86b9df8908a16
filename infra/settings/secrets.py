"""Secrets from the encrypted configuration of a stack."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pulumi

from infra.settings.tree import Settings

_RDS_PASSWORD = re.compile(r"[!#-.0-?A-~]{8,128}")  # printable ASCII without space, ", / and @


@dataclass(frozen=True, kw_only=True)
class Secrets:
    """Encrypted configuration values, set with ``pulumi config set --secret <key>``."""

    database_password: pulumi.Output[str] | None
    api_key: pulumi.Output[str] | None  # of the model provider anthropic
    pager_duty_endpoint: pulumi.Output[str] | None  # the address holds the integration's key

    @classmethod
    def load(cls, settings: Settings) -> Secrets:
        """Read the secrets that ``settings`` need.

        Raises:
            pulumi.RunError: a needed secret is not set, or RDS would refuse the password.
        """
        config = pulumi.Config()
        password = config.get_secret("databasePassword")
        needs_password = settings.role == "primary" and settings.database and settings.database.password == "secret"  # noqa: S105
        if needs_password and password is None:
            raise pulumi.RunError(
                f"{config.name}:databasePassword is not set, and database.password is 'secret': "
                "pulumi config set --secret databasePassword, or choose database.password managed"
            )
        if needs_password and not _RDS_PASSWORD.fullmatch(config.require("databasePassword")):
            raise pulumi.RunError(
                f"{config.name}:databasePassword: must have 8 to 128 printable ASCII characters, without spaces, "
                'quotation marks ("), slashes and at-signs (RDS): pulumi config set --secret databasePassword'
            )
        endpoint = config.get_secret("pagerDutyEndpoint")
        if settings.observability and settings.observability.pager_duty and endpoint is None:
            raise pulumi.RunError(
                f"{config.name}:pagerDutyEndpoint is not set, and observability.pagerDuty is true: "
                "pulumi config set --secret pagerDutyEndpoint, or set observability.pagerDuty to false"
            )
        return cls(
            database_password=password,
            api_key=config.get_secret("anthropicApiKey"),
            pager_duty_endpoint=endpoint,
        )
