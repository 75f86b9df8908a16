"""The coordinator: plan → dispatch → quorum, deadline or budget → report, as one durable execution.

Everything that touches the world happens in a step, whose result is checkpointed: a crash replays the finished steps
from their results and goes on behind them. Replaying is quadratic in an execution's operations, so a session of more
than ``TASKS_AN_EXECUTION`` tasks is split into child executions of the same function.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from aws_durable_execution_sdk_python.config import (
    CallbackConfig,
    CompletionConfig,
    Duration,
    MapConfig,
    NestingType,
    StepConfig,
)
from aws_durable_execution_sdk_python.context import DurableContext
from aws_durable_execution_sdk_python.exceptions import (
    CallbackError,
    CallbackTimeoutError,
    DurableOperationError,
    StepError,
)
from aws_durable_execution_sdk_python.retries import RetryStrategyConfig, create_retry_strategy

from infrafabric.bus.envelope import Citation, compose
from infrafabric.bus.structure import Performative
from infrafabric.models import errors, prompts
from infrafabric.resilience import silence_s
from infrafabric.swarm import paid, parts, reporting, watch
from infrafabric.swarm.ledger import OverBudgetError, SessionOverError
from infrafabric.swarm.parts import Share
from infrafabric.swarm.report import evidence
from infrafabric.swarm.session import (
    AGAIN,
    COORDINATOR,
    TASKS_AN_EXECUTION,
    WRAP_UP,
    Order,
    Status,
    TaskResult,
    agent_for,
    conversation,
    needed,
    task_id,
)
from infrafabric.swarm.task import BUDGET, CANCELLED, DEADLINE, Task
from infrafabric.swarm.world import CoordinatorDeps

SILENT = "silent"  # no sign of life from an agent
_HOPELESS = frozenset({BUDGET, DEADLINE, CANCELLED})  # another agent would meet the same
_LATE_MS = 1_000  # a callback closes to the second
_TRIES = 4  # of the steps that ask a model
_RETRY = StepConfig(
    retry_strategy=create_retry_strategy(
        RetryStrategyConfig(max_attempts=_TRIES, initial_delay=Duration(2), max_delay=Duration(30))
    )
)


class TaskGivenUpError(Exception):
    """A task that no agent could do. The map counts it as failed."""


def run(event: Mapping[str, Any], context: DurableContext, deps: CoordinatorDeps) -> dict[str, Any]:
    """One session, or one part of a big one, or what is left of one whose execution is over. Returns what came of it,
    small enough for a checkpoint."""
    order, again = Order.from_event(event), AGAIN in event
    if "part" in event:
        return {"given_up": _dispatch(order, Share(**event["part"]), context, deps)}
    if WRAP_UP in event:
        lost = context.step(lambda _: _is_lost(order, deps), name="lost")
        if not lost:
            return {"status": "not lost"}
        planned = [] if order.tasks else context.step(lambda _: deps.store.texts(order), name="planned")
        return _conclude(order, order.tasks or planned, {}, "", context, deps)
    texts, given_up, stop = list(order.tasks), {}, ""
    if not context.is_replaying():  # whoever resumes a session asks no model before its report, which sees to it itself
        deps.prepare()
    try:
        plan = context.step(lambda _: _plan(order, again, deps), name="plan", config=_RETRY)
        texts, stop = texts or plan["tasks"], plan["stop"]
        if not stop:
            given_up = _all(order, Share(texts=texts, of=len(texts), again=again), context, deps)
    except DurableOperationError as error:
        stop = f"{error.error_type}: {error.message}"  # what was done by then is reported all the same
    return _conclude(order, texts, given_up, stop, context, deps)


def _is_lost(order: Order, deps: CoordinatorDeps) -> bool:
    """Whether this session was given up for lost, or has to be: it then ends here, unless that was done."""
    session = deps.store.get(order.session_id)
    if session is None:
        return False
    if watch.is_lost(session, now_ms=deps.now_ms()):
        watch.end_lost(session, deps.store)
        session = deps.store.get(order.session_id) or session
    return session["reason"] == watch.LOST


def _conclude(
    order: Order,
    texts: Sequence[str],
    given_up: Mapping[str, str],
    stop: str,
    context: DurableContext,
    deps: CoordinatorDeps,
) -> dict[str, Any]:
    """The report, and the session's end. Returns what came of it."""
    try:
        summed_up = context.step(
            lambda step: reporting.sum_up(order, texts, given_up, stop, may_wait=step.attempt < _TRIES, deps=deps),
            name="report",
            config=_RETRY,
        )
        return context.step(lambda _: reporting.close(order, summed_up, deps), name="end")
    except DurableOperationError as error:
        problem = reporting.brief(f"{error.error_type}: {error.message}")
        context.step(lambda _: reporting.give_up(order, texts, problem, deps), name="failed")
        deps.log.warning("session failed", session_id=order.session_id, reason=problem)
        return {"status": str(Status.FAILED), "reason": problem}


