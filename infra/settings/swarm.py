"""Swarm: agents, model provider, and the runtime of the functions."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from infra.settings.section import Section
from infrafabric.swarm.limits import LEAST_TOKENS, MAX_TOKENS, MOST_TOKENS

# CloudWatch's allowed values.
LogDays = Literal[1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827]
SNAPSHOT_STORAGE_MB = 512  # AWS Lambda Developer Guide, "SnapStart": no larger /tmp


class FleetSettings(Section):
    """Agents h01…hNN: size, limits, timeouts and retries."""

    size: int = Field(default=10, ge=1, le=99)
    handler_timeout_s: int = Field(default=300, ge=30, le=900)
    memory_mb: int = Field(default=512, ge=128, le=10_240)
    ephemeral_storage_mb: int = Field(default=512, ge=512, le=10_240)
    # Ways to shorten an agent's cold start. AWS bills both per hour and agent, see docs/configuration.md.
    start: Literal["cold", "snap-start", "provisioned"] = "cold"
    provisioned: int = Field(default=1, ge=1, le=1000)  # provisioned execution environments per agent
    max_concurrency: int = Field(default=10, ge=2, le=1000)  # invocations per agent, within SQS's limits
    batch_size: int = Field(default=10, ge=1, le=10)  # SQS requires a batching window for larger batches
    # A lower limit would dead-letter throttled but healthy messages.
    max_receives: int = Field(default=50, ge=5, le=1000)
    heartbeat_s: int = Field(default=20, ge=1, le=3600)
    heartbeat_timeout_s: int = Field(default=90, ge=2, le=86_400)
    breaker_s: int = Field(default=60, ge=1, le=900)
    reassignments: int = Field(default=2, ge=0, le=10)
    log_retention_days: LogDays = 30

    @property
    def agents(self) -> tuple[str, ...]:
        return tuple(f"h{n:02}" for n in range(1, self.size + 1))

    @model_validator(mode="after")
    def _check_snapshot_storage(self) -> Self:
        if self.start == "snap-start" and self.ephemeral_storage_mb > SNAPSHOT_STORAGE_MB:
            raise ValueError(
                f"ephemeralStorageMb = {self.ephemeral_storage_mb}: must be {SNAPSHOT_STORAGE_MB} "
                "with start 'snap-start'"
            )
        return self

    @model_validator(mode="after")
    def _check_provisioned_concurrency(self) -> Self:
        if self.start == "provisioned" and self.provisioned > self.max_concurrency:
            raise ValueError(
                f"provisioned = {self.provisioned}: must be at most maxConcurrency ({self.max_concurrency})"
            )
        return self

    @model_validator(mode="after")
    def _check_heartbeat_timeout(self) -> Self:
        if self.heartbeat_timeout_s < 2 * self.heartbeat_s:
            raise ValueError(
                f"heartbeatTimeoutS = {self.heartbeat_timeout_s}: must be twice heartbeatS ({self.heartbeat_s}) or more"
            )
        return self


class ModelPriceSettings(Section):
    """Prices of one model, in USD per million tokens."""

    input: float = Field(gt=0)  # a price of 0 would make a budget meaningless
    output: float = Field(ge=0)
    cache_read: float = Field(ge=0)
    cache_write: float = Field(ge=0)


class ModelSettings(Section):
    """Model provider, and the models of agents and coordinator."""

    provider: Literal["anthropic", "bedrock", "offline"] = "anthropic"
    agent_id: str = Field(default="claude-haiku-5-5", min_length=1)
    coordinator_id: str = Field(default="claude-sonnet-5-5", min_length=1)
    # Length of one answer. A task reserves what an answer of this length costs.
    agent_max_tokens: int = Field(default=MAX_TOKENS, ge=LEAST_TOKENS, le=MOST_TOKENS)
    coordinator_max_tokens: int = Field(default=MAX_TOKENS, ge=LEAST_TOKENS, le=MOST_TOKENS)
    base_url: str | None = Field(default=None, pattern=r"^https?://")
    # By model id, over the built-in table (infrafabric/models/prices.py). Pydantic copies a default.
    prices: dict[str, ModelPriceSettings] = {}  # noqa: RUF012

    @model_validator(mode="after")
    def _check_provider(self) -> Self:
        if self.provider == "offline" and not self.base_url:
            raise ValueError(
                "baseUrl is missing: provider offline needs the address of a local model server; set baseUrl"
            )
        if self.provider == "anthropic" and self.base_url and self.base_url.startswith("http://"):
            raise ValueError(
                f"baseUrl = {self.base_url!r}: over http everybody on the way can read the API key; use https://"
            )
        if self.provider == "bedrock":
            for key, model_id in (("agentId", self.agent_id), ("coordinatorId", self.coordinator_id)):
                if "anthropic." not in model_id:
                    raise ValueError(
                        f"{key} = {model_id!r}: provider bedrock needs a Bedrock model or inference profile id, "
                        "such as eu.anthropic.<model>"
                    )
        return self


class RuntimeSettings(Section):
    """Lambda runtime of the functions; packages are built for this runtime."""

    python: Literal["python3.13", "python3.14"] = "python3.13"  # runtimes that support durable functions
    architecture: Literal["arm64", "x86_64"] = "arm64"
    # all-at-once: a deployment shifts the aliases to the new versions. by-steps: fabric release shifts the aliases.
    rollout: Literal["all-at-once", "by-steps"] = "all-at-once"
