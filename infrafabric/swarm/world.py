"""What agents and the coordinator do to the world, as plain functions. Lambda passes AWS, a test passes its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from infrafabric.bus.registry import Registry
from infrafabric.models import Model
from infrafabric.swarm.ledger import Ledger
from infrafabric.swarm.store import SessionStore

Letter = Any  # a signed message, as whoever signs it also sends it


class Callbacks(Protocol):
    """Where the coordinator waits for a task. A callback that is closed already is no error."""

    def succeed(self, callback_id: str, result: Mapping[str, Any]) -> None: ...
    def fail(self, callback_id: str, reason: str, detail: str) -> None: ...
    def beat(self, callback_id: str) -> None:
        """A sign of life. One that is lost is no error either: the next follows soon."""


class Log(Protocol):
    """Structured logging: an event's name and its fields, never content or secrets."""

    def info(self, event: str, **fields: Any) -> None: ...
    def warning(self, event: str, **fields: Any) -> None: ...


@dataclass(frozen=True, kw_only=True)
class AgentDeps:
    """Everything an agent does to the world."""

    agent: str
    now_ms: Callable[[], int]
    draw: Callable[[], float]
    token: Callable[[], str]  # a new one for each claim
    registry: Callable[[str, str], Registry]  # one that is fresh enough to judge the key that this sender brings
    fetch: Callable[[dict[str, Any]], dict[str, Any]]  # a claim-checked content
    store: Ledger
    model: Model
    put_result: Callable[[str, bytes], str]  # key, bytes → s3:// URI
    callbacks: Callbacks
    sign: Callable[[dict[str, Any]], Letter]  # a draft, as it will travel
    publish: Callable[[Letter], None]  # on the bus
    archive: Callable[[Letter], None]  # to the recorder
    together: Callable[..., None]  # calls what it is given side by side, and returns when all have returned
    put_back: Callable[[str, int, int], None]  # body, throttles so far, delay in seconds
    hasten: Callable[[str, int], None]  # receipt handle, seconds until SQS delivers a message that failed again
    dead_letter: Callable[[str, str, str], None]  # body, reason, detail
    measure: Callable[[Mapping[str, float]], None]
    log: Log
    heartbeat_s: float

    @property
    def principal(self) -> str:
        return f"if://agent/{self.agent}"


@dataclass(frozen=True, kw_only=True)
class CoordinatorDeps:
    """Everything the coordinator does to the world."""

    now_ms: Callable[[], int]
    store: SessionStore
    model: Model
    publish: Callable[[dict[str, Any]], None]  # signs a draft, which may be claim-checked, and publishes it
    archive: Callable[[dict[str, Any]], None]  # signs a draft and sends it to the recorder
    put: Callable[[str, bytes], str]  # key, bytes → s3:// URI
    get: Callable[[str], bytes]
    find_all: Callable[[Sequence[str]], Sequence[bytes | None]]  # side by side, returned in order
    prepare: Callable[[], None]  # begins to make the model ready, beside what follows
    log: Log
    self_name: str  # what a child execution is started by: function name and version
    heartbeat_timeout_s: int
    reassignments: int
    at_once: int  # tasks that one agent works side by side