# -- plan --------------------------------------------------------------------------------------------------------------


def _plan(order: Order, again: bool, deps: CoordinatorDeps) -> dict[str, Any]:
    """The tasks when the order has none, and the session is RUNNING; or why it stops here.

    Tasks that were given are not returned: a checkpoint is no place for what the event has already.

    Raises:
        errors.Throttled: to be tried again.
    """
    try:
        planned = [] if order.tasks else (deps.store.texts(order) if again else []) or _tasks_of(order, deps)
    except OverBudgetError as error:
        return {"tasks": [], "stop": f"{BUDGET}: {error}"}
    except SessionOverError:
        return {"tasks": [], "stop": CANCELLED}
    except errors.Throttled:
        raise
    except errors.ModelError as error:
        return {"tasks": [], "stop": f"{error.slug}: the plan could not be made: {error}"}
    count = len(order.tasks) or len(planned)
    if not count:
        return {"tasks": [], "stop": "the plan has no tasks: say more about the goal, or give tasks"}
    if not deps.store.begin(order.session_id, tasks=count, planned=planned):
        return {"tasks": planned, "stop": CANCELLED}
    deps.log.info("session planned", session_id=order.session_id, tasks=count)
    return {"tasks": planned, "stop": ""}


def _tasks_of(order: Order, deps: CoordinatorDeps) -> list[str]:
    prompt = prompts.plan(goal=order.goal or "", tasks=order.agents)
    answer = paid.ask(order, prompt, prompts.plan_answer(), until_ms=order.tasks_by_ms, deps=deps)
    return [text for text in answer.value.tasks if text.strip()][: order.agents]


# -- dispatch ----------------------------------------------------------------------------------------------------------


def _all(order: Order, whole: Share, context: DurableContext, deps: CoordinatorDeps) -> dict[str, str]:
    """Have all tasks done. Returns why, for each that was given up."""
    if whole.of <= TASKS_AN_EXECUTION:
        return _dispatch(order, whole, context, deps)
    given_up = parts.dispatch(order, whole, context, deps)
    parts.wait_for_quorum(order, whole.texts, given_up, context, deps)
    return given_up


def _dispatch(order: Order, share: Share, context: DurableContext, deps: CoordinatorDeps) -> dict[str, str]:
    """Give the tasks of ``share`` to agents. Returns why, for each task that was given up."""
    patience_s = silence_s(deps.heartbeat_timeout_s, tasks=share.of, agents=order.agents, at_once=deps.at_once)

    def one(branch: DurableContext, text: str, index: int, _: Sequence[str]) -> None:
        name = task_id(share.first + index)
        if not (share.again and branch.step(lambda _: _is_done(order, name, deps), name=f"done-{name}")):
            _work(order, text, share.first + index, patience_s, branch, deps)

    # A count, and no predicate of ours: for one of those the SDK lists all tasks anew whenever a single one moves.
    quorum = CompletionConfig(min_successful=needed(order.quorum, len(share.texts)))
    config = MapConfig(completion_config=quorum, nesting_type=NestingType.FLAT)
    batch = context.map(share.texts, one, name="tasks", config=config)
    return {
        task_id(share.first + item.index): item.error.message or "failed" if item.error else parts.NOT_NEEDED
        for item in batch.all
        if item.status.value != "SUCCEEDED"
    }


