"""Environment models: the contract between infra and functions, one typed model per function.

The component renders the model into the function's environment variables and the handler reads the model at init, so
each variable is named in a single place. Field ``queue_url`` is variable ``QUEUE_URL``. No field holds a secret: fields
name secrets by ARN, and the function that may read a secret fetches it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, Json, TypeAdapter, ValidationError, model_validator
from pydantic_core import ErrorDetails

from infrafabric.loopback import is_loopback

Provider = Literal["anthropic", "bedrock", "offline"]
PUBLIC_KEY = r"^ed25519:[A-Za-z0-9+/]{43}=$"


class BadEnvironment(Exception):
    """Function with missing or malformed environment variables; the message names each."""


class Environment(BaseModel):
    """Variables of every function. A subclass adds the variables of one function."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @classmethod
    def read(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Return the model from the function's variables; other variables (AWS's own) are ignored.

        Raises:
            BadEnvironment: naming every missing or malformed variable, and the allowed values.
        """
        variables = {name: environ[name.upper()] for name in cls.model_fields if name.upper() in environ}
        try:
            return cls.model_validate(variables)
        except ValidationError as error:
            problems = "; ".join(_named(problem) for problem in error.errors(include_input=False))
            raise BadEnvironment(f"{cls.__name__} cannot be read: {problems}") from None

    @classmethod
    def render(cls, **fields: Any) -> dict[str, Any]:
        """Return the variables for ``fields``, each a plain value or a Pulumi Input of a string; objects become JSON.

        Only names and plain values are checked: an Output is not known yet.

        Raises:
            TypeError: an unknown field, or a missing required one.
            BadEnvironment: a plain value that the model refuses.
        """
        unknown = sorted(set(fields) - set(cls.model_fields))
        missing = sorted(n for n, f in cls.model_fields.items() if f.is_required() and n not in fields)
        if unknown or missing:
            raise TypeError(f"{cls.__name__}: unknown {unknown}, missing {missing}")
        for name, value in fields.items():
            if isinstance(value, _PLAIN):
                cls._check(name, _text(value) if isinstance(value, dict) else value)
        return {
            name.upper(): _text(value) if isinstance(value, _PLAIN) else value
            for name, value in fields.items()
            if value is not None
        }

    @classmethod
    def _check(cls, name: str, value: Any) -> None:
        field = cls.model_fields[name]
        try:
            of_field: Any = Annotated[field.annotation, field]  # pyright: ignore[reportInvalidTypeForm]  made here and now
            TypeAdapter(of_field).validate_python(value)
        except ValidationError as error:
            raise BadEnvironment(f"{cls.__name__}.{name} = {value!r}: {error.errors()[0]['msg']}") from None


def _named(problem: ErrorDetails) -> str:
    """Return a problem with its variable's name; a problem of several variables names them itself."""
    text = problem["msg"].removeprefix("Value error, ")
    return f"{str(problem['loc'][0]).upper()}: {text}" if problem["loc"] else text


_PLAIN = str | int | float | bool | dict


def _text(value: str | float | dict[str, Any]) -> str:
    if isinstance(value, dict):
        return json.dumps(value, sort_keys=True)
    return str(value).lower() if isinstance(value, bool) else str(value)


class ModelEnvironment(Environment):
    """Variables of functions with model calls."""

    model_provider: Provider
    model_id: str = Field(min_length=1)
    model_base_url: str | None = Field(
        default=None, pattern=r"^https?://"
    )  # the offline stand-in, or a private gateway
    api_key_secret_arn: str | None = Field(default=None, pattern=r"^arn:")  # only provider anthropic
    price_table: str | None = None  # JSON that overrides infrafabric.models.prices

    @model_validator(mode="after")
    def _provider_can_answer(self) -> Self:
        if self.model_provider == "offline" and self.model_base_url is None:
            raise ValueError("MODEL_BASE_URL: Field required with provider offline, which must never call the real API")
        if self.model_provider == "anthropic" and self.api_key_secret_arn is None:
            raise ValueError("API_KEY_SECRET_ARN: Field required with provider anthropic")
        url = self.model_base_url or ""
        if self.model_provider == "anthropic" and url.startswith("http://") and not is_loopback(url):
            raise ValueError("MODEL_BASE_URL: must be https with provider anthropic, whose calls carry the API key")
        return self


