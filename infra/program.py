"""The stack: every component, declared after the components that it needs.

A standby stack declares the same components on copies of its primary's data.
"""

from __future__ import annotations

import pulumi
import pulumi_aws as aws
from pulumi import Output, ResourceOptions

from infra import operations
from infra.api.api import Api, ApiArgs
from infra.foundation.foundation import Foundation
from infra.foundation.keys import Keys, KeysArgs
from infra.foundation.runtime import Runtime, RuntimeArgs
from infra.foundation.storage import Copies, Storage, StorageArgs
from infra.front.dns import GLOBAL_REGION
from infra.front.frontend import PublicFrontend, PublicFrontendArgs
from infra.handover.outputs import API_KEYS, Handover, ReceivedHandover
from infra.history.declare import History
from infra.messaging.alerts import Alerts
from infra.messaging.bus import Bus, BusArgs
from infra.naming.context import StackContext
from infra.network.network import Network, NetworkArgs
from infra.settings import Secrets, Settings
from infra.swarm.agent_fleet import AgentFleet, AgentFleetArgs
from infra.swarm.coordinator import Coordinator, CoordinatorArgs
from infra.swarm.model_access import ModelAccess, ModelAccessArgs
from infra.swarm.parts import SwarmParts
from infra.swarm.sessions import Sessions, SessionsArgs
from infrafabric.bus.uris import agent_uri


def stack() -> None:
    """Declare the stack that the Pulumi configuration describes.

    Raises:
        pulumi.RunError: the configuration does not describe a stack; no resource has been declared then.
    """
    settings = Settings.load()
    secrets = Secrets.load(settings)
    fleet = settings.fleet
    recovery_region = settings.recovery.region if settings.recovery else None
    provider = aws.Provider("here", region=settings.region)
    unbounded = ResourceOptions(provider=provider)
    context = StackContext.of(settings, provider)
    boundary = operations.declare_boundary(context, settings, unbounded)
    opts = ResourceOptions(provider=provider, transformations=[boundary.bind]) if boundary else unbounded
    handover = ReceivedHandover.read(settings.primary, settings.api.clients) if settings.primary else None

    foundation = _foundation(settings, context, handover, opts)
    keys = foundation.keys

    sessions = Sessions(
        "sessions",
        SessionsArgs(
            context=context,
            keys=keys,
            recovery_region=recovery_region,
            replica_name=handover.sessions_table if handover else None,
        ),
        opts,
    )
    model = ModelAccess(
        "model",
        ModelAccessArgs(
            context=context,
            keys=keys,
            settings=settings.model,
            api_key=secrets.api_key,
            recovery_region=recovery_region,
            replica_arn=handover.model_api_key_secret_arn if handover else None,
        ),
        opts,
    )
    bus = Bus("bus", BusArgs(context=context, keys=keys, fleet=fleet), opts)
    network = _network(settings, foundation, opts)
    history = None
    if settings.database and network:
        history = History.declare(settings, secrets, foundation, network, handover, opts)

    swarm = SwarmParts(sessions=sessions, model=model, bus=bus, recorder=history and history.recorder, fleet=fleet)
    coordinator = Coordinator("coordinator", CoordinatorArgs(foundation=foundation, swarm=swarm), opts)
    agents = AgentFleet("agents", AgentFleetArgs(foundation=foundation, swarm=swarm, coordinator=coordinator), opts)
    api = Api(
        "api",
        ApiArgs(
            foundation=foundation,
            swarm=swarm,
            coordinator=coordinator,
            settings=settings.api,
            peer_region=settings.primary.region if settings.primary else recovery_region,
            primary_keys=handover.api_keys if handover else None,
        ),
        opts,
    )

    alerts = operations.declare_alerts(settings, secrets, context, keys, opts)
    primary_topics = handover.alerts_topic_arn.apply(lambda arn: [arn] if arn else []) if handover else None
    frontend = PublicFrontend(
        "face",
        PublicFrontendArgs(
            foundation=foundation,
            network=network,
            api=api,
            settings=settings,
            alerts=alerts,
            primary_zone_id=handover.zone_id.apply(_require_zone) if handover and settings.dns else None,
            primary_topics=primary_topics,
        ),
        opts,
    )
    parts = operations.StackParts(
        foundation=foundation,
        swarm=swarm,
        coordinator=coordinator,
        agents=agents,
        api=api,
        database=history and history.database,
        frontend=frontend,
        boundary=boundary,
    )
    operations.declare_observability(parts, alerts, settings, opts)
    operations.declare_guardrails(parts, alerts, settings, opts, unbounded)

    if recovery_region:
        _handover(context, recovery_region, foundation, swarm, history, frontend, alerts).export()
    _export(foundation, swarm, coordinator, agents, api, frontend)


