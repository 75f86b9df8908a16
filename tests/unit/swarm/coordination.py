"""What surrounds a coordinator in its tests: AWS's own in-process runner, and the world as plain values."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, cast

from aws_durable_execution_sdk_python import DurableContext, durable_execution
from aws_durable_execution_sdk_python.lambda_service import ErrorObject
from aws_durable_execution_sdk_python_testing import DurableFunctionTestRunner

from infrafabric.models import Answer, Usage
from infrafabric.models.schemas import Plan, Report
from infrafabric.swarm.coordinator import run
from infrafabric.swarm.ledger import OverBudgetError, SessionOverError
from infrafabric.swarm.report import evidence
from infrafabric.swarm.session import Order, Status, TaskResult, report_key, result_key
from infrafabric.swarm.world import CoordinatorDeps
from tests.unit.swarm.test_session import an_order

NOW = 1_000_000
COST = 7
Agent = Callable[["World", dict[str, Any]], None]  # what becomes of a request's content


@dataclass
class World:
    """The agents, the table, the bucket and the model, as plain values."""

    agents: Agent
    now_ms: int = NOW
    status: str = "PENDING"
    reason: str = ""
    plans: list[Any] = field(default_factory=lambda: [["one", "two"]])  # answers, or errors to raise
    summaries: list[Any] = field(default_factory=lambda: ["all is known"])
    rows: dict[str, TaskResult] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    published: list[dict[str, Any]] = field(default_factory=list)
    archived: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    prepared: list[int] = field(default_factory=list)  # in which invocations the model was made ready
    late: list[dict[str, Any]] = field(default_factory=list)
    committed: int = 0
    planned: list[str] = field(default_factory=list)
    total: int = 0  # tasks that a coordinator planned, before it was lost
    invocations: int = 0
    heartbeat_timeout_s: int = 60
    runner: Any = None

    # the table

    def begin(self, session_id: str, *, tasks: int, planned: Sequence[str] = ()) -> bool:
        if Status(self.status).final:
            return False
        self.status, self.planned = "RUNNING", list(planned)
        return True

    def texts(self, order: Order) -> list[str]:
        return list(order.tasks) or self.planned

    def end(self, session_id: str, status: Status, *, reason: str) -> bool:
        if Status(self.status).final:
            return False
        self.status, self.reason = str(status), reason
        return True

    def get(self, session_id: str) -> dict[str, Any]:
        return {
            "pk": session_id, "status": self.status, "reason": self.reason, "spent": self.committed,
            "deadline_ms": an_order().deadline_ms, "tasks_done": len(self.rows), "tasks_total": self.total,
            "quorum": "1",
        }  # fmt: skip

    def task(self, session_id: str, task_id: str) -> TaskResult | None:
        return self.rows.get(task_id)

    def tasks(self, session_id: str) -> list[TaskResult]:
        return [self.rows[name] for name in sorted(self.rows)]

    def task_failed(self, session_id: str, result: TaskResult) -> None:
        self.rows.setdefault(result.task_id, result)

    def reserve(self, session_id: str, nusd: int, *, budget_nusd: int) -> None:
        if Status(self.status).final:
            raise SessionOverError("over")
        if self.committed + nusd > budget_nusd:
            raise OverBudgetError("too dear")
        self.committed += nusd

    def settle(self, session_id: str, *, reserved_nusd: int, spent_nusd: int) -> None:
        self.committed += spent_nusd - reserved_nusd

    # the model

    model_id = "test-model"

    def worst_nusd(self, prompt: Any, max_tokens: int) -> int:
        return 100

    def cost_nusd(self, usage: Usage) -> int:
        return COST

    def ask(self, prompt: Any, output: Any, *, max_tokens: int, timeout_s: float) -> Answer[Any]:
        self.asked.append(prompt.name)
        said = (self.plans if output is Plan else self.summaries).pop(0)
        if isinstance(said, Exception):
            raise said
        value = Plan(tasks=said) if output is Plan else Report(summary=said)
        return Answer(value=value, usage=Usage(input_tokens=1, output_tokens=1), model_id="test-model", offline=False)

    # the bus

    def publish(self, draft: dict[str, Any]) -> None:
        self.published.append(draft)
        self.agents(self, draft["content"])

    def given(self) -> list[tuple[str, str]]:
        """Which task was given to which agent, in turn."""
        return [(draft["content"]["task_id"], draft["receiver"][-3:]) for draft in self.published]

    def done(self, content: dict[str, Any]) -> TaskResult:
        """An agent does the task: its row and its object are there."""
        name = content["task_id"]
        stored = json.dumps({"findings": [{"text": name, "confidence": 0.5, "sources": []}]}).encode()
        key, attempt = result_key("s1", "h01", name, content["attempt"]), content["attempt"]
        result = TaskResult(
            task_id=name, agent="h01", attempt=attempt, status="DONE", s3_key=key, evidence_hash=evidence(stored)
        )
        self.rows[name] = result
        self.objects[key] = stored
        return result

    def report(self) -> dict[str, Any]:
        return json.loads(self.objects[report_key("s1")])

    def deps(self, reassignments: int) -> CoordinatorDeps:
        return CoordinatorDeps(
            now_ms=lambda: self.now_ms,
            store=cast(Any, self),
            model=cast(Any, self),
            publish=self.publish,
            archive=lambda draft: self.archived.append(draft["content"]),
            put=lambda key, body: self.objects.update({key: body}) or key,
            get=self.objects.__getitem__,
            find_all=lambda keys: [self.objects.get(key) for key in keys],
            prepare=lambda: self.prepared.append(self.invocations),
            log=cast(Any, _Log()),
            self_name="coordinator:1",
            heartbeat_timeout_s=self.heartbeat_timeout_s,
            reassignments=reassignments,
            at_once=10,
        )

    def run(self, order: Order, *, reassignments: int = 2, **also: Any) -> dict[str, Any]:
        deps = self.deps(reassignments)

        @durable_execution
        def handler(event: dict[str, Any], context: DurableContext) -> dict[str, Any]:
            self.invocations += 1
            return run(event, context, deps)

        with DurableFunctionTestRunner(handler=handler, poll_interval=0.01) as runner:
            runner.register_durable_function("coordinator:1", handler)
            self.runner = runner
            ended = runner.run(input=json.dumps({**order.as_event(), **also}), execution_timeout=20)
        assert ended.result, ended.error
        return json.loads(str(ended.result))


class _Log:
    def info(self, event: str, **fields: Any) -> None: ...

    warning = info


def does(world: World, content: dict[str, Any]) -> None:
    result = world.done(content)
    world.runner.send_callback_success(content["callback_id"], json.dumps(asdict(result)).encode())


def fails(reason: str) -> Agent:
    def answer(world: World, content: dict[str, Any]) -> None:
        world.runner.send_callback_failure(content["callback_id"], ErrorObject(reason, reason, "detail", None))

    return answer


def silent(world: World, content: dict[str, Any]) -> None:
    """An agent that is never heard of again."""


def by_task(**agents: Agent) -> Agent:
    """One agent's conduct for each task, and :func:`does` for the others."""
    return lambda world, content: agents.get(content["task_id"], does)(world, content)


def at_first(first: Agent, then: Agent = does) -> Agent:
    """One conduct at a task's first attempt, another after it."""
    return lambda world, content: (then if content["attempt"] else first)(world, content)
