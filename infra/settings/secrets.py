"""What is encrypted in a stack's configuration."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from infra.settings.tree import Settings


@dataclass(frozen=True, kw_only=True)
class Secrets:
    """Encrypted configuration: ``pulumi config set --secret <key>``."""

    database_password: pulumi.Output[str] | None
    api_key: pulumi.Output[str] | None  # of the model provider anthropic

    @classmethod
    def load(cls, settings: Settings) -> Secrets:
        """The secrets that ``settings`` use.

        Raises:
            pulumi.RunError: one that is needed is not set.
        """
        config = pulumi.Config()
        password = config.get_secret("databasePassword")
        ours = settings.role == "primary" and settings.database and settings.database.password == "secret"  # noqa: S105
        if ours and password is None:
            raise pulumi.RunError(
                f"{config.name}:databasePassword is not set, and database.password is 'secret': "
                "pulumi config set --secret databasePassword, or choose database.password managed"
            )
        return cls(database_password=password, api_key=config.get_secret("anthropicApiKey"))
