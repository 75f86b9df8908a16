"""Fakes around a coordinator: AWS's own in-process runner, and table, bucket, model and bus as plain values.

Keys, signatures and verification are real: an agent of a test answers with a message that its own key has signed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from aws_durable_execution_sdk_python import DurableContext, durable_execution
from aws_durable_execution_sdk_python_testing import DurableFunctionTestRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from infrafabric.aws_adapters.dynamodb_table import encoded, plain
from infrafabric.aws_adapters.publisher import record_body
from infrafabric.bus.envelope import Citation, compose, sign, signed_form
from infrafabric.bus.pem import PemSigner
from infrafabric.bus.registry import Registry
from infrafabric.bus.signing import KMS_RAW_BYTES
from infrafabric.bus.structure import Performative
from infrafabric.bus.uris import COORDINATOR, agent_uri, conversation_uri, new_message_id, task_uri
from infrafabric.models import Completion, Prompt, Usage
from infrafabric.models.schemas import ReportSummary, TaskPlan
from infrafabric.money import usd
from infrafabric.swarm.allowances import Allowances
from infrafabric.swarm.coordinator import SessionExecution
from infrafabric.swarm.deps import CoordinatorDeps, HistoryRecord, SignedMessage
from infrafabric.swarm.evidence import evidence_hash
from infrafabric.swarm.limits import MAX_TOKENS
from infrafabric.swarm.object_keys import report_key
from infrafabric.swarm.progress import ProgressClock
from infrafabric.swarm.result_document import SCHEMA, stored_bytes
from infrafabric.swarm.session_key import SessionKey
from infrafabric.swarm.shapes.attempt import Attempt
from infrafabric.swarm.shapes.coordinator_event import CoordinatorEvent, ExecutionMode
from infrafabric.swarm.shapes.model_call import ModelCall
from infrafabric.swarm.shapes.order import Order
from infrafabric.swarm.shapes.records import RECORD_LIFETIME_MS, TaskRecord
from infrafabric.swarm.shapes.result import TaskResult
from infrafabric.swarm.shapes.round import RoundPart
from infrafabric.swarm.shapes.session_item import Progress, SessionItem
from infrafabric.swarm.status import SessionStatus, TaskStatus
from tests.unit.swarm.orders import KEY, an_order

NOW = 1_000_000
COST = 7  # of each call, in nano-USD
WORST = 100  # of a call with the longest answer
Agent = Callable[["World", "Asked"], None]  # conduct of an agent that received a request


@cache
def signer(principal: str) -> PemSigner:
    """Return the signer of a principal, with a key of its own."""
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return PemSigner(pem, principal=principal)


REGISTRY = Registry({agent_uri(f"h{n:02}"): signer(agent_uri(f"h{n:02}")).public_key for n in range(1, 10)})


@dataclass(frozen=True)
class Asked:
    """Request that an agent received."""

    draft: Mapping[str, Any]

    @classmethod
    def of(cls, attempt: Attempt) -> Asked:
        """Return the request of an attempt, as far as an agent looks at it."""
        ids = {"task_id": attempt.task_id, "attempt": attempt.number, "place": attempt.place(KEY)}
        receiver = agent_uri(attempt.agent)
        return cls({"content": {**KEY._asdict(), **ids}, "receiver": receiver, "message_id": attempt.message_id})

    @property
    def content(self) -> Mapping[str, Any]:
        return self.draft["content"]

    @property
    def agent(self) -> str:
        return self.draft["receiver"].rsplit("/", 1)[-1]

    def document(self, **changes: Any) -> dict[str, Any]:
        """Return the document of the done task, with these members changed."""
        content = self.content
        finding = {"text": content["task_id"], "confidence": 0.5, "sources": []}
        return {
            "schema": SCHEMA,
            **{name: content[name] for name in ("session_id", "home", "epoch", "task_id", "attempt")},
            "agent": self.agent,
            "request": self.draft["message_id"],
            "status": "DONE",
            "model": "test-model",
            "findings": [finding],
            "cost_usd": usd(COST),
            "tokens": {"input": 1, "output": 1},
            **changes,
        }

    def result(self, stored: bytes, **changes: Any) -> TaskResult:
        """Return the result that a stored document proves, with these members changed."""
        members = {
            "task_id": self.content["task_id"],
            "agent": self.agent,
            "attempt": self.content["attempt"],
            "status": TaskStatus.DONE,
            "s3_key": self.content["place"],
            "evidence_hash": evidence_hash(stored),
            "size_bytes": len(stored),
            "cost_nusd": COST,
        }
        return TaskResult(**{**members, **changes})

    def answer(
        self,
        performative: Performative,
        result: TaskResult,
        *,
        model: str = "test-model",
        without: Collection[str] = (),
    ) -> str:
        """Return the agent's signed answer, without some members."""
        record = TaskRecord.of(KEY, result, model=model, at_ms=NOW).write()
        principal = agent_uri(self.agent)
        draft = compose(
            performative=performative,
            sender=principal,
            receiver=COORDINATOR,
            conversation_id=conversation_uri("s1"),
            message_id=new_message_id(),
            timestamp=NOW,
            content={name: value for name, value in record.items() if name not in without},
            citation=Citation(task_uri("s1", result.task_id), result.evidence_hash or evidence_hash(b"")),
            reply_by=NOW + RECORD_LIFETIME_MS,
            in_reply_to=self.draft["message_id"],
        )
        return sign(draft, signer(principal)).decode()


