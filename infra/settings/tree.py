"""Root of the settings tree: sections, and the rules that concern more than one section."""

from __future__ import annotations

import re
from typing import Literal, Self

import pulumi
from pydantic import Field, ValidationError, model_validator

from infra.settings.account import BudgetSettings, TagSettings
from infra.settings.api import ApiSettings
from infra.settings.database import DatabaseSettings
from infra.settings.explain import explain
from infra.settings.front import AppSettings, DnsSettings, EdgeSettings
from infra.settings.network import NetworkSettings
from infra.settings.operations import GuardrailsSettings, ObservabilitySettings
from infra.settings.regions import REGION, PrimarySettings, RecoverySettings
from infra.settings.section import Section
from infra.settings.swarm import FleetSettings, ModelSettings, RuntimeSettings

# Regions in the EU; eu-west-2 (London) and eu-central-2 (Zurich) are in Europe, but outside the EU.
EU_REGIONS = ("eu-central-1", "eu-north-1", "eu-south-1", "eu-south-2", "eu-west-1", "eu-west-3")
LONGEST_STACK_NAME = 15  # infrafabric-<stack>-results-<12-digit account>-<region> fits S3's 63 characters
# RDS refuses two consecutive hyphens in a name, and a hyphen follows the stack name in every physical name.
STACK_NAME = rf"(?=.{{1,{LONGEST_STACK_NAME}}}\Z)[a-z][a-z0-9]*(-[a-z0-9]+)*"


