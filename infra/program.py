"""What a stack holds, each thing after what it needs."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws
from pulumi import ResourceOptions

from infra.base import Base
from infra.components.agent_fleet import AgentFleet, AgentFleetArgs
from infra.components.api import Api, ApiArgs
from infra.components.bus import Bus, BusArgs
from infra.components.coordinator import PRINCIPAL, Coordinator, CoordinatorArgs
from infra.components.database import DB_NAME, Database, DatabaseArgs
from infra.components.face import Face, FaceArgs
from infra.components.keys import Keys, KeysArgs, principal_uri
from infra.components.migrator import Migrator, MigratorArgs
from infra.components.model import Model, ModelArgs
from infra.components.network import Network, NetworkArgs
from infra.components.recorder import Recorder, RecorderArgs
from infra.components.runtime import Runtime, RuntimeArgs
from infra.components.sessions import Sessions, SessionsArgs
from infra.components.storage import Storage, StorageArgs
from infra.components.swarm import Swarm
from infra.place import Place
from infra.settings import Secrets, Settings


def stack() -> None:
    """Declare the stack that the configuration describes.

    Raises:
        pulumi.RunError: the configuration does not describe one; nothing is declared then.
    """
    settings = Settings.load()
    secrets = Secrets.load(settings)
    fleet, log_days = settings.fleet, settings.fleet.log_retention_days
    provider = aws.Provider("here", region=settings.region)
    here = ResourceOptions(provider=provider)
    place = Place.of(settings, provider)

    app, edge = settings.app is not None, settings.edge is not None
    principals = (PRINCIPAL, *fleet.agents)
    keys = Keys("keys", KeysArgs(place=place, principals=principals, auto_scaling=app, edge=edge), here)
    stored = StorageArgs(place=place, keys=keys, log_retention_days=log_days, load_balancer=app, edge=edge)
    storage = Storage("storage", stored, here)
    runtime = Runtime("runtime", RuntimeArgs(place=place, settings=settings.runtime), here)
    base = Base(place=place, keys=keys, storage=storage, runtime=runtime, log_retention_days=log_days)

    sessions = Sessions("sessions", SessionsArgs(place=place, keys=keys), here)
    model = Model("model", ModelArgs(place=place, keys=keys, settings=settings.model, api_key=secrets.api_key), here)
    bus = Bus("bus", BusArgs(place=place, keys=keys, fleet=fleet), here)

    network = recorder = None
    if settings.database or app:
        called = sorted({*Migrator.calls, *Recorder.calls}) if settings.database else []
        inside = NetworkArgs(base=base, settings=settings.network, interface_endpoints=called)
        network = Network("network", inside, here)
    if settings.database and network:
        kept = DatabaseArgs(base=base, network=network, settings=settings.database, password=secrets.database_password)
        database = Database("database", kept, here)
        migrator = Migrator("migrator", MigratorArgs(base=base, network=network, database=database), here)
        history = RecorderArgs(base=base, network=network, database=database, migrator=migrator, fleet=fleet)
        recorder = Recorder("recorder", history, here)
        pulumi.export("database", {"endpoint": database.host, "port": database.port, "name": DB_NAME})
        pulumi.export("migrations", migrator.result)

    swarm = Swarm(sessions=sessions, model=model, bus=bus, recorder=recorder, fleet=fleet)
    coordinator = Coordinator("coordinator", CoordinatorArgs(base=base, swarm=swarm), here)
    agents = AgentFleet("agents", AgentFleetArgs(base=base, swarm=swarm, coordinator=coordinator), here)
    api = Api("api", ApiArgs(base=base, swarm=swarm, coordinator=coordinator, settings=settings.api), here)

    face = Face("face", FaceArgs(base=base, network=network, api=api, settings=settings), here)

    pulumi.export("agents", {name: _describe(name, bus, agents) for name in fleet.agents})
    pulumi.export("api_key", api.api_key)
    pulumi.export("api_url", api.url)
    pulumi.export("bus_topic_arn", bus.topic_arn)
    pulumi.export("coordinator_arn", coordinator.alias_arn)
    pulumi.export("model_api_key_secret_arn", model.api_key_secret_arn)
    pulumi.export("record_queue_url", recorder.queue_url if recorder else None)
    pulumi.export("registry_uri", storage.registry_uri)
    pulumi.export("results_bucket", storage.results_bucket)
    pulumi.export("sessions_table", sessions.table_name)
    pulumi.export("state_bucket", storage.state_bucket)
    pulumi.export("zone", face.zone)


def _describe(agent: str, bus: Bus, agents: AgentFleet) -> dict[str, object]:
    """What an operator needs to reach one agent."""
    inbox = bus.inboxes[agent]
    return {
        "queue_url": inbox.url,
        "dlq_url": inbox.dlq.url,
        "function_name": agents.functions[agent].function_name,
        "principal": principal_uri(agent),
    }
