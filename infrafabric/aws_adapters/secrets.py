"""Secrets Manager: reading a secret's value, and checking that the model's API key has one."""

from __future__ import annotations

from infrafabric.aws_adapters.clients import client


def read_secret(arn: str) -> str:
    """Return a secret's current value."""
    return client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"]


class ModelKeyCheck:
    """Checks that the model provider's API key has a value, without reading the value."""

    def __init__(self, provider: str, secret_arn: str | None) -> None:
        self._provider, self._arn = provider, secret_arn
        self._has_value = provider != "anthropic"

    def __call__(self) -> str:
        """Return "" if the key has a value, else instructions for storing one."""
        if not self._has_value:
            self._has_value = "AWSCURRENT" in self._stages()
        if self._has_value:
            return ""
        return (
            f"the secret {self._arn or 'of the API key'} has no value: store the key with "
            "aws secretsmanager put-secret-value --secret-id <arn> --secret-string <key>, then send this request again"
        )

    def _stages(self) -> set[str]:
        if not self._arn:
            return set()
        secret = client("secretsmanager").describe_secret(SecretId=self._arn)
        return {stage for stages in (secret.get("VersionIdsToStages") or {}).values() for stage in stages}
