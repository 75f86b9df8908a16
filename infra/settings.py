"""What a stack is: one typed tree under ``infrafabric:settings``, checked whole before anything is declared.

Keys are camelCase in ``Pulumi.<stack>.yaml`` (``fleet.handlerTimeoutS``). No secret lives in the tree; secrets are
configuration keys of their own, see ``Secrets``. docs/configuration.md lists all of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Literal, Self

import pulumi
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from infra import subnets
from infra.explain import explain

LONGEST_STACK_NAME = 15  # a bucket is called infrafabric-<stack>-results-<12-digit account>-<region>, in 63 characters
STACK_NAME = rf"[a-z][a-z0-9-]{{0,{LONGEST_STACK_NAME - 1}}}"
LogDays = Literal[1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827]  # what CloudWatch allows


class Section(BaseModel):
    """Frozen, strict about types and names: a misspelt key is an error, not a default."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
    )


class Fleet(Section):
    """The agents h01…hNN, and how patient the swarm is with them."""

    size: int = Field(default=10, ge=1, le=99)
    handler_timeout_s: int = Field(default=300, ge=30, le=900)
    memory_mb: int = Field(default=512, ge=128, le=10_240)
    ephemeral_storage_mb: int = Field(default=512, ge=512, le=10_240)
    max_concurrency: int = Field(default=10, ge=2, le=1000)  # invocations of each agent; SQS's own bounds
    batch_size: int = Field(default=10, ge=1, le=10)  # more would need a batching window to wait for
    max_receives: int = Field(default=5, ge=5, le=1000)  # fewer would send throttled but healthy messages to the DLQ
    heartbeat_s: int = Field(default=20, ge=1, le=3600)
    heartbeat_timeout_s: int = Field(default=90, ge=2, le=86_400)
    reassignments: int = Field(default=2, ge=0, le=10)
    log_retention_days: LogDays = 30

    @property
    def agents(self) -> tuple[str, ...]:
        return tuple(f"h{n:02}" for n in range(1, self.size + 1))

    @model_validator(mode="after")
    def _one_lost_heartbeat_is_no_death(self) -> Self:
        if self.heartbeat_timeout_s < 2 * self.heartbeat_s:
            raise ValueError(
                f"heartbeatTimeoutS = {self.heartbeat_timeout_s}: must be twice heartbeatS ({self.heartbeat_s}) or more"
            )
        return self


class Price(Section):
    """USD per million tokens."""

    input: float = Field(gt=0)  # a model that costs nothing could not be kept within a budget
    output: float = Field(ge=0)
    cache_read: float = Field(ge=0)
    cache_write: float = Field(ge=0)


class Model(Section):
    """Who answers."""

    provider: Literal["anthropic", "bedrock", "offline"] = "anthropic"
    agent_id: str = Field(default="claude-haiku-5-5", min_length=1)
    coordinator_id: str = Field(default="claude-sonnet-5-5", min_length=1)
    base_url: str | None = Field(default=None, pattern=r"^https?://")
    prices: dict[str, Price] = {}  # by model id, over the built-in table (infrafabric/models/prices.py)

    @model_validator(mode="after")
    def _provider_can_answer(self) -> Self:
        if self.provider == "offline" and not self.base_url:
            raise ValueError("baseUrl is missing: provider offline needs the address of the stand-in")
        if self.provider == "bedrock":
            for key, given in (("agentId", self.agent_id), ("coordinatorId", self.coordinator_id)):
                if "anthropic." not in given:
                    raise ValueError(
                        f"{key} = {given!r}: provider bedrock needs a Bedrock model or inference profile id, "
                        "such as eu.anthropic.<model>"
                    )
        return self


class Runtime(Section):
    """What the functions run on; packages are built for it."""

    python: Literal["python3.13", "python3.14"] = "python3.13"  # the ones that durable functions run on
    architecture: Literal["arm64", "x86_64"] = "arm64"


def _vpc_range(cidr: str) -> str:
    subnets.check(cidr)
    return cidr


class Network(Section):
    """The VPC of the database, and of what reaches it."""

    cidr: Annotated[str, AfterValidator(_vpc_range)] = "10.0.0.0/16"
    zones: int = Field(default=2, ge=2, le=subnets.SLOTS - 1)  # RDS wants subnets in two zones at least
    nat: Literal["none", "single", "per-az"] = "none"
    endpoint_zones: int = Field(default=1, ge=1, le=subnets.SLOTS - 1)  # interface endpoints are paid per zone

    @model_validator(mode="after")
    def _endpoints_have_a_subnet(self) -> Self:
        if self.endpoint_zones > self.zones:
            raise ValueError(f"endpointZones = {self.endpoint_zones}: must be at most zones ({self.zones})")
        return self


