"""What an agent does with one message: verify, claim, ask, store, answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict

from infrafabric.bus.envelope import Envelope, parse
from infrafabric.bus.refusal import Reason, Refused
from infrafabric.bus.structure import Performative
from infrafabric.bus.verify import verify
from infrafabric.models import errors, prompts
from infrafabric.resilience import Patience, call_left_s, redelivery_s, throttle_delay_s
from infrafabric.swarm.answer import Job, Outcome, about, call_back, decline, repeat, settle
from infrafabric.swarm.ledger import AlreadyDoneError, BeingWorkedError, Claim, OverBudgetError, SessionOverError
from infrafabric.swarm.session import COORDINATOR, usd
from infrafabric.swarm.task import BUDGET, CANCELLED, DEADLINE, THROTTLED, BadRequestError, Task, claimed
from infrafabric.swarm.world import AgentDeps

MAX_TOKENS = 4096
POISON, POISON_AT = "poison", 3  # before the queue's own maxReceiveCount (5 or more), which knows no reason
NOT_THE_COORDINATOR, NOT_A_REQUEST = "not-the-coordinator", "not-a-request"
_LATE_MS = 1_000  # a call that ends so close before the deadline was ended by it
_FOREVER_MS = 1 << 52


def attend(
    body: str,
    *,
    receives: int,
    carrier: str,
    receipt: str,
    throttles: int,
    left_ms: Callable[[], int],
    deps: AgentDeps,
) -> None:
    """Work one message; one that fails again and again is poison, and goes to the dead-letter queue with its reason.

    Args:
        receives: how often SQS has delivered this message, this time included.
        receipt: of this delivery, for SQS.

    Raises:
        Exception: whatever :func:`work` met, while another delivery may still help.
    """
    try:
        work(body, carrier=carrier, throttles=throttles, left_ms=left_ms, deps=deps)
    except BeingWorkedError as held:
        _hasten(receipt, max(0, held.until_ms - deps.now_ms()) // 1000 + 1, deps)
        raise
    except Exception as error:
        if receives < POISON_AT:
            _hasten(receipt, redelivery_s(receives, draw=deps.draw()), deps)
            raise
        deps.log.warning("message is poison", error=type(error).__name__, receives=receives)
        deps.dead_letter(body, POISON, f"{type(error).__name__} at delivery {receives}")


def _hasten(receipt: str, delay_s: int, deps: AgentDeps) -> None:
    try:
        deps.hasten(receipt, delay_s)
    except Exception as error:  # noqa: BLE001  it comes all the same, when the queue's own time-out ends
        deps.log.warning("message comes back late", error=type(error).__name__)


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
        job = _job(body, throttles, left_ms, deps.now_ms(), deps)
    except (Refused, BadRequestError) as refused:
        if refused.reason is Reason.STALE and _repeated_late(body, carrier, throttles, left_ms, deps):
            return
        deps.log.warning("message refused", reason=str(refused.reason), detail=refused.detail)
        deps.dead_letter(body, str(refused.reason), refused.detail)
        return
    task = job.task
    try:
        claim = deps.store.claim(
            task.session_id,
            job.envelope.message_id,
            reserve_nusd=deps.model.worst_nusd(job.prompt, MAX_TOKENS),
            budget_nusd=task.budget_nusd,
            lease_ms=max(1, left_ms()),
            token=deps.token(),
            carrier=carrier,
        )
    except AlreadyDoneError as done:
        _repeat(job, done, carrier, deps)
    except SessionOverError as over:
        deps.log.info("message dropped", session_id=task.session_id, task_id=task.task_id, why=str(over))
        deps.callbacks.fail(task.callback_id, CANCELLED, str(over))  # should somebody still wait
    except OverBudgetError as error:
        delay_s = _delay_s(job, 0, deps) if error.later else None
        if delay_s is None:
            decline(job, BUDGET, str(error), deps)
        else:
            _put_back(job, delay_s, BUDGET, deps)
    else:
        _ask(job, claim, deps)


def _job(body: str, throttles: int, left_ms: Callable[[], int], now_ms: int, deps: AgentDeps) -> Job:
    envelope = _trusted(body, now_ms, deps)
    task = Task.parse(deps.fetch(envelope.content))
    prompt = prompts.agent(agent=deps.agent, session_id=task.session_id, goal=task.goal, task=task.text)
    return Job(envelope, task, prompt, body, throttles, left_ms)


def _trusted(body: str, now_ms: int, deps: AgentDeps) -> Envelope:
    """The message, when it is a request of the coordinator's: others may sign, but may not order work."""
    registry = deps.registry(*claimed(body))
    envelope = verify(body, registry=registry, now_ms=now_ms, receiver=deps.principal)
    if envelope.sender != COORDINATOR:
        raise BadRequestError(NOT_THE_COORDINATOR, f"{envelope.sender} asks, and agents work for {COORDINATOR} only")
    if envelope.performative is not Performative.REQUEST:
        raise BadRequestError(NOT_A_REQUEST, f"an agent acts on a request, and this is a {envelope.performative}")
    return envelope


