"""The last two parts of a stack: what watches it, and what bounds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pulumi import Input, ResourceOptions

from infra.api.api import Api
from infra.foundation.base import Base
from infra.foundation.keys import Keys
from infra.front.frontend import Face
from infra.guardrails import trail as trailing
from infra.guardrails.account import AccountBaseline, AccountBaselineArgs
from infra.guardrails.backups import Backups, BackupsArgs
from infra.guardrails.boundary import Boundary, BoundaryArgs
from infra.guardrails.configuration import ConfigurationHistory, ConfigurationHistoryArgs
from infra.guardrails.detection import Detection, DetectionArgs
from infra.guardrails.github import GithubOidc, GithubOidcArgs
from infra.guardrails.spending import Spending, SpendingArgs
from infra.guardrails.trail import Trail, TrailArgs
from infra.history.database import Database
from infra.iam import policies
from infra.messaging import alerts as alerting
from infra.messaging.alerts import Alerts, AlertsArgs
from infra.naming.context import Place
from infra.observability.alarms import Alarms, AlarmsArgs
from infra.observability.dashboards import Dashboards, DashboardsArgs
from infra.observability.log_metrics import Queries, QueriesArgs
from infra.observability.watched import watched
from infra.settings import Secrets, Settings
from infra.swarm.agent_fleet import AgentFleet
from infra.swarm.coordinator import Coordinator
from infra.swarm.parts import Swarm
from infra.swarm.watchdog import Watchdog, WatchdogArgs


def lent_keys(place: Place, settings: Settings) -> list[policies.Statement]:
    """What services of AWS need of the data key, by what is switched on."""
    lent = alerting.lent_keys(place) if settings.observability else []
    return [*lent, trailing.lent_key(place)] if settings.guardrails and settings.guardrails.cloud_trail else lent


def bound(place: Place, settings: Settings, opts: ResourceOptions) -> Boundary | None:
    """What no role may do, if the settings say so; it comes before everything that has a role."""
    rails = settings.guardrails
    if rails is None or not rails.boundary:
        return None
    copies = [settings.recovery.region] if settings.recovery else []  # S3 writes them there with a role of the stack
    return Boundary("boundary", BoundaryArgs(place=place, allowed_regions=[*rails.allowed_regions, *copies]), opts)


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What is watched and guarded."""

    base: Base
    swarm: Swarm
    coordinator: Coordinator
    agents: AgentFleet
    api: Api
    database: Database | None
    face: Face
    boundary: Boundary | None

    @property
    def stores(self) -> Mapping[str, Input[str]]:
        """ARNs of what cannot be made again."""
        instance = {"database": self.database.instance.arn} if self.database else {}
        return {"sessions": self.swarm.sessions.table_arn, **instance}


def tell(settings: Settings, secrets: Secrets, place: Place, keys: Keys, here: ResourceOptions) -> Alerts | None:
    """Where all that goes wrong is told."""
    if settings.observability is None:
        return None
    pager = secrets.pager_duty_endpoint
    rails = settings.guardrails
    told = AlertsArgs(
        place=place,
        keys=keys,
        settings=settings.observability,
        pager_duty_endpoint=pager,
        findings=rails is not None and rails.guard_duty,
    )
    return Alerts("alerts", told, here)


def observe(it: Parts, alerts: Alerts | None, settings: Settings, here: ResourceOptions) -> None:
    """The watchdog, alarms, dashboards and saved queries."""
    wanted, place = settings.observability, it.base.place
    if wanted is None or alerts is None:
        return
    watching = WatchdogArgs(
        base=it.base,
        coordinator=it.coordinator,
        sessions=it.swarm.sessions,
        stuck_minutes=wanted.thresholds.stuck_minutes,
    )
    watchdog = Watchdog("watchdog", watching, here)
    seen = watched(
        place,
        swarm=it.swarm,
        agents=it.agents,
        coordinator=it.coordinator,
        api=it.api,
        watchdog=watchdog,
        database=it.database,
        replica=settings.role == "standby" and not (settings.database and settings.database.promoted),
        face=it.face,
    )
    Alarms("alarms", AlarmsArgs(place=place, alerts=alerts, watched=seen, thresholds=wanted.thresholds), here)
    Queries("queries", QueriesArgs(place=place, watched=seen), here)
    if wanted.dashboards != "none":
        Dashboards("dashboards", DashboardsArgs(place=place, watched=seen, layout=wanted.dashboards), here)


def guard(
    it: Parts, alerts: Alerts | None, settings: Settings, here: ResourceOptions, unbounded: ResourceOptions
) -> None:
    """Every guardrail that is switched on; ``unbounded`` is for the roles that deploy roles."""
    rails, place = settings.guardrails, it.base.place
    if rails is None:
        return
    if alerts and (rails.budgets or rails.anomaly_detection):
        spending = SpendingArgs(place=place, alerts=alerts, budget=settings.budget, guardrails=rails)
        Spending("spending", spending, here)
    if rails.cloud_trail:
        Trail("trail", TrailArgs(base=it.base, keep_days=rails.trail_days), here)
    if rails.account_baseline:
        AccountBaseline("account", AccountBaselineArgs(place=place), here)
    if rails.guard_duty or rails.security_hub:
        Detection("detection", DetectionArgs(place=place, alerts=alerts, guardrails=rails), here)
    if rails.config:
        history = ConfigurationHistoryArgs(base=it.base, keep_days=rails.trail_days)
        ConfigurationHistory("config", history, here)
    if rails.backup:
        kept = BackupsArgs(place=place, keys=it.base.keys, settings=rails.backup, resources=it.stores)
        Backups("backups", kept, here)
    if rails.github_oidc and it.boundary:
        primary = settings.primary.name if settings.primary else None
        github = GithubOidcArgs(
            place=place,
            settings=rails.github_oidc,
            boundary=it.boundary,
            data_key_arn=it.base.keys.data_arn,
            primary_stack=primary,
        )
        made = GithubOidc("github", github, unbounded)
        pulumi.export("github_roles", made.role_arns)