@dataclass
class World:
    """State of the fakes, and what the coordinator did."""

    agents: Agent
    now_ms: int = NOW
    status: str = "PENDING"
    reason: str = ""
    cancelled_ms: int | None = None
    plans: list[Any] = field(default_factory=lambda: [["one", "two"]])  # plans, or errors to raise
    summaries: list[Any] = field(default_factory=lambda: ["all is known"])
    breakers_open: list[Any] = field(default_factory=list)  # numbers of open breakers, or errors to raise
    looks: list[list[str]] = field(default_factory=list)  # agents whose breakers were looked at
    dead_parts: list[tuple[int, int]] = field(default_factory=list)  # parts of rounds whose executions die
    parts: dict[tuple[int, int], RoundPart] = field(default_factory=dict)
    calls: dict[tuple[str, int], ModelCall] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    published: list[Mapping[str, Any]] = field(default_factory=list)  # drafts of requests
    taken_back: list[Mapping[str, Any]] = field(default_factory=list)  # drafts of cancels
    records: list[dict[str, Any]] = field(default_factory=list)  # contents of records of sessions
    rows: list[dict[str, Any]] = field(default_factory=list)  # of records of attempts
    answers: list[str] = field(default_factory=list)  # that went to the recorder
    prompts: list[str] = field(default_factory=list)  # names of the prompts that the model received
    lengths: list[int] = field(default_factory=list)  # max_tokens of these calls
    timeouts: list[float] = field(default_factory=list)  # of these calls, in seconds
    measured: list[dict[str, float]] = field(default_factory=list)
    warmed: list[int] = field(default_factory=list)  # invocations in which the model was warmed
    progress: list[tuple[int, int, int]] = field(default_factory=list)
    numbers: dict[str, Any] = field(default_factory=dict)  # of the session's item
    planned: list[str] = field(default_factory=list)
    invocations: int = 0
    heartbeat_timeout_s: int = 60
    runner: Any = None

    def open(self, agents: Sequence[str]) -> int:
        """Return how many agents have an open breaker, as ``breakers_open`` says one look after the other."""
        self.looks.append(list(agents))
        found = self.breakers_open.pop(0) if self.breakers_open else 0
        if isinstance(found, Exception):
            raise found
        return found

    def ask(self, prompt: Prompt, output: Any) -> Any:
        self.prompts.append(prompt.name)
        answer = (self.plans if output is TaskPlan else self.summaries).pop(0)
        if isinstance(answer, Exception):
            raise answer
        return TaskPlan(tasks=answer) if output is TaskPlan else ReportSummary(summary=answer)

    def assignments(self) -> list[tuple[str, str]]:
        """Return task and agent per request, in order."""
        return [(draft["content"]["task_id"], draft["receiver"][-3:]) for draft in self.published]

    def done(self, asked: Asked, **changes: Any) -> TaskResult:
        """Do a task: store its document in the attempt's place."""
        stored = stored_bytes(asked.document(**changes))
        self.objects.setdefault(asked.content["place"], stored)
        return asked.result(stored)

    def complete(self, asked: Asked, payload: str) -> None:
        """Complete a request's callback."""
        self.runner.send_callback_success(asked.content["callback_id"], payload.encode())

    def report(self) -> dict[str, Any]:
        return json.loads(self.objects[report_key(KEY)])

    def results(self) -> list[TaskResult]:
        """Return the believed results of all attempts, in order."""
        return [result for _, part in sorted(self.parts.items()) for result in part.results]

    def item(self) -> SessionItem:
        order = an_order()
        return SessionItem(
            **KEY._asdict(),
            owner=order.owner,
            created_ms=order.created_ms,
            deadline_ms=order.deadline_ms,
            status=SessionStatus(self.status),
            reason=self.reason,
            cancelled_ms=self.cancelled_ms,
            cancel_reason="" if self.cancelled_ms is None else "cancelled by a client",
            budget_nusd=order.budget_nusd,
            **self.numbers,
        )

    def rounds(self) -> list[RoundPart]:
        return [self.parts[place] for place in sorted(self.parts)]

    def end(self, session: SessionItem) -> bool:
        if SessionStatus(self.status).final:
            return False
        self.status, self.reason = str(session.status), session.reason
        names = ("spent_nusd", "committed_nusd", "tasks_done", "tasks_failed")
        self.numbers = {name: getattr(session, name) for name in names}
        return True

    def deps(self, reassignments: int) -> CoordinatorDeps:
        return CoordinatorDeps(
            now_ms=lambda: self.now_ms,
            new_secret=lambda: "secret",
            random_unit=lambda: 0.0,
            store=_Store(self),
            registry=lambda: REGISTRY,
            model=_Model(self),
            allowances=Allowances(_Prices()),
            publisher=_Publisher(self),
            breakers=self,
            objects=_Objects(self),
            progress=ProgressClock(lambda: self.now_ms),
            warm_model=lambda: self.warmed.append(self.invocations),
            measure=lambda values, **_: self.measured.append(dict(values)),
            log=_Log(),
            self_name="coordinator:1",
            heartbeat_timeout_s=self.heartbeat_timeout_s,
            reassignments=reassignments,
            tasks_at_once=10,
            max_tokens=MAX_TOKENS,
            agent_max_tokens=MAX_TOKENS,
        )

    def run(self, order: Order, *, reassignments: int = 2, mode: ExecutionMode = ExecutionMode.START) -> dict[str, Any]:
        deps = self.deps(reassignments)

        @durable_execution
        def handler(event: dict[str, Any], context: DurableContext) -> dict[str, Any]:
            self.invocations += 1
            part = event.get("round", {})
            if (part.get("number"), part.get("part")) in self.dead_parts:
                raise RuntimeError("the execution died")
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

    def order(self, key: SessionKey) -> Order:
        return an_order()

    def begin(self, key: SessionKey, *, tasks: int, planned: Sequence[str] = ()) -> bool:
        if not self._goes_on():
            return False
        self.world.status, self.world.planned = "RUNNING", list(planned) or self.world.planned
        return True

    def task_texts(self, order: Order) -> list[str]:
        return list(order.tasks) or self.world.planned

    def advance(self, key: SessionKey, number: int, *, spent: int, committed: int, done: int, failed: int) -> bool:
        self.world.numbers = {
            "spent_nusd": spent,
            "committed_nusd": committed,
            "tasks_done": done,
            "tasks_failed": failed,
        }
        return self._goes_on()

    def note_progress(self, key: SessionKey, number: int, part: int, progress: Progress) -> None:
        self.world.progress.append((part, progress.done, progress.spent_nusd))

    def end(self, session: SessionItem) -> bool:
        return self.world.end(session)

    def get(self, key: SessionKey) -> SessionItem:
        return self.world.item()

    def put_round(self, key: SessionKey, part: RoundPart) -> None:
        item = plain(encoded(part.as_item(key, now_ms=self.world.now_ms)))  # raises for what DynamoDB does not hold
        self.world.parts[part.number, part.part] = RoundPart.read(item)

    def rounds(self, key: SessionKey) -> list[RoundPart]:
        return self.world.rounds()

    def put_call(self, key: SessionKey, call: ModelCall) -> None:
        self.world.calls[call.name, call.number] = call

    def calls(self, key: SessionKey, name: str) -> list[ModelCall]:
        return [call for (of, _), call in sorted(self.world.calls.items()) if of == name]

    def _goes_on(self) -> bool:
        return not SessionStatus(self.world.status).final and self.world.cancelled_ms is None