def _repeated_late(body: str, carrier: str, throttles: int, left_ms: Callable[[], int], deps: AgentDeps) -> bool:
    """Answer a message past its deadline when this is a repeated delivery of one whose work is done.

    An agent that dies behind its work is delivered the message again when the queue's visibility time-out ends, and
    that is longer than many a session: history must hear of the result all the same.
    """
    try:
        job = _job(body, throttles, left_ms, parse(body).timestamp, deps)  # trusted in all but its age
    except (Refused, BadRequestError):
        return False
    done = deps.store.answer(job.task.session_id, job.envelope.message_id)
    if done is None or done.carrier != carrier:
        return False
    repeat(job, done.result, deps)
    return True


def _repeat(job: Job, done: AlreadyDoneError, carrier: str, deps: AgentDeps) -> None:
    """SQS may deliver twice: the same delivery is answered again. Another message with this id was replayed.

    The coordinator hears the answer in both cases, since it may have missed the first; the bus hears no replay.
    """
    if carrier == done.carrier:
        repeat(job, done.result, deps)
        return
    call_back(job, done.result, "answered before", deps)
    deps.dead_letter(job.body, str(Reason.REPLAYED), f"the work of {job.envelope.message_id} was done before")


def _ask(job: Job, claim: Claim, deps: AgentDeps) -> None:
    started = deps.now_ms()
    timeout_s = min(call_left_s(job.left_ms() / 1000), (_deadline_ms(job) - started) / 1000)
    try:
        with _alive(job.task.callback_id, deps):
            wanted = prompts.agent_answer()
            answer = deps.model.ask(job.prompt, wanted, max_tokens=MAX_TOKENS, timeout_s=max(0.1, timeout_s))
    except errors.Throttled as pause:
        _throttled(job, claim, pause.retry_after_s, deps)
        return
    except errors.ModelError as error:
        late = isinstance(error, errors.TimedOut) and deps.now_ms() >= _deadline_ms(job) - _LATE_MS
        _failed(job, claim, DEADLINE if late else error.slug, error, started, deps)
        return
    cost = deps.model.cost_nusd(answer.usage)
    document = {
        **about(job, started, deps),
        "status": "DONE",
        "model": answer.model_id,
        "offline": answer.offline,
        "findings": [finding.model_dump() for finding in answer.value.findings],
        "summary": answer.value.summary,
        "tokens": asdict(answer.usage),
        "cost_usd": usd(cost),
    }
    deps.measure(
        {"ExecutionTime": deps.now_ms() - started, "TokensConsumed": answer.usage.total, "CostUsd": usd(cost),
         "CompletionStatus": 0}
    )  # fmt: skip
    settle(job, claim, Outcome(document=document, spent_nusd=cost, usage=answer.usage), deps)


def _throttled(job: Job, claim: Claim, retry_after_s: float, deps: AgentDeps) -> None:
    delay_s = _delay_s(job, retry_after_s, deps)
    if delay_s is None:
        text = f"throttled {job.throttles + 1} times, and no wait ends before the deadline"
        _failed(job, claim, THROTTLED, errors.Throttled(text), deps.now_ms(), deps)
        return
    deps.store.release(claim)
    _put_back(job, delay_s, THROTTLED, deps)


def _failed(job: Job, claim: Claim, reason: str, error: errors.ModelError, started_ms: int, deps: AgentDeps) -> None:
    """Nothing is swallowed: a failure is stored, paid and told as a result is."""
    spent = _spent(error, claim, deps)
    document = {
        **about(job, started_ms, deps),
        "status": "FAILED",
        "model": deps.model.model_id,
        "error": {"reason": reason, "detail": str(error)},
        "cost_usd": usd(spent),
    }
    deps.measure({"CompletionStatus": 1, "CostUsd": usd(spent)})
    outcome = Outcome(document=document, spent_nusd=spent, usage=error.usage, reason=reason, detail=str(error))
    settle(job, claim, outcome, deps)


def _spent(error: errors.ModelError, claim: Claim, deps: AgentDeps) -> int:
    """What a failed call did cost; when nobody can know, all that was set aside for it."""
    if error.usage is not None:
        return deps.model.cost_nusd(error.usage)
    return claim.reserved_nusd if error.billed is None else 0


def _delay_s(job: Job, retry_after_s: float, deps: AgentDeps) -> int | None:
    """How long a message may be put back for. None when no wait would end in time.

    The coordinator takes an agent for dead that is silent for two heartbeats or more, so no wait is longer.
    """
    patience = Patience(longest_s=max(1, min(900, int(2 * deps.heartbeat_s))))
    left_s = (_deadline_ms(job) - deps.now_ms()) / 1000
    return throttle_delay_s(
        job.throttles, left_s=left_s, draw=deps.draw(), retry_after_s=retry_after_s, patience=patience
    )


def _put_back(job: Job, delay_s: int, why: str, deps: AgentDeps) -> None:
    deps.put_back(job.body, job.throttles + 1, delay_s)
    deps.callbacks.beat(job.task.callback_id)  # waiting its turn is not silence
    deps.log.info("task put back", task_id=job.task.task_id, why=why, delay_s=delay_s, throttles=job.throttles + 1)


def _deadline_ms(job: Job) -> int:
    return _FOREVER_MS if job.envelope.reply_by is None else job.envelope.reply_by


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
