"""Components that coordinator, agents and API share."""

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
    """Components that a session runs on, passed as one argument; not a component."""

    sessions: Sessions
    model: ModelAccess
    bus: Bus
    recorder: Recorder | None  # None without a database; the stack then stores no history
    fleet: settings.FleetSettings

    @property
    def record_queue_url(self) -> Output[str] | None:
        """URL of the recorder's queue; None without a recorder."""
        return self.recorder.queue_url if self.recorder else None
