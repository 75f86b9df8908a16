"""Root of the settings tree: sections, and the rules that concern more than one section."""

from __future__ import annotations

import re
from typing import Literal, Self

import pulumi
from pydantic import Field, ValidationError, model_validator

from infra.settings.account import RECORDER_CONCURRENCY, AccountSettings, BudgetSettings, TagSettings
from infra.settings.api import ApiSettings
from infra.settings.database import DatabaseSettings
from infra.settings.explain import explain
from infra.settings.front import AppSettings, DnsSettings, EdgeSettings
from infra.settings.keys import KeySettings
from infra.settings.network import NetworkSettings
from infra.settings.operations import GuardrailsSettings, ObservabilitySettings
from infra.settings.regions import REGION, PrimarySettings, RecoverySettings
from infra.settings.section import Section
from infra.settings.swarm import FleetSettings, ModelSettings, RuntimeSettings

# Regions in the EU; eu-west-2 (London) and eu-central-2 (Zurich) are in Europe, but outside the EU.
EU_REGIONS = ("eu-central-1", "eu-north-1", "eu-south-1", "eu-south-2", "eu-west-1", "eu-west-3")
UNRESERVED_CONCURRENCY = 100  # that Lambda keeps for functions without reserved or provisioned concurrency
USUAL_CONCURRENCY = 1000  # default quota of an account
COORDINATOR = "coordinator"  # principal of the function that orders work from the agents
LONGEST_STACK_NAME = 15  # infrafabric-<stack>-results-<12-digit account>-<region> fits S3's 63 characters
# RDS refuses two consecutive hyphens in a name, and a hyphen follows the stack name in every physical name.
STACK_NAME = rf"(?=.{{1,{LONGEST_STACK_NAME}}}\Z)[a-z][a-z0-9]*(-[a-z0-9]+)*"

# IAM tells a stack's buckets from the bucket of Pulumi's state, infrafabric-pulumi-<account>-<region>, by their names.
RESERVED_WORD = "pulumi"


