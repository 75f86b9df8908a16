"""Side effects of agents and of the coordinator, as Protocols: Lambda passes AWS adapters, tests pass plain classes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from infrafabric.bus.registry import Registry
from infrafabric.bus.uris import agent_uri
from infrafabric.concurrency import RunConcurrently

if TYPE_CHECKING:
    from pydantic import BaseModel

    from infrafabric.models import Completion, Prompt, Usage
    from infrafabric.swarm.leases import AlreadyDoneError, Lease
    from infrafabric.swarm.shapes.order import Order
    from infrafabric.swarm.shapes.result import TaskResult
    from infrafabric.swarm.shapes.session_item import SessionItem
    from infrafabric.swarm.status import SessionStatus

    T = TypeVar("T", bound=BaseModel)


@dataclass(frozen=True)
class SignedMessage:
    """Signed IF.bus message: the draft, and the text that travels."""

    draft: Mapping[str, Any]
    body: str


class Log(Protocol):
    """Structured log: the name of an event and its fields, never content or secrets."""

    def info(self, event: str, **fields: Any) -> None: ...
    def warning(self, event: str, **fields: Any) -> None: ...


class ModelClient(Protocol):
    """Model client with prices."""

    @property
    def model_id(self) -> str: ...
    def ask(self, prompt: Prompt, output: type[T], *, max_tokens: int, timeout_s: float) -> Completion[T]: ...
    def cost_nusd(self, usage: Usage) -> int: ...
    def worst_nusd(self, prompt: Prompt, max_tokens: int) -> int: ...


class RegistrySource(Protocol):
    """Source of a registry that is fresh enough to notice a revoked key."""

    def __call__(self) -> Registry:
        """Return the registry.

        Raises:
            RegistryUnavailableError: the registry cannot be read now.
        """
        ...


class MessageLeases(Protocol):
    """Leases of messages, and the money reserved with them. Errors: infrafabric/swarm/leases.py."""

    def lease(
        self,
        session_id: str,
        message_id: str,
        *,
        reserve_nusd: int,
        budget_nusd: int,
        lease_ms: int,
        token: str,
        sqs_message_id: str,
    ) -> Lease: ...
    def finished_work(self, session_id: str, message_id: str) -> AlreadyDoneError | None: ...
    def finish(self, lease: Lease, result: TaskResult, *, spent_nusd: int) -> None: ...
    def release(self, lease: Lease) -> None: ...


class TaskCallbacks(Protocol):
    """Callbacks on which the coordinator waits for a task. A closed callback is not an error."""

    def succeed(self, callback_id: str, result: Mapping[str, Any]) -> None: ...
    def fail(self, callback_id: str, reason: str, detail: str) -> None: ...
    def send_heartbeat(self, callback_id: str) -> None: ...


class Publisher(Protocol):
    """IF.bus publisher of a principal."""

    def sign(self, draft: Mapping[str, Any]) -> SignedMessage: ...
    def publish(self, message: SignedMessage) -> None: ...
    def record(self, message: SignedMessage) -> None:
        """Send a message to the recorder, if the stack keeps history."""


class AgentQueue(Protocol):
    """SQS queue consumed by the agent."""

    def put_back(self, body: str, put_backs: int, delay_s: int) -> None: ...
    def redeliver_after(self, receipt_handle: str, delay_s: int) -> None: ...


class DeadLetters(Protocol):
    """Dead-letter queue that stores a reason with each message."""

    def dead_letter(self, body: str, reason: str, detail: str) -> None: ...


class ResultObjects(Protocol):
    """Objects written by an agent, and claim-checked contents read by an agent."""

    def put(self, key: str, body: bytes) -> str: ...
    def resolve(self, content: dict[str, Any]) -> dict[str, Any]: ...


class ReportObjects(Protocol):
    """Objects that the coordinator reads and writes."""

    def put(self, key: str, body: bytes) -> str: ...
    def get(self, key: str) -> bytes: ...
    def find_all(self, keys: Sequence[str]) -> Sequence[bytes | None]:
        """Return the objects in the order of ``keys``, None for a missing one."""
        ...


class LostSessionStore(Protocol):
    """What ending a lost session reads and writes."""

    def order(self, session_id: str) -> Order: ...
    def end(self, session_id: str, status: SessionStatus, *, reason: str) -> bool: ...


class CoordinatorStore(LostSessionStore, Protocol):
    """Sessions as the coordinator reads and writes them. Errors: infrafabric/swarm/leases.py."""

    def get(self, session_id: str) -> SessionItem | None: ...
    def begin(self, session_id: str, *, tasks: int, planned: Sequence[str] = ()) -> bool: ...
    def task_texts(self, order: Order) -> list[str]: ...
    def task(self, session_id: str, task_id: str) -> TaskResult | None: ...
    def tasks(self, session_id: str) -> Iterable[TaskResult]: ...
    def record_failed_task(self, session_id: str, result: TaskResult) -> None: ...
    def reserve(self, session_id: str, nusd: int, *, budget_nusd: int) -> None: ...
    def settle(self, session_id: str, *, reserved_nusd: int, spent_nusd: int) -> None: ...


@dataclass(frozen=True, kw_only=True)
class AgentDeps:
    """Side effects of an agent."""

    agent: str  # short name, such as h01
    now_ms: Callable[[], int]
    random_unit: Callable[[], float]  # uniform in [0, 1)
    new_token: Callable[[], str]
    registry: RegistrySource
    leases: MessageLeases
    model: ModelClient
    objects: ResultObjects
    callbacks: TaskCallbacks
    publisher: Publisher
    queue: AgentQueue
    dead_letters: DeadLetters
    run_concurrently: RunConcurrently
    measure: Callable[[Mapping[str, float]], None]
    log: Log
    heartbeat_s: float

    @property
    def principal(self) -> str:
        return agent_uri(self.agent)


@dataclass(frozen=True, kw_only=True)
class CoordinatorDeps:
    """Side effects of the coordinator."""

    now_ms: Callable[[], int]
    store: CoordinatorStore
    model: ModelClient
    publisher: Publisher
    objects: ReportObjects
    warm_model: Callable[[], None]  # starts loading the model's SDK concurrently
    measure: Callable[[Mapping[str, float]], None]
    log: Log
    self_name: str  # function name and version, which child executions invoke
    heartbeat_timeout_s: int
    reassignments: int
    tasks_at_once: int  # tasks that one agent processes concurrently
