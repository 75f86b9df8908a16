"""What an agent does with one message: verify, claim, ask, store, answer. What it does to the world is in AgentDeps."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from infrafabric.bus.envelope import Citation, Envelope, compose, new_message_id
from infrafabric.bus.refusal import Reason, Refused
from infrafabric.bus.registry import Registry
from infrafabric.bus.structure import Performative
from infrafabric.bus.verify import verify
from infrafabric.models import Model, Prompt, errors, prompts
from infrafabric.models.usage import Usage
from infrafabric.resilience import throttle_delay_s
from infrafabric.swarm.session import COORDINATOR, TaskResult, result_key, usd
from infrafabric.swarm.store import (
    AlreadyDoneError,
    BeingWorkedError,
    Claim,
    OverBudgetError,
    SessionOverError,
    SessionStore,
)
from infrafabric.swarm.task import ARCHIVED_MS, BadContentError, Task, record_of

MAX_TOKENS = 4096
BUDGET, THROTTLED, DEADLINE = "budget", "throttled", "deadline"  # reasons that the coordinator acts on
_MARGIN_MS = 5_000  # left of the invocation to store and answer with
_CONTENT_REASON = "bad-content"
POISON, POISON_AT = "poison", 3  # before the queue's own maxReceiveCount (5 or more), which knows no reason


class Callbacks(Protocol):
    """Where the coordinator waits for a task."""

    def succeed(self, callback_id: str, result: Mapping[str, Any]) -> None: ...
    def fail(self, callback_id: str, reason: str, detail: str) -> None: ...
    def beat(self, callback_id: str) -> None: ...


class Log(Protocol):
    """Structured logging: an event's name and its fields, never content or secrets."""

    def info(self, event: str, **fields: Any) -> None: ...
    def warning(self, event: str, **fields: Any) -> None: ...


Letter = Any  # a signed message, as whoever signs it also sends it


@dataclass(frozen=True, kw_only=True)
class AgentDeps:
    """Everything an agent does to the world. Lambda passes AWS, a test passes plain functions."""

    agent: str
    now_ms: Callable[[], int]
    draw: Callable[[], float]
    token: Callable[[], str]  # a new one for each claim
    registry: Callable[[str], Registry]  # one that is fresh enough to know the sender given
    fetch: Callable[[dict[str, Any]], dict[str, Any]]  # a claim-checked content
    store: SessionStore
    model: Model
    put_result: Callable[[str, bytes], str]  # key, bytes → s3:// URI
    callbacks: Callbacks
    sign: Callable[[dict[str, Any]], Letter]  # a draft, as it will travel
    publish: Callable[[Letter], None]  # on the bus
    archive: Callable[[Letter], None]  # to the recorder
    together: Callable[..., None]  # calls what it is given side by side, and returns when all have returned
    put_back: Callable[[str, int, int], None]  # body, throttles so far, delay in seconds
    dead_letter: Callable[[str, str, str], None]  # body, reason, detail
    measure: Callable[[Mapping[str, float]], None]
    log: Log
    heartbeat_s: float

    @property
    def principal(self) -> str:
        return f"if://agent/{self.agent}"


def attend(
    body: str, *, receives: int, carrier: str, throttles: int, left_ms: Callable[[], int], deps: AgentDeps
) -> None:
    """Work one message; one that fails again and again is poison, and goes to the dead-letter queue with its reason.

    Args:
        receives: how often SQS has delivered this message, this time included.

    Raises:
        Exception: whatever :func:`work` met, while another delivery may still help.
    """
    try:
        work(body, carrier=carrier, throttles=throttles, left_ms=left_ms, deps=deps)
    except BeingWorkedError:
        raise
    except Exception as error:
        if receives < POISON_AT:
            raise
        deps.log.warning("message is poison", error=type(error).__name__, receives=receives)
        deps.dead_letter(body, POISON, f"{type(error).__name__} at delivery {receives}")


