"""Side effects of agents and of the coordinator, as Protocols: Lambda passes AWS adapters, tests pass plain classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from infrafabric.bus.registry import Registry
from infrafabric.bus.uris import agent_uri
from infrafabric.concurrency import RunConcurrently

if TYPE_CHECKING:
    from pydantic import BaseModel

    from infrafabric.models import Completion, Prompt, Usage
    from infrafabric.swarm.allowances import Allowances
    from infrafabric.swarm.breaker import Breaker
    from infrafabric.swarm.leases import CopyId, Lease
    from infrafabric.swarm.progress import ProgressClock
    from infrafabric.swarm.session_key import SessionKey
    from infrafabric.swarm.shapes.model_call import ModelCall
    from infrafabric.swarm.shapes.order import Order
    from infrafabric.swarm.shapes.round import RoundPart
    from infrafabric.swarm.shapes.session_item import Progress, SessionItem
    from infrafabric.telemetry import Measure

    T = TypeVar("T", bound=BaseModel)


@dataclass(frozen=True)
class SignedMessage:
    """Signed IF.bus message: the draft, and the text that travels."""

    draft: Mapping[str, Any]
    body: str


@dataclass(frozen=True)
class HistoryRecord:
    """Signed record of the coordinator, with the rows and the agents' signed answers that travel beside it."""

    record: SignedMessage
    beside: Sequence[str] = ()  # the record's rows as JSON, then the answers; nothing beside a session's record


class Log(Protocol):
    """Structured log: the name of an event and its fields, never content or secrets."""

    def info(self, event: str, **fields: Any) -> None: ...
    def warning(self, event: str, **fields: Any) -> None: ...


class ModelPrices(Protocol):
    """Prices of a model."""

    def cost_nusd(self, usage: Usage) -> int: ...
    def worst_nusd(self, prompt: Prompt, max_tokens: int) -> int: ...
    def affordable_tokens(self, prompt: Prompt, nusd: int) -> int: ...


class ModelClient(ModelPrices, Protocol):
    """Model client with prices."""

    @property
    def model_id(self) -> str: ...
    def ask(self, prompt: Prompt, output: type[T], *, max_tokens: int, timeout_s: float) -> Completion[T]: ...


class RegistrySource(Protocol):
    """Source of a registry that is fresh enough to notice a revoked key."""

    def __call__(self) -> Registry:
        """Return the registry.

        Raises:
            RegistryUnavailableError: the registry cannot be read now.
        """
        ...


class MessageLeases(Protocol):
    """Leases of an agent's messages."""

    def take(self, message_id: str, *, lease_ms: int, copy: CopyId, sent_ms: int) -> Lease: ...
    def put_back(self, message_id: str, lease: Lease) -> bool: ...
    def note_failure(self, sqs_message_id: str) -> int: ...
    def cancel(self, message_id: str) -> None: ...


class TaskCallbacks(Protocol):
    """Callbacks on which the coordinator waits for an answer. A closed callback is not an error."""

    def succeed(self, callback_id: str, answer: str) -> None: ...
    def send_heartbeat(self, callback_id: str) -> None: ...


class Publisher(Protocol):
    """IF.bus publisher of the coordinator."""

    def sign(self, draft: Mapping[str, Any]) -> SignedMessage: ...
    def send(self, drafts: Sequence[Mapping[str, Any]]) -> list[Exception | None]:
        """Sign messages and publish them to their receivers. Returns None or the error of each."""
        ...

    def record(self, records: Sequence[HistoryRecord]) -> None:
        """Send records to the recorder in order, if the stack keeps history."""


class Breakers(Protocol):
    """Circuit breakers of the agents."""

    def open(self, agents: Sequence[str]) -> int:
        """Return how many of these agents have an open breaker."""
        ...


class AgentQueue(Protocol):
    """SQS queue consumed by the agent."""

    def put_back(self, body: str, *, origin: str, put_backs: int, delay_s: int) -> None: ...
    def redeliver_after(self, receipt_handle: str, delay_s: int) -> None: ...


class DeadLetters(Protocol):
    """Dead-letter queue that stores a reason with each message."""

    def dead_letter(self, body: str, reason: str, detail: str) -> None: ...


class ResultObjects(Protocol):
    """Objects in an agent's own places, and claim-checked contents read by an agent."""

    def put_new(self, key: str, body: bytes) -> bool: ...
    def find(self, key: str) -> bytes | None: ...
    def resolve(self, content: dict[str, Any]) -> dict[str, Any]: ...


class ReportObjects(Protocol):
    """Objects that the coordinator reads and writes."""

    def put(self, key: str, body: bytes) -> str: ...
    def get(self, key: str) -> bytes: ...
    def find_all(self, keys: Sequence[str]) -> Sequence[bytes | None]:
        """Return the objects in the order of ``keys``, None for a missing one."""
        ...


class LostSessionStore(Protocol):
    """What ending a session reads and writes."""

    def order(self, key: SessionKey) -> Order: ...
    def end(self, session: SessionItem) -> bool: ...


class CoordinatorStore(LostSessionStore, Protocol):
    """Sessions as the coordinator reads and writes them."""

    def get(self, key: SessionKey) -> SessionItem | None: ...
    def begin(self, key: SessionKey, *, tasks: int, planned: Sequence[str] = ()) -> bool: ...
    def task_texts(self, order: Order) -> list[str]: ...
    def advance(self, key: SessionKey, number: int, *, spent: int, committed: int, done: int, failed: int) -> bool: ...
    def note_progress(self, key: SessionKey, number: int, part: int, progress: Progress) -> None: ...
    def calls(self, key: SessionKey, name: str) -> list[ModelCall]: ...
    def put_call(self, key: SessionKey, call: ModelCall) -> None: ...
    def rounds(self, key: SessionKey) -> list[RoundPart]: ...
    def put_round(self, key: SessionKey, part: RoundPart) -> None: ...


@dataclass(frozen=True, kw_only=True)
class AgentDeps:
    """Side effects of an agent."""

    agent: str  # short name, such as h01
    now_ms: Callable[[], int]
    random_unit: Callable[[], float]  # uniform in [0, 1)
    registry: RegistrySource
    leases: MessageLeases
    model: ModelClient
    objects: ResultObjects
    callbacks: TaskCallbacks
    breaker: Breaker
    sign: Callable[[Mapping[str, Any]], str]  # IF.bus message of a draft, signed as the agent
    queue: AgentQueue
    dead_letters: DeadLetters
    run_concurrently: RunConcurrently
    measure: Measure
    log: Log
    trace_id: Callable[[], str]  # of the invocation, as X-Ray has it
    heartbeat_s: float

    @property
    def principal(self) -> str:
        return agent_uri(self.agent)


@dataclass(frozen=True, kw_only=True)
class CoordinatorDeps:
    """Side effects of the coordinator."""

    now_ms: Callable[[], int]
    new_secret: Callable[[], str]
    random_unit: Callable[[], float]  # uniform in [0, 1)
    store: CoordinatorStore
    registry: RegistrySource
    model: ModelClient
    allowances: Allowances
    publisher: Publisher
    breakers: Breakers
    objects: ReportObjects
    progress: ProgressClock
    warm_model: Callable[[], None]  # starts loading the model's SDK concurrently
    measure: Measure
    log: Log
    self_name: str  # function name and version, which child executions invoke
    heartbeat_timeout_s: int
    reassignments: int
    tasks_at_once: int  # tasks that one agent processes concurrently
    max_tokens: int  # of the coordinator's own answers
    agent_max_tokens: int  # of an agent's answer, unless the session says otherwise
