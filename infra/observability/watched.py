"""Names of the resources that alarms, dashboards and saved queries refer to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pulumi import Input, Output

from infra.api.api import Api
from infra.compute.function import Function
from infra.front.app import App
from infra.front.frontend import PublicFrontend
from infra.history.database import Database
from infra.naming.context import StackContext
from infra.swarm.agent_fleet import AgentFleet
from infra.swarm.coordinator import Coordinator
from infra.swarm.parts import SwarmParts
from infra.swarm.watchdog import Watchdog


@dataclass(frozen=True, kw_only=True)
class WatchedApp:
    """Application's load balancer and target groups, named as in CloudWatch's metric dimensions."""

    balancer: Input[str]  # app/<name>/<id>
    targets: Mapping[str, Input[str]]  # targetgroup/<name>/<id>, by colour


@dataclass(frozen=True, kw_only=True)
class Watched:
    """Names of a stack's watched resources, from which alarms and dashboards are computed; not a component."""

    stack: str
    region: str
    queues: Mapping[str, Input[str]]  # physical name by purpose
    dead_letter_queues: Mapping[str, Input[str]]
    agents: Mapping[str, Input[str]]  # function name by agent
    services: Mapping[str, Input[str]]  # function name by component
    logs: Mapping[str, tuple[Input[str], ...]]  # log groups by component
    api_name: Input[str]
    api_stage: Input[str]
    database: Input[str] | None
    replica: bool = False  # the database is a replica
    app: WatchedApp | None = None
    distribution: Input[str] | None = None  # id of the CloudFront distribution


def collect_watched(
    context: StackContext,
    *,
    swarm: SwarmParts,
    agents: AgentFleet,
    coordinator: Coordinator,
    api: Api,
    watchdog: Watchdog,
    database: Database | None,
    replica: bool,
    frontend: PublicFrontend,
) -> Watched:
    """Return the names of all watched resources of a stack."""
    bus, recorder = swarm.bus, swarm.recorder
    services = {"api": api.function, "coordinator": coordinator.function, "watchdog": watchdog.function}
    queues = {agent: inbox.queue_name for agent, inbox in bus.inboxes.items()}
    dead = {agent: inbox.dlq.queue_name for agent, inbox in bus.inboxes.items()}
    if recorder:
        services["recorder"] = recorder.function
        queues["recorder"], dead["recorder"] = recorder.inbox.queue_name, recorder.inbox.dlq.queue_name
    dead |= {"coordinator": coordinator.dlq.queue_name, "watchdog": watchdog.dlq.queue_name}
    return Watched(
        stack=context.stack,
        region=context.region,
        queues=queues,
        dead_letter_queues=dead,
        agents={agent: function.function_name for agent, function in agents.functions.items()},
        services={component: function.function_name for component, function in services.items()},
        logs={"agents": _logs(*agents.functions.values()), **{c: _logs(f) for c, f in services.items()}},
        api_name=api.gateway.api_name,
        api_stage=api.gateway.stage_name,
        database=database.instance.identifier if database else None,
        replica=replica and database is not None,
        app=_app(frontend.app) if frontend.app else None,
        distribution=frontend.edge.distribution_id if frontend.edge else None,
    )


def _app(app: App) -> WatchedApp:
    balancer = app.balancer
    targets = {colour: _last(arn) for colour, arn in balancer.target_group_arns.items()}
    return WatchedApp(balancer=_last(balancer.arn, "loadbalancer/"), targets=targets)


def _last(arn: Output[str], without: str = "") -> Output[str]:
    """Return the last part of an ARN, the form of metric dimensions."""
    return arn.apply(lambda text: text.rpartition(":")[2].removeprefix(without))


def _logs(*functions: Function) -> tuple[Input[str], ...]:
    return tuple(function.log_group_name for function in functions)