class Settings(Section):
    """Settings of one stack."""

    environment: Literal["dev", "prod"]
    region: str = Field(pattern=REGION)
    role: Literal["primary", "standby"] = "primary"
    residency: Literal["anywhere", "eu"] = "anywhere"
    recovery: RecoverySettings | None = None
    primary: PrimarySettings | None = None
    fleet: FleetSettings = FleetSettings()
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
    def _prod_survives_a_zone_and_a_slip(self) -> Self:
        if self.environment == "prod" and self.database:
            if not self.database.multi_az and self.role == "primary":
                raise ValueError("database.multiAz = False: must be true when environment is prod")
            if not self.database.deletion_protection:
                raise ValueError("database.deletionProtection = False: must be true when environment is prod")
        return self

    @model_validator(mode="after")
    def _what_guards_can_be_heard(self) -> Self:
        guardrails = self.guardrails
        switch = guardrails and next(
            (k for k in ("budgets", "anomaly_detection", "guard_duty") if getattr(guardrails, k)), None
        )
        if switch and self.observability is None:
            key = {"anomaly_detection": "anomalyDetection", "guard_duty": "guardDuty"}.get(switch, switch)
            raise ValueError(f"guardrails.{key} = True: needs an observability section, whose topic it speaks to")
        return self

    @model_validator(mode="after")
    def _what_is_public_has_a_name(self) -> Self:
        if self.app and not self.dns:
            raise ValueError("app: needs dns, because its certificate is for a name; set dns.domain, or leave app out")
        if self.edge and not (self.dns and self.app):
            missing = "app" if self.dns else "dns"
            raise ValueError(f"edge: needs {missing}; set one, or leave edge out")
        if self.app and self.environment == "prod" and self.app.instances < 2:
            raise ValueError(f"app.instances = {self.app.instances}: must be 2 or more when environment is prod")
        return self

    @model_validator(mode="after")
    def _instances_reach_systems_manager(self) -> Self:
        if self.app and not self.network.ipv6 and self.network.nat == "none":
            raise ValueError(
                "network.ipv6 = False: the application's instances reach AWS by IPv6 or by NAT; leave it on, set "
                "network.nat to 'single' or 'per-az', or leave app out"
            )
        return self

    @model_validator(mode="after")
    def _names_fail_over_between_two_stacks(self) -> Self:
        if self.failover and not self.dns:
            raise ValueError("failover = True: needs names that fail over; set dns.domain, or failover to false")
        if self.failover and not (self.recovery or self.primary):
            raise ValueError(
                "failover = True: needs a second region; set recovery.region (primary.stack and primary.region in a "
                "standby), or failover to false"
            )
        if self.role == "standby" and self.edge:
            raise ValueError("edge: CloudFront is in no region and belongs to the primary; leave it out of a standby")
        if self.role == "standby" and self.dns and self.dns.zone_id:
            raise ValueError(
                f"dns.zoneId = {self.dns.zone_id!r}: a standby writes its names into the zone that its primary hands "
                "over; leave it out"
            )
        return self

    @model_validator(mode="after")
    def _a_copy_is_far_away_and_possible(self) -> Self:
        if self.recovery and self.recovery.region == self.region:
            raise ValueError(f"recovery.region = {self.region!r}: must be another region than region, or leave it out")
        managed = self.database is not None and self.database.password == "managed"  # noqa: S105
        if managed and (self.recovery or self.primary):
            raise ValueError(
                "database.password = 'managed': RDS refuses a cross-region replica of a source whose password it "
                "manages; set it to 'secret', and pulumi config set --secret databasePassword"
            )
        return self

    @model_validator(mode="after")
    def _a_standby_has_a_primary_elsewhere(self) -> Self:
        if self.role == "standby" and self.primary is None:
            raise ValueError("primary: is missing; role is 'standby', so name its stack and region")
        if self.primary is None:
            return self
        if self.role == "primary":
            raise ValueError("role = 'primary': must be 'standby' when primary is set, or leave primary out")
        if self.environment != "prod":
            raise ValueError(f"environment = {self.environment!r}: only a prod stack stands by (primary is set)")
        if self.primary.region == self.region:
            raise ValueError(f"primary.region = {self.region!r}: a standby stands in another region than its primary")
        if self.recovery:
            raise ValueError("recovery: a standby's data are the copies; leave it out, or leave primary out")
        if self.guardrails and self.guardrails.cloud_trail:
            raise ValueError(
                "guardrails.cloudTrail = True: the primary's trail sees this region too, and the key that a standby "
                "shares with it is lent to no other trail; set it in the primary alone"
            )
        return self

    @model_validator(mode="after")
    def _only_a_standby_is_promoted(self) -> Self:
        if self.role == "primary" and self.database and self.database.promoted:
            raise ValueError("database.promoted = True: only a standby's database is; leave it out (role is 'primary')")
        return self

    @model_validator(mode="after")
    def _data_stay_where_they_may_be(self) -> Self:
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
                raise ValueError(f"{key} = {region!r}: residency is 'eu', so it must be one of the EU's: {allowed}")
        if self.edge:
            raise ValueError(
                "edge: residency is 'eu', and CloudFront answers everywhere, with its web ACL's logs in us-east-1; "
                "leave edge out"
            )
        self._models_answer_in_the_eu()
        return self

    def _models_answer_in_the_eu(self) -> None:
        """Refuse a model that may process requests outside the EU."""
        if self.model.provider == "anthropic":
            raise ValueError(
                "model.provider = 'anthropic': residency is 'eu', and only bedrock keeps requests in a region; "
                "set model.provider to 'bedrock' with ids such as eu.anthropic.<model>"
            )
        for key, model_id in (("agentId", self.model.agent_id), ("coordinatorId", self.model.coordinator_id)):
            if self.model.provider == "bedrock" and not model_id.startswith(("eu.", "anthropic.")):
                raise ValueError(
                    f"model.{key} = {model_id!r}: residency is 'eu': must be a profile such as eu.anthropic.<model>"
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
                f"stack name = {stack!r}: a letter, then letters, digits and single hyphens within, all lower case, "
                f"{LONGEST_STACK_NAME} characters at most: the names of buckets and databases carry it"
            )
        try:
            return cls.model_validate(config.require_object("settings"))
        except ValidationError as error:
            raise pulumi.RunError(explain(error, cls, f"{config.name}:settings", stack)) from None