class _Prices:
    def cost_nusd(self, usage: Usage) -> int:
        return COST

    def worst_nusd(self, prompt: Prompt, max_tokens: int) -> int:
        return -(-max_tokens * WORST // MAX_TOKENS)

    def affordable_tokens(self, prompt: Prompt, nusd: int) -> int:
        return max(0, nusd) * MAX_TOKENS // WORST


@dataclass
class _Model(_Prices):
    world: World
    model_id: str = "test-model"

    def ask(self, prompt: Prompt, output: type[Any], *, max_tokens: int, timeout_s: float) -> Completion[Any]:
        self.world.lengths.append(max_tokens)
        self.world.timeouts.append(timeout_s)
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

    def send(self, drafts: Sequence[Mapping[str, Any]]) -> list[Exception | None]:
        return [self._sent(draft) for draft in drafts]

    def _sent(self, draft: Mapping[str, Any]) -> Exception | None:
        if draft["performative"] == Performative.CANCEL:
            self.world.taken_back.append(draft)
            return None
        self.world.published.append(draft)
        try:
            self.world.agents(self.world, Asked(draft))
        except Exception as error:  # noqa: BLE001  as the publisher tells it
            return error
        return None

    def record(self, records: Sequence[HistoryRecord]) -> None:
        for record in records:
            content = record.record.draft["content"]
            assert len(signed_form(dict(record.record.draft))) <= KMS_RAW_BYTES, "the recorder reads no claim checks"
            assert len(record_body(record).encode()) < 256 * 1024 - KMS_RAW_BYTES, "a message of SQS, with its record"
            if content["kind"] == "session":
                self.world.records.append(content)
            else:
                rows, *answers = record.beside
                assert record.record.draft["citation"]["evidence_hash"] == evidence_hash(rows.encode())
                self.world.rows += json.loads(rows)["attempts"]
                self.world.answers += answers


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


def does(world: World, asked: Asked) -> None:
    """Do the task and answer."""
    world.complete(asked, asked.answer(Performative.INFORM, world.done(asked)))


def fails(reason: str, *, cost: int = COST) -> Agent:
    """Return an agent that fails every task for this reason, with a stored document."""

    def answer(world: World, asked: Asked) -> None:
        members = {"status": "FAILED", "error": {"reason": reason, "detail": "detail"}, "cost_usd": usd(cost)}
        result = world.done(asked, **members)
        failed = result.model_copy(update={"status": TaskStatus.FAILED, "reason": reason, "cost_nusd": cost})
        world.complete(asked, asked.answer(Performative.FAILURE, failed))

    return answer


def refuses(reason: str, **claims: Any) -> Agent:
    """Return an agent that answers every task with a refusal, without a document, and claims these members."""

    def answer(world: World, asked: Asked) -> None:
        nothing = {"s3_key": "", "evidence_hash": "", "size_bytes": 0, "cost_nusd": 0}
        result = asked.result(b"", status=TaskStatus.FAILED, reason=reason, **{**nothing, **claims})
        world.complete(asked, asked.answer(Performative.REFUSE, result))

    return answer


def silent(world: World, asked: Asked) -> None:
    """Do nothing: an agent that died."""


def by_task(**agents: Agent) -> Agent:
    """Return an agent with its own conduct per task, and :func:`does` for the others."""
    return lambda world, asked: agents.get(asked.content["task_id"], does)(world, asked)


def at_first(first: Agent, then: Agent = does) -> Agent:
    """Return an agent with one conduct at a task's first attempt and another one after that."""
    return lambda world, asked: (then if asked.content["attempt"] else first)(world, asked)