def work(body: str, *, carrier: str, throttles: int, left_ms: Callable[[], int], deps: AgentDeps) -> None:
    """Work one message of the agent's queue to its end.

    Args:
        carrier: the id of the SQS message that brought it: tells a repeated delivery from a replayed message.
        throttles: how often this message was put back before.
        left_ms: what is left of the invocation.

    Raises:
        BeingWorkedError: another invocation holds the message; it must be delivered again.
        botocore.exceptions.ClientError: AWS refused something; likewise.
    """
    try:
        envelope = _trusted(body, deps)
        task = Task.parse(deps.fetch(envelope.content))
    except Refused as refused:
        deps.log.warning("message refused", reason=refused.reason, detail=refused.detail)
        deps.dead_letter(body, str(refused.reason), refused.detail)
        return
    except BadContentError as error:
        deps.log.warning("message refused", reason=_CONTENT_REASON, detail=str(error))
        deps.dead_letter(body, _CONTENT_REASON, str(error))
        return
    prompt = prompts.agent(agent=deps.agent, session_id=task.session_id, goal=task.goal, task=task.text)
    job = _Job(envelope, task, prompt, body, throttles, left_ms)
    try:
        claim = deps.store.claim(
            task.session_id,
            envelope.message_id,
            reserve_nusd=deps.model.worst_nusd(prompt, MAX_TOKENS),
            budget_nusd=task.budget_nusd,
            lease_ms=max(1, left_ms()),
            token=deps.token(),
            carrier=carrier,
        )
    except AlreadyDoneError as done:
        _repeat(job, done, carrier, deps)
    except SessionOverError as over:
        deps.log.info("message dropped", session_id=task.session_id, task_id=task.task_id, why=str(over))
    except OverBudgetError as error:
        _refuse(job, BUDGET, str(error), deps)
    else:
        _ask(job, claim, deps)


@dataclass(frozen=True)
class _Job:
    envelope: Envelope
    task: Task
    prompt: Prompt
    body: str
    throttles: int
    left_ms: Callable[[], int]

    def time_left_ms(self, now_ms: int) -> int:
        """Until the invocation or the deadline ends, whichever is first."""
        deadline = self.envelope.reply_by
        return min(self.left_ms() - _MARGIN_MS, deadline - now_ms if deadline else 1 << 40)


def _repeat(job: _Job, done: AlreadyDoneError, carrier: str, deps: AgentDeps) -> None:
    """SQS may deliver twice: the same delivery is answered again. Another message with this id was replayed.

    The coordinator hears the answer in both cases, since it may have missed the first; the bus hears no replay.
    """
    if carrier == done.carrier:
        _answer(job, done.result, deps)
        return
    _call_back(job, done.result, "answered before", deps)
    deps.dead_letter(job.body, str(Reason.REPLAYED), f"the work of {job.envelope.message_id} was done before")


def _trusted(body: str, deps: AgentDeps) -> Envelope:
    sender = _claimed_sender(body)
    return verify(body, registry=deps.registry(sender), now_ms=deps.now_ms(), receiver=deps.principal)


def _claimed_sender(body: str) -> str:
    """Only to know whether the registry that we hold is fresh enough; verify() decides."""
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    sender = message.get("sender") if isinstance(message, dict) else None
    return sender if isinstance(sender, str) else ""