class Database(Section):
    """PostgreSQL for the history of sessions."""

    instance_class: str = Field(default="db.t4g.micro", pattern=r"^db\.[a-z0-9]+\.[a-z0-9]+$")
    engine_version: str = Field(default="18", pattern=r"^\d{2}(\.\d+)?$")  # a bare major takes its default minor
    storage_gb: int = Field(default=20, ge=20, le=65_536)
    max_storage_gb: int = Field(default=100, ge=20, le=65_536)
    multi_az: bool = False
    backup_days: int = Field(default=7, ge=1, le=35)
    deletion_protection: bool = False
    password: Literal["managed", "secret"] = "managed"  # noqa: S105  # how it is kept, not what it is
    # Where the functions find the authorities that sign RDS's certificates. No runtime brings them: make package
    # RDS_CA=… puts them into the layer, at this path.
    root_cert: str = Field(default="/opt/rds/global-bundle.pem", pattern=r"^/")

    @model_validator(mode="after")
    def _storage_can_grow(self) -> Self:
        if self.max_storage_gb * 10 < self.storage_gb * 11:
            raise ValueError(f"maxStorageGb = {self.max_storage_gb}: must exceed storageGb ({self.storage_gb}) by 10 %")
        return self


class Api(Section):
    """What a client of the API may use up."""

    throttle_rate: int = Field(default=50, ge=1, le=10_000)  # requests per second
    throttle_burst: int = Field(default=100, ge=1, le=5_000)
    monthly_quota: int = Field(default=100_000, ge=1)  # requests per key
    # The role that API Gateway writes logs with is one per account and region: only one stack there may own it.
    account_log_role: bool = True


class Budget(Section):
    """What the account may cost."""

    monthly_usd: float = Field(default=500, gt=0)
    alert_threshold_usd: float = Field(default=100, gt=0)

    @model_validator(mode="after")
    def _alert_comes_before_the_limit(self) -> Self:
        if self.alert_threshold_usd > self.monthly_usd:
            raise ValueError(
                f"alertThresholdUsd = {self.alert_threshold_usd:g}: must be at most monthlyUsd ({self.monthly_usd:g})"
            )
        return self


class Tags(Section):
    """Tags whose values differ by owner."""

    cost_center: str = Field(default="infrafabric", pattern=r"^[A-Za-z0-9 _.:/=+@-]{1,128}$")


class Settings(Section):
    environment: Literal["dev", "prod"]
    region: str = Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")
    fleet: Fleet = Fleet()
    model: Model = Model()
    runtime: Runtime = Runtime()
    network: Network = Network()
    database: Database | None = None
    api: Api = Api()
    budget: Budget = Budget()
    tags: Tags = Tags()

    @model_validator(mode="after")
    def _prod_survives_a_zone_and_a_slip(self) -> Self:
        if self.environment == "prod" and self.database:
            if not self.database.multi_az:
                raise ValueError("database.multiAz = False: must be true when environment is prod")
            if not self.database.deletion_protection:
                raise ValueError("database.deletionProtection = False: must be true when environment is prod")
        return self

    @classmethod
    def load(cls) -> Self:
        """The stack's settings.

        Raises:
            pulumi.RunError: printed without a traceback; names every wrong key, what it holds and what is allowed.
        """
        config, stack = pulumi.Config(), pulumi.get_stack()
        if not re.fullmatch(STACK_NAME, stack):
            raise pulumi.RunError(
                f"stack name = {stack!r}: a letter, then letters, digits and hyphens, all lower case, "
                f"{LONGEST_STACK_NAME} characters at most: the names of buckets carry it"
            )
        try:
            return cls.model_validate(config.require_object("settings"))
        except ValidationError as error:
            raise pulumi.RunError(explain(error, cls, f"{config.name}:settings", stack)) from None


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
        if settings.database and settings.database.password == "secret" and password is None:  # noqa: S105
            raise pulumi.RunError(
                f"{config.name}:databasePassword is not set, and database.password is 'secret': "
                "pulumi config set --secret databasePassword, or choose database.password managed"
            )
        return cls(database_password=password, api_key=config.get_secret("anthropicApiKey"))
