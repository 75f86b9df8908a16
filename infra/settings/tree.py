"""What a stack is: one typed tree under ``infrafabric:settings``, checked whole before anything is declared.

Keys are camelCase in ``Pulumi.<stack>.yaml`` (``fleet.handlerTimeoutS``). No secret lives in the tree; secrets are
configuration keys of their own, see ``Secrets``. docs/configuration.md lists all of them.
"""

from __future__ import annotations

import re
from typing import Literal, Self

import pulumi
from pydantic import Field, ValidationError, model_validator

from infra.explain import explain
from infra.settings.account import Budget, Tags
from infra.settings.api import Api
from infra.settings.database import Database
from infra.settings.network import Network
from infra.settings.operations import Guardrails, Observability
from infra.settings.section import Section
from infra.settings.swarm import Fleet, Model, Runtime

LONGEST_STACK_NAME = 15  # a bucket is called infrafabric-<stack>-results-<12-digit account>-<region>, in 63 characters
STACK_NAME = rf"[a-z][a-z0-9-]{{0,{LONGEST_STACK_NAME - 1}}}"


class Settings(Section):
    environment: Literal["dev", "prod"]
    region: str = Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")
    fleet: Fleet = Fleet()
    model: Model = Model()
    runtime: Runtime = Runtime()
    network: Network = Network()
    database: Database | None = None
    api: Api = Api()
    observability: Observability | None = None
    guardrails: Guardrails | None = None
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

    @model_validator(mode="after")
    def _what_guards_can_be_heard(self) -> Self:
        guards = self.guardrails
        heard = guards and next((k for k in ("budgets", "anomaly_detection", "guard_duty") if getattr(guards, k)), None)
        if heard and self.observability is None:
            key = {"anomaly_detection": "anomalyDetection", "guard_duty": "guardDuty"}.get(heard, heard)
            raise ValueError(f"guardrails.{key} = True: needs an observability section, whose topic it speaks to")
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