class Settings(Section):
    """Settings of one stack."""

    environment: Literal["dev", "prod"]
    region: str = Field(pattern=REGION)
    role: Literal["primary", "standby"] = "primary"
    residency: Literal["anywhere", "eu"] = "anywhere"
    recovery: RecoverySettings | None = None
    primary: PrimarySettings | None = None
    account: AccountSettings = AccountSettings()
    fleet: FleetSettings = FleetSettings()
    keys: KeySettings = KeySettings()
    model: ModelSettings = ModelSettings()
    runtime: RuntimeSettings = RuntimeSettings()
    network: NetworkSettings = NetworkSettings()
    database: DatabaseSettings | None = None
    api: ApiSettings = ApiSettings()
    dns: DnsSettings | None = None
    app: AppSettings | None = None
    edge: EdgeSettings | None = None
    failover: bool = False
    observability: ObservabilitySettings | None = None
    guardrails: GuardrailsSettings | None = None
    budget: BudgetSettings = BudgetSettings()
    tags: TagSettings = TagSettings()

    @model_validator(mode="after")
    def _check_prod_database(self) -> Self:
        if self.environment == "prod" and self.database:
            if not self.database.multi_az and self.role == "primary":
                raise ValueError("database.multiAz = False: must be true when environment is prod")
            if not self.database.deletion_protection:
                raise ValueError("database.deletionProtection = False: must be true when environment is prod")
        return self

    @property
    def principals(self) -> tuple[str, ...]:
        """Short names of the senders on the bus; each has a signing key."""
        return (COORDINATOR, *self.fleet.agents)

    @model_validator(mode="after")
    def _check_key_owners(self) -> Self:
        for key, generations in (("generations", self.keys.generations), ("retired", self.keys.retired)):
            for principal, generation in generations.items():
                if principal not in self.principals:
                    raise ValueError(
                        f"keys.{key}.{principal} = {generation}: no such principal; allowed here: {COORDINATOR}, "
                        f"{self.fleet.agents[0]} to {self.fleet.agents[-1]} (fleet.size); remove the entry"
                    )
        return self

    @property
    def _wanted_concurrency(self) -> dict[str, int]:
        """Reservations of the settings for the functions that the stack has, by the function's label."""
        wanted = self.account.reserved_concurrency
        labels = ["api", "coordinator"]
        labels += ["recorder"] if self.database else []
        labels += ["watchdog"] if self.observability else []
        return {label: getattr(wanted, label) for label in labels if getattr(wanted, label)}

    @property
    def reserved_concurrency(self) -> dict[str, int]:
        """Reserved concurrency by function's label; empty if the quota is unknown or too small for all."""
        quota, wanted = self.account.lambda_concurrency, self._wanted_concurrency
        enough = quota is not None and quota - sum(wanted.values()) >= UNRESERVED_CONCURRENCY
        return wanted if enough else {}

    @property
    def unreserved_reason(self) -> str | None:
        """Warning if the settings want reservations, but none can be made."""
        quota, wanted = self.account.lambda_concurrency, self._wanted_concurrency
        if not wanted or self.reserved_concurrency:
            return None
        needed = sum(wanted.values()) + UNRESERVED_CONCURRENCY
        found = "is not set" if quota is None else f"= {quota}"
        action = "set it to the account's quota" if quota is None else "have the quota raised"
        return (
            f"account.lambdaConcurrency {found}: no concurrency is reserved, so busy agents and other functions of the "
            f"account can starve {', '.join(wanted)}; {action} (Service Quotas, L-B99A9384), {needed} or more"
        )

    @model_validator(mode="after")
    def _check_lambda_concurrency(self) -> Self:
        """Refuse what Lambda would refuse or throttle.

        Source: AWS Lambda Developer Guide, "Understanding Lambda function scaling" and "Configuring reserved
        concurrency".
        """
        fleet, quota = self.fleet, self.account.lambda_concurrency or USUAL_CONCURRENCY
        reserved = self.reserved_concurrency
        left = quota - sum(reserved.values())
        kept = f" ({sum(reserved.values())} of them kept by account.reservedConcurrency)" if reserved else ""
        if fleet.start == "provisioned" and fleet.size * fleet.provisioned > left - UNRESERVED_CONCURRENCY:
            raise ValueError(
                f"fleet.provisioned = {fleet.provisioned}: {fleet.size} agents would need "
                f"{fleet.size * fleet.provisioned} of account.lambdaConcurrency = {quota}{kept}, and Lambda keeps "
                f"{UNRESERVED_CONCURRENCY} for other functions; lower provisioned or size, or have the quota raised"
            )
        recorder = RECORDER_CONCURRENCY if self.database and "recorder" not in reserved else 0
        most = fleet.size * fleet.max_concurrency + recorder
        if most > left:
            who = f"{fleet.size} agents and the recorder" if recorder else f"{fleet.size} agents"
            raise ValueError(
                f"fleet.maxConcurrency = {fleet.max_concurrency}: {who} would use up to "
                f"{most} of account.lambdaConcurrency = {quota}{kept}, and Lambda would throttle the others; lower "
                "maxConcurrency or size, or have the quota raised"
            )
        return self

    @model_validator(mode="after")
    def _check_alert_topic(self) -> Self:
        guardrails = self.guardrails
        switch = guardrails and next(
            (k for k in ("budgets", "anomaly_detection", "guard_duty") if getattr(guardrails, k)), None
        )
        if switch and self.observability is None:
            key = {"anomaly_detection": "anomalyDetection", "guard_duty": "guardDuty"}.get(switch, switch)
            raise ValueError(
                f"guardrails.{key} = True: needs an observability section, whose alert topic receives the notices; "
                "add one, or set it to false"
            )
        return self

    @model_validator(mode="after")
    def _check_public_names(self) -> Self:
        if self.app and not self.dns:
            raise ValueError(
                "app: needs dns, because the certificate is for a domain name; set dns.domain, or leave app out"
            )
        if self.edge and not (self.dns and self.app):
            missing = "app" if self.dns else "dns"
            raise ValueError(f"edge: needs {missing}; add a section {missing}, or leave edge out")
        if self.app and self.environment == "prod" and self.app.instances < 2:
            raise ValueError(f"app.instances = {self.app.instances}: must be 2 or more when environment is prod")
        return self

    @model_validator(mode="after")
    def _check_instance_egress(self) -> Self:
        if self.app and not self.network.ipv6 and self.network.nat == "none":
            raise ValueError(
                "network.ipv6 = False: must be true with app, because instances reach AWS by IPv6 or NAT; or set "
                "network.nat "
                "to 'single' or 'per-az', or leave app out"
            )
        return self

    @model_validator(mode="after")
    def _check_failover(self) -> Self:
        if self.failover and not self.dns:
            raise ValueError(
                "failover = True: needs dns, whose names fail over; set dns.domain, or set failover to false"
            )
        if self.failover and not (self.recovery or self.primary):
            raise ValueError(
                "failover = True: needs a second region; set recovery.region (in a standby primary.stack and "
                "primary.region), or set failover to false"
            )
        if self.role == "standby" and self.edge:
            raise ValueError(
                "edge: must not be set in a standby, because CloudFront is global and belongs to the primary; leave "
                "edge out"
            )
        if self.role == "standby" and self.dns and self.dns.zone_id:
            raise ValueError(
                f"dns.zoneId = {self.dns.zone_id!r}: must not be set in a standby, which uses its primary's zone; "
                "leave "
                "dns.zoneId out"
            )
        return self

    @model_validator(mode="after")
    def _check_recovery(self) -> Self:
        if self.recovery and self.recovery.region == self.region:
            raise ValueError(
                f"recovery.region = {self.region!r}: must differ from region; choose another region, or leave "
                "recovery out"
            )
        managed = self.database is not None and self.database.password == "managed"  # noqa: S105
        if managed and (self.recovery or self.primary):
            raise ValueError(
                "database.password = 'managed': must be 'secret' with a cross-region replica, because RDS refuses to "
                "replicate "
                "a database with a managed password; also run pulumi config set --secret databasePassword"
            )
        return self

    @model_validator(mode="after")
    def _check_standby(self) -> Self:
        if self.role == "standby" and self.primary is None:
            raise ValueError("primary: is missing; role is 'standby', so set primary.stack and primary.region")
        if self.primary is None:
            return self
        if self.role == "primary":
            raise ValueError("role = 'primary': must be 'standby' when primary is set, or leave primary out")
        if self.environment != "prod":
            raise ValueError(f"environment = {self.environment!r}: must be 'prod' in a standby (primary is set)")
        if self.primary.region == self.region:
            raise ValueError(f"primary.region = {self.region!r}: must differ from the standby's region")
        if self.recovery:
            raise ValueError(
                "recovery: must not be set in a standby, whose data are copies; leave recovery out, or leave primary "
                "out"
            )
        if self.guardrails and self.guardrails.cloud_trail:
            raise ValueError(
                "guardrails.cloudTrail = True: must be false in a standby, because the primary's trail covers all "
                "regions, "
                "and the policy of the shared key admits no second trail; set cloudTrail in the primary only"
            )
        return self

    @model_validator(mode="after")
    def _check_promotion(self) -> Self:
        if self.role == "primary" and self.database and self.database.promoted:
            raise ValueError(
                "database.promoted = True: must be false when role is 'primary'; only a standby is promoted"
            )
        return self

    @model_validator(mode="after")
    def _check_residency(self) -> Self:
        if self.residency == "anywhere":
            return self
        regions = {"region": self.region}
        if self.recovery:
            regions["recovery.region"] = self.recovery.region
        if self.primary:
            regions["primary.region"] = self.primary.region
        if self.guardrails:
            regions |= {f"guardrails.allowedRegions.{n}": r for n, r in enumerate(self.guardrails.allowed_regions)}
        for key, region in regions.items():
            if region not in EU_REGIONS:
                allowed = ", ".join(EU_REGIONS)
                raise ValueError(f"{key} = {region!r}: must be in the EU when residency is 'eu': {allowed}")
        if self.edge:
            raise ValueError(
                "edge: must not be set when residency is 'eu', because CloudFront answers worldwide, and its web ACL "
                "logs to "
                "us-east-1; leave edge out"
            )
        self._check_model_residency()
        return self

    def _check_model_residency(self) -> None:
        """Refuse a model that may process requests outside the EU.

        Only Bedrock states where a request is processed: the prefix of an inference profile names the geography.
        """
        if self.model.provider == "anthropic":
            raise ValueError(
                "model.provider = 'anthropic': must be 'bedrock' when residency is 'eu', because only Bedrock keeps "
                "requests in a region; use model ids such as eu.anthropic.<model>"
            )
        for key, model_id in (("agentId", self.model.agent_id), ("coordinatorId", self.model.coordinator_id)):
            if self.model.provider == "bedrock" and not model_id.startswith(("eu.", "anthropic.")):
                raise ValueError(
                    f"model.{key} = {model_id!r}: must be a profile such as eu.anthropic.<model> when residency is 'eu'"
                )

    @classmethod
    def load(cls) -> Self:
        """Read and validate the stack's settings from the Pulumi configuration.

        Raises:
            pulumi.RunError: printed without a traceback; names every wrong key with its value and the allowed values.
        """
        config, stack = pulumi.Config(), pulumi.get_stack()
        if not re.fullmatch(STACK_NAME, stack):
            raise pulumi.RunError(
                f"stack name = {stack!r}: must start with a letter, then lower-case letters, digits and single "
                "hyphens, at "
                f"most {LONGEST_STACK_NAME} characters, because names of buckets and databases contain the stack name"
            )
        if stack.partition("-")[0] == RESERVED_WORD:
            raise pulumi.RunError(
                f"stack name = {stack!r}: must not begin with {RESERVED_WORD!r}, because the stack's buckets would be "
                "named like the bucket of Pulumi's state; choose another name"
            )
        try:
            return cls.model_validate(config.require_object("settings"))
        except ValidationError as error:
            raise pulumi.RunError(explain(error, cls, f"{config.name}:settings", stack)) from None
