"""What a stack holds, each thing after what it needs. A standby holds the same, on copies of its primary's data."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws
from pulumi import Output, ResourceOptions

from infra import operations
from infra.api.api import Api, ApiArgs
from infra.foundation.base import Base
from infra.foundation.keys import Keys, KeysArgs, principal_uri
from infra.foundation.runtime import Runtime, RuntimeArgs
from infra.foundation.storage import Copies, Storage, StorageArgs
from infra.front.dns import GLOBAL_REGION
from infra.front.frontend import Face, FaceArgs
from infra.handover.outputs import API_KEY, Handover, Received
from infra.history.declare import History
from infra.messaging.alerts import Alerts
from infra.messaging.bus import Bus, BusArgs
from infra.naming.context import Place
from infra.network.network import Network, NetworkArgs
from infra.settings import Secrets, Settings
from infra.swarm.agent_fleet import AgentFleet, AgentFleetArgs
from infra.swarm.coordinator import PRINCIPAL, Coordinator, CoordinatorArgs
from infra.swarm.model import Model, ModelArgs
from infra.swarm.parts import Swarm
from infra.swarm.sessions import Sessions, SessionsArgs


def stack() -> None:
    """Declare the stack that the configuration describes.

    Raises:
        pulumi.RunError: the configuration does not describe one; nothing is declared then.
    """
    settings = Settings.load()
    secrets = Secrets.load(settings)
    fleet = settings.fleet
    recovery = settings.recovery.region if settings.recovery else None
    provider = aws.Provider("here", region=settings.region)
    unbounded = ResourceOptions(provider=provider)
    place = Place.of(settings, provider)
    boundary = operations.bound(place, settings, unbounded)
    here = ResourceOptions(provider=provider, transformations=[boundary.bind]) if boundary else unbounded
    given = Received.read(settings.primary) if settings.primary else None

    base = _base(settings, place, given, here)
    keys = base.keys

    replica = given.sessions_table if given else None
    table = SessionsArgs(place=place, keys=keys, recovery_region=recovery, replica_name=replica)
    sessions = Sessions("sessions", table, here)
    asked = ModelArgs(
        place=place, keys=keys, settings=settings.model, api_key=secrets.api_key, recovery_region=recovery,
        replica_arn=given.model_api_key_secret_arn if given else None,
    )  # fmt: skip
    model = Model("model", asked, here)
    bus = Bus("bus", BusArgs(place=place, keys=keys, fleet=fleet), here)
    network = _network(settings, base, here)
    history = History.declare(settings, secrets, base, network, given, here) if settings.database and network else None

    swarm = Swarm(sessions=sessions, model=model, bus=bus, recorder=history and history.recorder, fleet=fleet)
    coordinator = Coordinator("coordinator", CoordinatorArgs(base=base, swarm=swarm), here)
    agents = AgentFleet("agents", AgentFleetArgs(base=base, swarm=swarm, coordinator=coordinator), here)
    served = ApiArgs(
        base=base, swarm=swarm, coordinator=coordinator, settings=settings.api,
        primary_key=given.api_key if given else None,
    )  # fmt: skip
    api = Api("api", served, here)

    alerts = operations.tell(settings, secrets, place, keys, here)
    shown = FaceArgs(
        base=base, network=network, api=api, settings=settings, alerts=alerts,
        primary_zone_id=given.zone_id.apply(_there_is_a_zone) if given and settings.dns else None,
        primary_topics=given.alerts_topic_arn.apply(lambda arn: [arn] if arn else []) if given else None,
    )  # fmt: skip
    face = Face("face", shown, here)
    parts = operations.Parts(
        base=base, swarm=swarm, coordinator=coordinator, agents=agents, api=api,
        database=history and history.database, face=face, boundary=boundary,
    )  # fmt: skip
    operations.observe(parts, alerts, settings, here)
    operations.guard(parts, alerts, settings, here, unbounded)

    if recovery:
        _hand_over(place, recovery, base, swarm, history, face, alerts).export()
    _export(base, swarm, coordinator, agents, api, face)


def _base(settings: Settings, place: Place, given: Handover | None, here: ResourceOptions) -> Base:
    """What nearly everything stands on."""
    log_days = settings.fleet.log_retention_days
    keys = Keys("keys", _keys(settings, place, given), here)
    kept = StorageArgs(
        place=place,
        keys=keys,
        log_retention_days=log_days,
        recovery_region=settings.recovery.region if settings.recovery else None,
        copies=Copies(results=given.results_bucket, assets=given.assets_bucket) if given else None,
        load_balancer=settings.app is not None,
        edge=settings.edge is not None,
    )
    storage = Storage("storage", kept, here)
    runtime = Runtime("runtime", RuntimeArgs(place=place, settings=settings.runtime), here)
    return Base(place=place, keys=keys, storage=storage, runtime=runtime, log_retention_days=log_days)


def _export(base: Base, swarm: Swarm, coordinator: Coordinator, agents: AgentFleet, api: Api, face: Face) -> None:
    """What operators script against."""
    pulumi.export("agents", {name: _describe(name, swarm.bus, agents) for name in swarm.fleet.agents})
    pulumi.export(API_KEY, api.api_key)
    pulumi.export("api_url", api.url)
    pulumi.export("bus_topic_arn", swarm.bus.topic_arn)
    pulumi.export("coordinator_arn", coordinator.alias_arn)
    pulumi.export("model_api_key_secret_arn", swarm.model.api_key_secret_arn)
    pulumi.export("record_queue_url", swarm.record_queue_url)
    pulumi.export("registry_uri", base.storage.registry_uri)
    pulumi.export("results_bucket", base.storage.results_bucket)
    pulumi.export("sessions_table", swarm.sessions.table_name)
    pulumi.export("state_bucket", base.storage.state_bucket)
    pulumi.export("zone", face.zone)


def _network(settings: Settings, base: Base, here: ResourceOptions) -> Network | None:
    """The VPC, where something has to be in one."""
    if not (settings.database or settings.app):
        return None
    called = History.calls if settings.database else ()
    return Network("network", NetworkArgs(base=base, settings=settings.network, interface_endpoints=called), here)


def _keys(settings: Settings, place: Place, given: Handover | None) -> KeysArgs:
    return KeysArgs(
        place=place,
        principals=(PRINCIPAL, *settings.fleet.agents),
        recovery_region=settings.recovery.region if settings.recovery else None,
        data_key_arn=given.data_key_arn if given else None,
        lent=operations.lent_keys(place, settings),
        auto_scaling=settings.app is not None,
        primary_stack=settings.primary.name if settings.primary else None,
        edge=settings.edge is not None,
    )


def _hand_over(
    place: Place, region: str, base: Base, swarm: Swarm, history: History | None, face: Face, alerts: Alerts | None
) -> Handover:
    """What a standby in ``region`` could not know by itself."""
    copies = base.storage.copies
    assert copies is not None, "with recovery, storage has copies"

    def there(arn: Output[str] | None) -> Output[str | None]:
        """A secret's replica is called like its source, suffix included, in another region."""
        moved = arn.apply(lambda text: text.replace(f":{place.region}:", f":{region}:")) if arn else None
        return Output.from_input(moved)

    return Handover(
        data_key_arn=base.keys.copied_data_arn,
        results_bucket=copies.results,
        assets_bucket=copies.assets,
        sessions_table=swarm.sessions.table_name,
        model_api_key_secret_arn=there(swarm.model.api_key_secret_arn),
        database_arn=Output.from_input(history.database.instance.arn if history else None),
        database_secret_arn=there(history.database.master_secret_arn if history else None),
        alerts_topic_arn=Output.from_input(alerts.topic_arn if alerts and place.region == GLOBAL_REGION else None),
        zone_id=Output.from_input(face.dns.zone_id if face.dns else None),
    )


def _there_is_a_zone(found: str | None) -> str:
    if found is None:
        raise pulumi.RunError(
            "settings.dns is set, and the primary has no zone to write names into: leave it out here, or set it there "
            "and run pulumi up in that stack first"
        )
    return found


def _describe(agent: str, bus: Bus, agents: AgentFleet) -> dict[str, object]:
    """What an operator needs to reach one agent."""
    inbox = bus.inboxes[agent]
    return {
        "queue_url": inbox.url,
        "dlq_url": inbox.dlq.url,
        "function_name": agents.functions[agent].function_name,
        "principal": principal_uri(agent),
    }