class SigningEnvironment(Environment):
    """Variables of functions that sign messages."""

    signing_key_arn: str
    signing_public_key: str = Field(pattern=PUBLIC_KEY)
    previous_signing_key_arn: str | None = None  # while the principal's key is rotated
    previous_signing_public_key: str | None = Field(default=None, pattern=PUBLIC_KEY)
    registry_uri: str = Field(pattern=r"^s3://")  # principal → public keys, written by the deployment alone

    @model_validator(mode="after")
    def _previous_key_is_whole(self) -> Self:
        if (self.previous_signing_key_arn is None) != (self.previous_signing_public_key is None):
            raise ValueError("PREVIOUS_SIGNING_KEY_ARN and PREVIOUS_SIGNING_PUBLIC_KEY: set both or none")
        return self


class AgentEnvironment(ModelEnvironment, SigningEnvironment):
    """Variables of agent hNN."""

    stack: str = Field(min_length=1)  # a dimension of its metrics
    agent: str = Field(pattern=r"^h\d{2}$")
    queue_url: str
    dlq_url: str
    results_bucket: str
    leases_table: str  # of this agent alone
    heartbeat_s: int = Field(ge=1, le=3600)  # interval of heartbeats during a model call
    breaker_s: int = Field(ge=1, le=900)  # time for which an open circuit breaker lets no call through
    batch_size: int = Field(ge=1, le=100)  # messages that one invocation processes concurrently


class CoordinatorEnvironment(ModelEnvironment, SigningEnvironment):
    """Variables of the coordinator, the durable function that plans, dispatches and reports."""

    stack: str = Field(min_length=1)  # a dimension of its metrics
    agents: int = Field(ge=1, le=99)
    at_once: int = Field(ge=1, le=100_000)  # tasks that one agent processes concurrently; bounds the timeouts
    topic_arn: str
    record_queue_url: str | None = None  # if-agent-results.fifo; None where the stack has no database
    results_bucket: str
    sessions_table: str
    leases_tables: str = Field(pattern=r"\{agent\}")  # name of an agent's lease table, for the agent's name
    agent_model_id: str = Field(min_length=1)  # model that agents ask: its prices bound their allowances
    agent_max_tokens: int = Field(ge=1)  # of an agent's answer
    max_tokens: int = Field(ge=1)  # of the coordinator's own answers
    heartbeat_timeout_s: int = Field(ge=2, le=86_400)  # after a longer silence the task goes to another agent
    reassignments: int = Field(ge=0, le=10)


class SpendLimits(BaseModel):
    """What a caller's sessions may cost in USD: one session, and all that start on one UTC day in one region."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_budget_usd: float = Field(gt=0)
    daily_cap_usd: float = Field(gt=0)


class ApiEnvironment(Environment):
    """Variables of the API function."""

    agents: int = Field(ge=1, le=99)
    coordinator_arn: str  # of the alias: a durable function is invoked by version or alias
    coordinator_key_arn: str  # signing key, read by the health check
    topic_arn: str  # likewise
    results_bucket: str
    sessions_table: str
    model_provider: Provider
    model_id: str = Field(min_length=1)
    api_key_secret_arn: str | None = None
    peer_region: str | None = None  # whose sessions are served here, too
    clients_by_key_id: Json[dict[str, str]]  # client of each API key's id
    client_limits: Json[dict[str, SpendLimits]]
    iam_limits: Json[SpendLimits]  # of each role or user that signs its requests


class WatchdogEnvironment(Environment):
    """Variables of the watchdog."""

    stack: str = Field(min_length=1)  # a dimension of its metrics
    coordinator_arn: str  # of the alias
    sessions_table: str
    stuck_minutes: int = Field(ge=1)


class DatabaseEnvironment(Environment):
    """Connection to PostgreSQL."""

    db_host: str
    db_port: int = Field(ge=1, le=65535)
    db_name: str
    db_user: str  # authenticates with an IAM token, never with a password
    db_root_cert: str = Field(pattern=r"^/")  # path of the CA bundle: the connection is always verify-full


class RecorderEnvironment(DatabaseEnvironment):
    """Variables of the recorder, which writes history from the FIFO queue to PostgreSQL."""

    stack: str = Field(min_length=1)  # a dimension of its metrics
    registry_uri: str = Field(pattern=r"^s3://")
    queue_url: str
    dlq_url: str


class MigratorEnvironment(DatabaseEnvironment):
    """Variables of the migrator, which applies the SQL migrations."""

    master_secret_arn: str
    recorder_user: str
