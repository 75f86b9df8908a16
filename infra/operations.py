"""Observability and guardrails of a stack: alerts, watchdog, alarms and dashboards; boundary, budget, audit trail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pulumi import Input, ResourceOptions

from infra.api.api import Api
from infra.foundation.foundation import Foundation
from infra.foundation.keys import Keys
from infra.front.frontend import PublicFrontend
from infra.guardrails import trail as trailing
from infra.guardrails.account import AccountBaseline, AccountBaselineArgs
from infra.guardrails.backups import Backups, BackupsArgs
from infra.guardrails.boundary import Boundary, BoundaryArgs
from infra.guardrails.configuration import ConfigurationHistory, ConfigurationHistoryArgs
from infra.guardrails.detection import Detection, DetectionArgs
from infra.guardrails.github import GithubOidc, GithubOidcArgs
from infra.guardrails.pulumi_state import PulumiState
from infra.guardrails.spending import Spending, SpendingArgs
from infra.guardrails.trail import Trail, TrailArgs
from infra.history.database import Database
from infra.iam import policies
from infra.messaging import alerts as alerting
from infra.messaging.alerts import Alerts, AlertsArgs
from infra.naming.context import StackContext
from infra.observability.alarms import Alarms, AlarmsArgs
from infra.observability.dashboards import Dashboards, DashboardsArgs
from infra.observability.log_metrics import LogMetrics, LogMetricsArgs
from infra.observability.watched import collect_watched
from infra.settings import Secrets, Settings
from infra.swarm.agent_fleet import AgentFleet
from infra.swarm.coordinator import Coordinator
from infra.swarm.parts import SwarmParts
from infra.swarm.watchdog import Watchdog, WatchdogArgs


def data_key_statements(context: StackContext, settings: Settings) -> list[policies.Statement]:
    """Return the data key's policy statements for the AWS services that the settings switch on."""
    statements = alerting.data_key_statements(context) if settings.observability else []
    if settings.guardrails and settings.guardrails.cloud_trail:
        return [*statements, trailing.data_key_statement(context)]
    return statements


def declare_boundary(context: StackContext, settings: Settings, opts: ResourceOptions) -> Boundary | None:
    """Declare the permissions boundary before every component with a role; None if the settings switch it off."""
    guardrails = settings.guardrails
    if guardrails is None or not guardrails.boundary:
        return None
    copies = [settings.recovery.region] if settings.recovery else []  # S3 replicates there with a role of the stack
    args = BoundaryArgs(
        context=context,
        allowed_regions=[*guardrails.allowed_regions, *copies],
        state=_pulumi_state(context, settings),
    )
    return Boundary("boundary", args, opts)


def _pulumi_state(context: StackContext, settings: Settings) -> PulumiState:
    github = settings.guardrails and settings.guardrails.github_oidc
    return PulumiState(context=context, bucket=github.state_bucket if github else None, primary=settings.primary)


@dataclass(frozen=True, kw_only=True)
class StackParts:
    """Components that observability and guardrails refer to."""

    foundation: Foundation
    swarm: SwarmParts
    coordinator: Coordinator
    agents: AgentFleet
    api: Api
    database: Database | None
    frontend: PublicFrontend
    boundary: Boundary | None

    @property
    def backed_up_arns(self) -> Mapping[str, Input[str]]:
        """ARNs of the stores that AWS Backup copies, by label."""
        instance = {"database": self.database.instance.arn} if self.database else {}
        return {"sessions": self.swarm.sessions.table_arn, **instance}


def declare_alerts(
    settings: Settings, secrets: Secrets, context: StackContext, keys: Keys, opts: ResourceOptions
) -> Alerts | None:
    """Declare the alert topic and its subscriptions; None without an observability section."""
    if settings.observability is None:
        return None
    args = AlertsArgs(
        context=context,
        keys=keys,
        settings=settings.observability,
        pager_duty_endpoint=secrets.pager_duty_endpoint,
        findings=settings.guardrails is not None and settings.guardrails.guard_duty,
    )
    return Alerts("alerts", args, opts)


def declare_observability(parts: StackParts, alerts: Alerts | None, settings: Settings, opts: ResourceOptions) -> None:
    """Declare the watchdog, the alarms, the dashboards and the saved queries."""
    observability, context = settings.observability, parts.foundation.context
    if observability is None or alerts is None:
        return
    thresholds = observability.thresholds
    watchdog = Watchdog(
        "watchdog",
        WatchdogArgs(
            foundation=parts.foundation,
            coordinator=parts.coordinator,
            sessions=parts.swarm.sessions,
            stuck_minutes=thresholds.stuck_minutes,
        ),
        opts,
    )
    watched = collect_watched(
        context,
        swarm=parts.swarm,
        agents=parts.agents,
        coordinator=parts.coordinator,
        api=parts.api,
        watchdog=watchdog,
        database=parts.database,
        replica=settings.role == "standby" and not (settings.database and settings.database.promoted),
        frontend=parts.frontend,
    )
    Alarms("alarms", AlarmsArgs(context=context, alerts=alerts, watched=watched, thresholds=thresholds), opts)
    LogMetrics("queries", LogMetricsArgs(context=context, watched=watched), opts)
    if observability.dashboards != "none":
        args = DashboardsArgs(context=context, watched=watched, layout=observability.dashboards)
        Dashboards("dashboards", args, opts)


def declare_guardrails(
    parts: StackParts, alerts: Alerts | None, settings: Settings, opts: ResourceOptions, unbounded: ResourceOptions
) -> None:
    """Declare every guardrail that the settings switch on.

    Args:
        unbounded: options without the permissions boundary, for the roles that deploy roles.
    """
    guardrails, foundation, context = settings.guardrails, parts.foundation, parts.foundation.context
    if guardrails is None:
        return
    if alerts and (guardrails.budgets or guardrails.anomaly_detection):
        args = SpendingArgs(context=context, alerts=alerts, budget=settings.budget, guardrails=guardrails)
        Spending("spending", args, opts)
    if guardrails.cloud_trail:
        Trail("trail", TrailArgs(foundation=foundation, keep_days=guardrails.trail_days), opts)
    if guardrails.account_baseline:
        AccountBaseline("account", AccountBaselineArgs(context=context), opts)
    if guardrails.guard_duty or guardrails.security_hub:
        Detection("detection", DetectionArgs(context=context, alerts=alerts, guardrails=guardrails), opts)
    if guardrails.config:
        ConfigurationHistory(
            "config", ConfigurationHistoryArgs(foundation=foundation, keep_days=guardrails.trail_days), opts
        )
    if guardrails.backup:
        Backups(
            "backups",
            BackupsArgs(
                context=context, keys=foundation.keys, settings=guardrails.backup, resources=parts.backed_up_arns
            ),
            opts,
        )
    if guardrails.github_oidc and parts.boundary:
        github = GithubOidc(
            "github",
            GithubOidcArgs(
                context=context,
                settings=guardrails.github_oidc,
                boundary=parts.boundary,
                data_key_arn=foundation.keys.data_arn,
                state=_pulumi_state(context, settings),
            ),
            unbounded,
        )
        pulumi.export("github_roles", github.role_arns)
