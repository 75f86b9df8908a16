"""Fakes around a coordinator: AWS's own in-process runner, and table, bucket, model and bus as plain values."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aws_durable_execution_sdk_python import DurableContext, durable_execution
from aws_durable_execution_sdk_python.lambda_service import ErrorObject
from aws_durable_execution_sdk_python_testing import DurableFunctionTestRunner

from infrafabric.models import Completion, Prompt, Usage
from infrafabric.models.schemas import ReportSummary, TaskPlan
from infrafabric.swarm.coordinator import SessionExecution
from infrafabric.swarm.deps import CoordinatorDeps, SignedMessage
from infrafabric.swarm.evidence import evidence_hash
from infrafabric.swarm.leases import OverBudgetError, SessionOverError
from infrafabric.swarm.object_keys import report_key, result_key
from infrafabric.swarm.shapes.coordinator_event import CoordinatorEvent, ExecutionMode
from infrafabric.swarm.shapes.order import Order
from infrafabric.swarm.shapes.result import TaskResult
from infrafabric.swarm.shapes.session_item import SessionItem
from infrafabric.swarm.status import SessionStatus, TaskStatus
from tests.unit.swarm.orders import an_order

NOW = 1_000_000
COST = 7
Agent = Callable[["World", dict[str, Any]], None]  # conduct of an agent, given a request's content


@dataclass
class World:
    """State of the fakes, and what the coordinator did."""

    agents: Agent
    now_ms: int = NOW
    status: str = "PENDING"
    reason: str = ""
    plans: list[Any] = field(default_factory=lambda: [["one", "two"]])  # plans, or errors to raise
    summaries: list[Any] = field(default_factory=lambda: ["all is known"])
    rows: dict[str, TaskResult] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    published: list[Mapping[str, Any]] = field(default_factory=list)  # drafts
    records: list[dict[str, Any]] = field(default_factory=list)  # contents
    prompts: list[str] = field(default_factory=list)  # names of the prompts that the model received
    measured: list[dict[str, float]] = field(default_factory=list)
    warmed: list[int] = field(default_factory=list)  # invocations in which the model was warmed
    late: list[dict[str, Any]] = field(default_factory=list)
    committed: int = 0
    planned: list[str] = field(default_factory=list)
    total: int = 0  # tasks that an earlier coordinator planned before it was lost
    invocations: int = 0
    heartbeat_timeout_s: int = 60
    runner: Any = None

    def end(self, status: SessionStatus, reason: str) -> bool:
        if SessionStatus(self.status).final:
            return False
        self.status, self.reason = str(status), reason
        return True

    def tasks(self) -> list[TaskResult]:
        return [self.rows[name] for name in sorted(self.rows)]

    def ask(self, prompt: Prompt, output: Any) -> Any:
        self.prompts.append(prompt.name)
        answer = (self.plans if output is TaskPlan else self.summaries).pop(0)
        if isinstance(answer, Exception):
            raise answer
        return TaskPlan(tasks=answer) if output is TaskPlan else ReportSummary(summary=answer)

    def assignments(self) -> list[tuple[str, str]]:
        """Return task and agent per request, in order."""
        return [(draft["content"]["task_id"], draft["receiver"][-3:]) for draft in self.published]

    def done(self, content: dict[str, Any]) -> TaskResult:
        """Do a task: store its row and its object."""
        name = content["task_id"]
        stored = json.dumps({"findings": [{"text": name, "confidence": 0.5, "sources": []}]}).encode()
        key, attempt = result_key("s1", "h01", name, content["attempt"]), content["attempt"]
        result = TaskResult(
            task_id=name,
            agent="h01",
            attempt=attempt,
            status=TaskStatus.DONE,
            s3_key=key,
            evidence_hash=evidence_hash(stored),
        )
        self.rows[name] = result
        self.objects[key] = stored
        return result

    def report(self) -> dict[str, Any]:
        return json.loads(self.objects[report_key("s1")])

    def deps(self, reassignments: int) -> CoordinatorDeps:
        return CoordinatorDeps(
            now_ms=lambda: self.now_ms,
            store=_Store(self),
            model=_Model(self),
            publisher=_Publisher(self),
            objects=_Objects(self),
            warm_model=lambda: self.warmed.append(self.invocations),
            measure=lambda values: self.measured.append(dict(values)),
            log=_Log(),
            self_name="coordinator:1",
            heartbeat_timeout_s=self.heartbeat_timeout_s,
            reassignments=reassignments,
            tasks_at_once=10,
        )

    def run(self, order: Order, *, reassignments: int = 2, mode: ExecutionMode = ExecutionMode.START) -> dict[str, Any]:
        deps = self.deps(reassignments)

        @durable_execution
        def handler(event: dict[str, Any], context: DurableContext) -> dict[str, Any]:
            self.invocations += 1
            return SessionExecution(event, context, deps).run()

        with DurableFunctionTestRunner(handler=handler, poll_interval=0.01) as runner:
            runner.register_durable_function("coordinator:1", handler)
            self.runner = runner
            event = CoordinatorEvent(order=order, mode=mode).as_event()
            execution = runner.run(input=json.dumps(event), execution_timeout=20)
        assert execution.result, execution.error
        return json.loads(str(execution.result))


@dataclass
class _Store:
    """Sessions table."""

    world: World

    def order(self, session_id: str) -> Order:
        return an_order(session_id=session_id)

    def begin(self, session_id: str, *, tasks: int, planned: Sequence[str] = ()) -> bool:
        if SessionStatus(self.world.status).final:
            return False
        self.world.status, self.world.planned = "RUNNING", list(planned)
        return True

    def task_texts(self, order: Order) -> list[str]:
        return list(order.tasks) or self.world.planned

    def end(self, session_id: str, status: SessionStatus, *, reason: str) -> bool:
        return self.world.end(status, reason)

    def get(self, session_id: str) -> SessionItem:
        order, world = an_order(), self.world
        return SessionItem(
            session_id=session_id,
            created_ms=order.created_ms,
            deadline_ms=order.deadline_ms,
            status=SessionStatus(world.status),
            reason=world.reason,
            budget_nusd=order.budget_nusd,
            spent_nusd=world.committed,
            tasks_done=len(world.rows),
            tasks_total=world.total,
        )

    def task(self, session_id: str, task_id: str) -> TaskResult | None:
        return self.world.rows.get(task_id)

    def tasks(self, session_id: str) -> list[TaskResult]:
        return self.world.tasks()

    def record_failed_task(self, session_id: str, result: TaskResult) -> None:
        self.world.rows.setdefault(result.task_id, result)

    def reserve(self, session_id: str, nusd: int, *, budget_nusd: int) -> None:
        if SessionStatus(self.world.status).final:
            raise SessionOverError("over")
        if self.world.committed + nusd > budget_nusd:
            raise OverBudgetError("too dear")
        self.world.committed += nusd

    def settle(self, session_id: str, *, reserved_nusd: int, spent_nusd: int) -> None:
        self.world.committed += spent_nusd - reserved_nusd


@dataclass
class _Model:
    world: World
    model_id: str = "test-model"

    def worst_nusd(self, prompt: Prompt, max_tokens: int) -> int:
        return 100

    def cost_nusd(self, usage: Usage) -> int:
        return COST

    def ask(self, prompt: Prompt, output: type[Any], *, max_tokens: int, timeout_s: float) -> Completion[Any]:
        value = self.world.ask(prompt, output)
        return Completion(
            value=value, usage=Usage(input_tokens=1, output_tokens=1), model_id="test-model", offline=False
        )


@dataclass
class _Publisher:
    """Bus on which the agents act at once."""

    world: World

    def sign(self, draft: Mapping[str, Any]) -> SignedMessage:
        return SignedMessage(draft=draft, body="")

    def publish(self, message: SignedMessage) -> None:
        self.world.published.append(message.draft)
        self.world.agents(self.world, message.draft["content"])

    def record(self, message: SignedMessage) -> None:
        self.world.records.append(message.draft["content"])


@dataclass
class _Objects:
    """Results bucket."""

    world: World

    def put(self, key: str, body: bytes) -> str:
        self.world.objects[key] = body
        return key

    def get(self, key: str) -> bytes:
        return self.world.objects[key]

    def find_all(self, keys: Sequence[str]) -> list[bytes | None]:
        return [self.world.objects.get(key) for key in keys]


class _Log:
    def info(self, event: str, **fields: Any) -> None: ...

    def warning(self, event: str, **fields: Any) -> None: ...


def does(world: World, content: dict[str, Any]) -> None:
    """Do the task and answer."""
    result = world.done(content)
    world.runner.send_callback_success(content["callback_id"], json.dumps(result.write()).encode())


def fails(reason: str) -> Agent:
    """Return an agent that fails every task for this reason."""

    def answer(world: World, content: dict[str, Any]) -> None:
        world.runner.send_callback_failure(content["callback_id"], ErrorObject(reason, reason, "detail", None))

    return answer


def silent(world: World, content: dict[str, Any]) -> None:
    """Do nothing: an agent that died."""


def by_task(**agents: Agent) -> Agent:
    """Return an agent with its own conduct per task, and :func:`does` for the others."""
    return lambda world, content: agents.get(content["task_id"], does)(world, content)


def at_first(first: Agent, then: Agent = does) -> Agent:
    """Return an agent with one conduct at a task's first attempt and another one after that."""
    return lambda world, content: (then if content["attempt"] else first)(world, content)