def _ask(job: _Job, claim: Claim, deps: AgentDeps) -> None:
    started, timeout_s = deps.now_ms(), job.time_left_ms(deps.now_ms()) / 1000
    try:
        with _alive(job.task.callback_id, deps):
            wanted = prompts.agent_answer()
            answer = deps.model.ask(job.prompt, wanted, max_tokens=MAX_TOKENS, timeout_s=max(0.1, timeout_s))
    except errors.Throttled as pause:
        _put_back(job, claim, pause.retry_after_s, deps)
        return
    except errors.ModelError as error:
        spent = _spent(error, claim, deps)
        reason = DEADLINE if isinstance(error, errors.TimedOut) else error.slug
        _store_failure(job, claim, (reason, str(error)), (spent, error.usage), started, deps)
        return
    cost = deps.model.cost_nusd(answer.usage)
    document = {
        **_about(job, started, deps),
        "status": "DONE",
        "model": answer.model_id,
        "offline": answer.offline,
        "findings": [finding.model_dump() for finding in answer.value.findings],
        "summary": answer.value.summary,
        "tokens": asdict(answer.usage),
        "cost_usd": usd(cost),
    }
    result, stored = _result(job, document, answer.usage, cost, deps)
    letter = _keep(job, result, stored, Performative.INFORM, deps)
    deps.store.finish(claim, result, spent_nusd=cost)
    deps.measure(
        {"ExecutionTime": deps.now_ms() - started, "TokensConsumed": answer.usage.total, "CostUsd": usd(cost),
         "CompletionStatus": 0}
    )  # fmt: skip
    _tell(job, result, letter, "", deps)


def _put_back(job: _Job, claim: Claim, retry_after_s: float, deps: AgentDeps) -> None:
    left_s = ((job.envelope.reply_by or 1 << 52) - deps.now_ms()) / 1000
    delay_s = throttle_delay_s(job.throttles, left_s=left_s, draw=deps.draw(), retry_after_s=retry_after_s)
    if delay_s is None:
        detail = f"throttled {job.throttles + 1} times, and no wait ends before the deadline"
        _store_failure(job, claim, (THROTTLED, detail), (0, None), deps.now_ms(), deps)
        return
    deps.store.release(claim)
    deps.put_back(job.body, job.throttles + 1, delay_s)
    deps.callbacks.beat(job.task.callback_id)  # waiting its turn is not silence
    deps.log.info("task put back", task_id=job.task.task_id, delay_s=delay_s, throttles=job.throttles + 1)


def _store_failure(
    job: _Job, claim: Claim, why: tuple[str, str], spent: tuple[int, Usage | None], started_ms: int, deps: AgentDeps
) -> None:
    """``why`` is reason and detail, ``spent`` nano-USD and tokens."""
    (reason, detail), (spent_nusd, usage) = why, spent
    document = {
        **_about(job, started_ms, deps),
        "status": "FAILED",
        "model": deps.model.model_id,
        "error": {"reason": reason, "detail": detail},
        "cost_usd": usd(spent_nusd),
    }
    result, stored = _result(job, document, usage, spent_nusd, deps, reason=reason)
    letter = _keep(job, result, stored, Performative.FAILURE, deps)
    deps.store.finish(claim, result, spent_nusd=spent_nusd)
    deps.measure({"CompletionStatus": 1, "CostUsd": usd(spent_nusd)})
    _tell(job, result, letter, detail, deps)


def _spent(error: errors.ModelError, claim: Claim, deps: AgentDeps) -> int:
    """What a failed call did cost; when nobody can know, all that was set aside for it."""
    if error.usage is not None:
        return deps.model.cost_nusd(error.usage)
    return claim.reserved_nusd if error.billed is None else 0


def _about(job: _Job, started_ms: int, deps: AgentDeps) -> dict[str, Any]:
    return {
        "schema": "infrafabric.result/1",
        "session_id": job.task.session_id,
        "task_id": job.task.task_id,
        "task": job.task.text,
        "agent": deps.agent,
        "attempt": job.task.attempt,
        "request": job.envelope.message_id,
        "started_ms": started_ms,
        "ended_ms": deps.now_ms(),
    }