def _foundation(
    settings: Settings, context: StackContext, handover: Handover | None, opts: ResourceOptions
) -> Foundation:
    """Declare the keys, the buckets and the code packages that nearly every component uses."""
    log_days = settings.fleet.log_retention_days
    keys = Keys("keys", _keys_args(settings, context, handover), opts)
    storage = Storage(
        "storage",
        StorageArgs(
            context=context,
            keys=keys,
            log_retention_days=log_days,
            recovery_region=settings.recovery.region if settings.recovery else None,
            copies=Copies(results=handover.results_bucket, assets=handover.assets_bucket) if handover else None,
            load_balancer=settings.app is not None,
            edge=settings.edge is not None,
        ),
        opts,
    )
    runtime = Runtime(
        "runtime",
        RuntimeArgs(
            context=context,
            settings=settings.runtime,
            reserved_concurrency=settings.reserved_concurrency,
            unreserved_reason=settings.unreserved_reason,
        ),
        opts,
    )
    return Foundation(context=context, keys=keys, storage=storage, runtime=runtime, log_retention_days=log_days)


def _export(
    foundation: Foundation,
    swarm: SwarmParts,
    coordinator: Coordinator,
    agents: AgentFleet,
    api: Api,
    frontend: PublicFrontend,
) -> None:
    """Export the stack outputs that operators' scripts read."""
    pulumi.export("agents", {name: _agent_outputs(name, swarm.bus, agents) for name in swarm.fleet.agents})
    pulumi.export("api_key", api.api_key)
    pulumi.export(API_KEYS, Output.secret(api.api_keys))
    pulumi.export("api_url", api.url)
    pulumi.export("bus_topic_arn", swarm.bus.topic_arn)
    pulumi.export("coordinator_arn", coordinator.alias_arn)
    pulumi.export("model_api_key_secret_arn", swarm.model.api_key_secret_arn)
    pulumi.export("record_queue_url", swarm.record_queue_url)
    pulumi.export("registry_uri", foundation.storage.registry_uri)
    pulumi.export("results_bucket", foundation.storage.results_bucket)
    pulumi.export("sessions_table", swarm.sessions.table_name)
    pulumi.export("state_bucket", foundation.storage.state_bucket)
    pulumi.export("zone", frontend.zone)


def _network(settings: Settings, foundation: Foundation, opts: ResourceOptions) -> Network | None:
    """Declare the VPC; None if the stack has neither a database nor an application."""
    if not (settings.database or settings.app):
        return None
    services = History.called_services if settings.database else ()
    args = NetworkArgs(foundation=foundation, settings=settings.network, interface_endpoints=services)
    return Network("network", args, opts)


def _keys_args(settings: Settings, context: StackContext, handover: Handover | None) -> KeysArgs:
    return KeysArgs(
        context=context,
        signing_generations={name: settings.keys.trusted_generations(name) for name in settings.principals},
        recovery_region=settings.recovery.region if settings.recovery else None,
        data_key_arn=handover.data_key_arn if handover else None,
        data_key_statements=operations.data_key_statements(context, settings),
        auto_scaling=settings.app is not None,
        primary_stack=settings.primary.name if settings.primary else None,
        edge=settings.edge is not None,
    )


def _handover(
    context: StackContext,
    recovery_region: str,
    foundation: Foundation,
    swarm: SwarmParts,
    history: History | None,
    frontend: PublicFrontend,
    alerts: Alerts | None,
) -> Handover:
    """Collect the identifiers that a standby in ``recovery_region`` cannot compute."""
    copies = foundation.storage.copies
    assert copies is not None, "with recovery, storage has copies"

    def replica_arn(arn: Output[str] | None) -> Output[str | None]:
        """Return the ARN of a secret's replica: the source's ARN, suffix included, with the region replaced."""
        replaced = arn.apply(lambda text: text.replace(f":{context.region}:", f":{recovery_region}:")) if arn else None
        return Output.from_input(replaced)

    return Handover(
        data_key_arn=foundation.keys.copied_data_arn,
        results_bucket=copies.results,
        assets_bucket=copies.assets,
        sessions_table=swarm.sessions.table_name,
        model_api_key_secret_arn=replica_arn(swarm.model.api_key_secret_arn),
        database_arn=Output.from_input(history.database.instance.arn if history else None),
        database_secret_arn=replica_arn(history.database.master_secret_arn if history else None),
        alerts_topic_arn=Output.from_input(alerts.topic_arn if alerts and context.region == GLOBAL_REGION else None),
        zone_id=Output.from_input(frontend.dns.zone_id if frontend.dns else None),
    )


def _require_zone(zone_id: str | None) -> str:
    if zone_id is None:
        raise pulumi.RunError(
            "settings.dns is set, but the primary stack has no hosted zone for the names: leave dns out of this stack, "
            "or set dns in the primary and run pulumi up there first"
        )
    return zone_id


def _agent_outputs(agent: str, bus: Bus, agents: AgentFleet) -> dict[str, object]:
    """Return the identifiers by which an operator reaches ``agent``."""
    inbox = bus.inboxes[agent]
    return {
        "queue_url": inbox.url,
        "dlq_url": inbox.dlq.url,
        "function_name": agents.functions[agent].function_name,
        "principal": agent_uri(agent),
    }
