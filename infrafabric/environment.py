"""The contract between infra and functions: one typed environment model per function.

The component renders the model into the function's variables, the handler reads it back at init, so a variable is named
in one place and a rename cannot drift. Field ``queue_url`` is variable ``QUEUE_URL``. No field ever holds a secret:
secrets are named by ARN and fetched by the function that may read them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic_core import ErrorDetails

Provider = Literal["anthropic", "bedrock", "offline"]


class BadEnvironment(Exception):
    """A function was deployed with a variable missing or malformed. The message names each one."""


class Environment(BaseModel):
    """What every function is told. Subclasses add what one function needs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @classmethod
    def read(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """The model as the function's variables give it; variables of others (AWS's own) are not looked at.

        Raises:
            BadEnvironment: naming every variable that is missing or malformed, and what is allowed.
        """
        given = {name: environ[name.upper()] for name in cls.model_fields if name.upper() in environ}
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            problems = "; ".join(_named(problem) for problem in error.errors(include_input=False))
            raise BadEnvironment(f"{cls.__name__} cannot be read: {problems}") from None

    @classmethod
    def render(cls, **fields: Any) -> dict[str, Any]:
        """The variables for ``fields``, each a plain value or a Pulumi Input of a string.

        Only names and plain values can be checked here: an Output is not known yet, and stays visible in a preview.

        Raises:
            TypeError: a field that the model does not have, or a required one that is not given.
            BadEnvironment: a plain value that the model refuses.
        """
        unknown = sorted(set(fields) - set(cls.model_fields))
        missing = sorted(n for n, f in cls.model_fields.items() if f.is_required() and n not in fields)
        if unknown or missing:
            raise TypeError(f"{cls.__name__}: unknown {unknown}, missing {missing}")
        for name, value in fields.items():
            if isinstance(value, str | int | float | bool):
                cls._check(name, value)
        return {
            name.upper(): _text(value) if isinstance(value, str | int | float | bool) else value
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
    """A problem with the variable's name in front; one of several variables together names them itself."""
    said = problem["msg"].removeprefix("Value error, ")
    return f"{str(problem['loc'][0]).upper()}: {said}" if problem["loc"] else said


def _text(value: str | float) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


class ModelEnvironment(Environment):
    """Which model answers, for the functions that ask one."""

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
            raise ValueError("MODEL_BASE_URL: Field required with provider offline, which must never ask the real API")
        if self.model_provider == "anthropic" and self.api_key_secret_arn is None:
            raise ValueError("API_KEY_SECRET_ARN: Field required with provider anthropic")
        return self


class AgentEnvironment(ModelEnvironment):
    """Agent hNN: one function, one principal, one signing key."""

    stack: str = Field(min_length=1)  # a dimension of its metrics
    agent: str = Field(pattern=r"^h\d{2}$")
    signing_key_arn: str
    registry_uri: str = Field(pattern=r"^s3://")  # principal → public key, written by the deployment alone
    topic_arn: str
    queue_url: str
    dlq_url: str
    record_queue_url: str | None = None  # if-agent-results.fifo; None where the stack has no database
    results_bucket: str
    sessions_table: str
    heartbeat_s: int = Field(ge=1, le=3600)  # a sign of life this often while a model call runs
    batch_size: int = Field(ge=1, le=100)  # messages worked side by side in one invocation


class CoordinatorEnvironment(ModelEnvironment):
    """The durable function that plans, dispatches and reports."""

    agents: int = Field(ge=1, le=99)
    at_once: int = Field(ge=1, le=100_000)  # tasks one agent can work at a time: a longer queue needs more patience
    signing_key_arn: str
    registry_uri: str = Field(pattern=r"^s3://")
    topic_arn: str
    record_queue_url: str | None = None
    results_bucket: str
    sessions_table: str
    heartbeat_timeout_s: int = Field(ge=2, le=86_400)  # an agent silent for longer has its task given to another
    reassignments: int = Field(ge=0, le=10)


class ApiEnvironment(Environment):
    """The function behind API Gateway."""

    agents: int = Field(ge=1, le=99)
    coordinator_arn: str  # of the alias: a durable function is invoked by version or alias
    results_bucket: str
    sessions_table: str
    model_provider: Provider
    model_id: str = Field(min_length=1)
    api_key_secret_arn: str | None = None


class WatchdogEnvironment(Environment):
    """Looks after the sessions that run."""

    stack: str = Field(min_length=1)  # a dimension of its metrics
    coordinator_arn: str  # of the alias
    sessions_table: str
    stuck_minutes: int = Field(ge=1)


class DatabaseEnvironment(Environment):
    """How to reach PostgreSQL."""

    db_host: str
    db_port: int = Field(ge=1, le=65535)
    db_name: str
    db_user: str  # signs in with an IAM token, never with a password
    db_root_cert: str = Field(pattern=r"^/")  # path of the CA bundle: the connection is always verify-full


class RecorderEnvironment(DatabaseEnvironment):
    """Writes history to PostgreSQL, in order, from the FIFO queue."""

    registry_uri: str = Field(pattern=r"^s3://")
    dlq_url: str


class MigratorEnvironment(DatabaseEnvironment):
    """Applies the SQL migrations; invoked by the deployment."""

    master_secret_arn: str
    recorder_user: str