def _result(
    job: _Job, document: dict[str, Any], usage: Usage | None, cost: int, deps: AgentDeps, *, reason: str = ""
) -> tuple[TaskResult, bytes]:
    """The result as it travels, and the bytes that its evidence hash stands for."""
    failed = document["status"] != "DONE"
    stored = json.dumps(document, ensure_ascii=False, sort_keys=True).encode()
    result = TaskResult(
        task_id=job.task.task_id,
        agent=deps.agent,
        attempt=job.task.attempt,
        status=document["status"],
        s3_key=result_key(job.task.session_id, deps.agent, job.task.task_id, job.task.attempt, failed=failed),
        evidence_hash=f"sha256:{hashlib.sha256(stored).hexdigest()}",
        tokens_in=usage.prompt if usage else 0,
        tokens_out=usage.output_tokens if usage else 0,
        cost_nusd=cost,
        reason=reason,
    )
    return result, stored


def _keep(job: _Job, result: TaskResult, stored: bytes, performative: Performative, deps: AgentDeps) -> Letter:
    """Store the result, and meanwhile sign what will be said of it."""
    letters: list[Letter] = []
    draft = _draft(job, performative, result, deps)
    deps.together(
        lambda: deps.put_result(result.s3_key, stored),
        lambda: letters.append(deps.sign(draft)),
    )
    return letters[0]


def _tell(job: _Job, result: TaskResult, letter: Letter, detail: str, deps: AgentDeps) -> None:
    """The coordinator, the bus and the archive hear it. Telling them twice does no harm."""
    if result.status != "DONE":
        where = {"session_id": job.task.session_id, "task_id": result.task_id}
        deps.log.warning("task failed", **where, reason=result.reason, detail=detail)
    deps.together(
        lambda: _call_back(job, result, detail, deps), lambda: deps.publish(letter), lambda: deps.archive(letter)
    )


def _answer(job: _Job, result: TaskResult, deps: AgentDeps) -> None:
    """Say again what was said, or should have been, when the work was done."""
    performative = Performative.INFORM if result.status == "DONE" else Performative.FAILURE
    _tell(job, result, deps.sign(_draft(job, performative, result, deps)), "answered again", deps)


def _call_back(job: _Job, result: TaskResult, detail: str, deps: AgentDeps) -> None:
    if result.status == "DONE":
        deps.callbacks.succeed(job.task.callback_id, asdict(result))
    else:
        deps.callbacks.fail(job.task.callback_id, result.reason, detail)


def _refuse(job: _Job, reason: str, detail: str, deps: AgentDeps) -> None:
    """Decline a task that cannot be begun."""
    result = TaskResult(
        task_id=job.task.task_id, agent=deps.agent, attempt=job.task.attempt, status="FAILED", reason=reason
    )
    _tell(job, result, deps.sign(_draft(job, Performative.REFUSE, result, deps)), detail, deps)


def _draft(job: _Job, performative: Performative, result: TaskResult, deps: AgentDeps) -> dict[str, Any]:
    now = deps.now_ms()
    source = Citation(f"if://task/{job.task.session_id}/{result.task_id}", result.evidence_hash or NOTHING)
    return compose(
        performative=performative,
        sender=deps.principal,
        receiver=COORDINATOR,
        conversation_id=job.envelope.conversation_id,
        message_id=new_message_id(),
        timestamp=now,
        content=record_of(job.task.session_id, result, model=deps.model.model_id, at_ms=now),
        citation=source,
        reply_by=now + ARCHIVED_MS,
        in_reply_to=job.envelope.message_id,
    )


NOTHING = f"sha256:{hashlib.sha256(b'').hexdigest()}"  # the evidence of a message that has no object


@contextmanager
def _alive(callback_id: str, deps: AgentDeps) -> Iterator[None]:
    """A heartbeat for as long as the model thinks, so that a long call is not taken for a dead agent."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(deps.heartbeat_s):
            deps.callbacks.beat(callback_id)

    pulse = threading.Thread(target=beat, name="heartbeat", daemon=True)
    pulse.start()
    try:
        yield
    finally:
        over.set()
        pulse.join()
