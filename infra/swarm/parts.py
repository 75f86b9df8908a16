"""Swarm: what the coordinator, the agents and the API work with together."""

from __future__ import annotations

from dataclasses import dataclass

from pulumi import Output

from infra import settings
from infra.history.recorder import Recorder
from infra.messaging.bus import Bus
from infra.swarm.model_access import ModelAccess
from infra.swarm.sessions import Sessions


@dataclass(frozen=True, kw_only=True)
class SwarmParts:
    """Not a component: the parts that a session runs on, handed to those who run it."""

    sessions: Sessions
    model: ModelAccess
    bus: Bus
    recorder: Recorder | None  # None where the stack has no database: no history is kept
    fleet: settings.FleetSettings

    @property
    def record_queue_url(self) -> Output[str] | None:
        return self.recorder.queue_url if self.recorder else None