def _work(order: Order, text: str, index: int, patience_s: int, branch: DurableContext, deps: CoordinatorDeps) -> None:
    """One task: an agent, and when it fails or falls silent another, at most ``reassignments`` times."""
    reason, attempt = "", 0
    for attempt in range(deps.reassignments + 1):
        reason = _attempt(order, text, index, attempt, patience_s, branch, deps)
        if not reason:
            return
        if reason in _HOPELESS:
            break
    given_up = TaskResult(task_id=task_id(index), agent="", attempt=attempt, status="FAILED", reason=reason)
    branch.step(lambda _: deps.store.task_failed(order.session_id, given_up), name=f"failed-{task_id(index)}")
    raise TaskGivenUpError(reason)


def _attempt(
    order: Order,
    text: str,
    index: int,
    attempt: int,
    patience_s: int,
    branch: DurableContext,
    deps: CoordinatorDeps,
) -> str:
    """Ask an agent and wait for it. Returns "" when the task is done, else why not."""
    name = f"{task_id(index)}.{attempt}"
    # Of no consequence in a replay: the callback keeps the time-outs that it was made with.
    left_s = max(1, (order.tasks_by_ms - deps.now_ms()) // 1000)
    config = CallbackConfig(timeout=Duration(left_s), heartbeat_timeout=Duration(patience_s))
    callback = branch.create_callback(name=name, config=config)
    try:
        branch.step(lambda _: _request(order, text, index, attempt, callback.callback_id, deps), name=f"request-{name}")
        callback.result()
    except StepError as error:
        return f"the request could not be sent: {error.message}"
    except CallbackTimeoutError:
        return branch.step(lambda _: _unheard(order, index, deps), name=f"unheard-{name}")
    except CallbackError as error:
        return error.message or "failed"  # the agent's reason; the SDK does not carry the error's type
    return ""


def _unheard(order: Order, index: int, deps: CoordinatorDeps) -> str:
    """What the silence means. An agent that died between its result and its answer has done the task all the same."""
    if _is_done(order, task_id(index), deps):
        return ""
    return DEADLINE if deps.now_ms() >= order.tasks_by_ms - _LATE_MS else SILENT


def _is_done(order: Order, name: str, deps: CoordinatorDeps) -> bool:
    found = deps.store.task(order.session_id, name)
    return found is not None and found.status == "DONE"


def _request(order: Order, text: str, index: int, attempt: int, callback_id: str, deps: CoordinatorDeps) -> None:
    agent = agent_for(index, attempt, order.agents)
    task = Task(
        session_id=order.session_id,
        task_id=task_id(index),
        attempt=attempt,
        text=text,
        goal=order.goal or "",
        callback_id=callback_id,
        budget_nusd=order.budget_nusd,
    )
    now = deps.now_ms()
    deps.publish(
        compose(
            performative=Performative.REQUEST,
            sender=COORDINATOR,
            receiver=f"if://agent/{agent}",
            conversation_id=conversation(order.session_id),
            message_id=_message_id(callback_id),
            timestamp=now,
            content=task.as_content(),
            citation=Citation(f"if://session/{order.session_id}", evidence(text.encode())),
            reply_by=max(order.tasks_by_ms, now + 1),
        )
    )


def _message_id(callback_id: str) -> str:
    """The same when an interrupted step publishes again: the agent knows the message, and the task is paid once."""
    digest = hashlib.sha256(callback_id.encode()).digest()
    return f"if://message/{uuid.UUID(bytes=digest[:16], version=4)}"
