"""The coordinator: plan → dispatch → quorum, deadline or budget → report, as one durable execution.

Everything that touches the world happens in a step, whose result is checkpointed: a crash replays the finished steps
from their results and goes on behind them. Replaying is quadratic in an execution's operations, so a session of more
than ``TASKS_AN_EXECUTION`` tasks is split into child executions of the same function.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aws_durable_execution_sdk_python.config import (
    CallbackConfig,
    CompletionConfig,
    CompletionStatus,
    Duration,
    MapConfig,
    NestingType,
    StepConfig,
    complete_batch,
    continue_batch,
)
from aws_durable_execution_sdk_python.context import DurableContext
from aws_durable_execution_sdk_python.exceptions import CallbackError, CallbackTimeoutError, DurableOperationError
from aws_durable_execution_sdk_python.retries import RetryStrategyConfig, create_retry_strategy

from infrafabric.bus.envelope import Citation, compose, new_message_id
from infrafabric.bus.structure import Performative
from infrafabric.models import Model, errors, prompts
from infrafabric.resilience import silence_s
from infrafabric.swarm.agent import BUDGET, DEADLINE, Log
from infrafabric.swarm.report import Report, evidence
from infrafabric.swarm.session import (
    COORDINATOR,
    TASKS_AN_EXECUTION,
    Order,
    Status,
    TaskResult,
    agent_for,
    conversation,
    needed,
    outcome,
    report_key,
    task_id,
    usd,
)
from infrafabric.swarm.store import OverBudgetError, SessionOverError, SessionStore
from infrafabric.swarm.task import ARCHIVED_MS, Task

PLAN_TOKENS, REPORT_TOKENS = 4096, 4096
SILENT = "silent"  # no sign of life from an agent
CANCELLED = "cancelled"
_HOPELESS = frozenset({BUDGET, DEADLINE, CANCELLED})  # another agent would meet the same
_LEAST_CALL_S = 2.0
_PLAN_RETRY = StepConfig(
    retry_strategy=create_retry_strategy(
        RetryStrategyConfig(
            max_attempts=4, initial_delay=Duration(2), max_delay=Duration(30), retryable_error_types=[errors.Throttled]
        )
    )
)


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
    log: Log
    self_name: str  # what a child execution is started by: function name and version
    heartbeat_timeout_s: int
    reassignments: int
    at_once: int  # tasks that one agent works side by side


class TaskGivenUpError(Exception):
    """A task that no agent could do. The map counts it as failed."""


def run(event: Mapping[str, Any], context: DurableContext, deps: CoordinatorDeps) -> dict[str, Any]:
    """One session, or one part of a big one. Returns what came of it, small enough for a checkpoint."""
    order = Order.from_event(event)
    if "part" in event:
        first, texts = event["part"]["first"], event["part"]["texts"]
        return {"results": _dispatch(order, texts, first, event["part"]["of"], context, deps)}
    try:
        return _session(order, context, deps)
    except DurableOperationError as error:
        problem = f"{error.error_type}: {error.message}"
        context.step(lambda _: deps.store.end(order.session_id, Status.FAILED, reason=problem), name="failed")
        deps.log.warning("session failed", session_id=order.session_id, reason=problem)
        return {"status": Status.FAILED, "reason": problem}


def _session(order: Order, context: DurableContext, deps: CoordinatorDeps) -> dict[str, Any]:
    plan = context.step(lambda _: _plan(order, deps), name="plan", config=_PLAN_RETRY)
    if plan["stop"]:
        return context.step(lambda _: _report(order, [], plan["stop"], deps), name="report")
    texts: list[str] = plan["tasks"]
    if len(texts) <= TASKS_AN_EXECUTION:
        ended = _dispatch(order, texts, 0, len(texts), context, deps)
    else:
        ended = _in_parts(order, texts, context, deps)
    return context.step(lambda _: _report(order, texts, _missing(texts, ended), deps), name="report")


# -- plan --------------------------------------------------------------------------------------------------------------


def _plan(order: Order, deps: CoordinatorDeps) -> dict[str, Any]:
    """The tasks, and the session is RUNNING with them; or why it stops here."""
    try:
        tasks = list(order.tasks) or _tasks_of(order, deps)
    except OverBudgetError as error:
        return {"tasks": [], "stop": f"{BUDGET}: {error}"}
    except SessionOverError:
        return {"tasks": [], "stop": CANCELLED}
    except errors.Throttled:
        raise
    except errors.ModelError as error:
        return {"tasks": [], "stop": f"{error.slug}: the plan could not be made: {error}"}
    if not deps.store.begin(order.session_id, tasks=len(tasks)):
        return {"tasks": [], "stop": CANCELLED}
    deps.log.info("session planned", session_id=order.session_id, tasks=len(tasks))
    return {"tasks": tasks, "stop": ""}


def _tasks_of(order: Order, deps: CoordinatorDeps) -> list[str]:
    prompt = prompts.plan(goal=order.goal or "", tasks=order.agents)
    left_s = (order.tasks_by_ms - deps.now_ms()) / 1000
    answer = _paid(order, prompt, prompts.plan_answer(), PLAN_TOKENS, left_s, deps)
    return [text for text in answer.value.tasks if text.strip()][: max(order.agents, 1)]


def _paid(order: Order, prompt: Any, output: Any, max_tokens: int, timeout_s: float, deps: CoordinatorDeps) -> Any:
    """Ask the model with the money set aside first, and settled after."""
    reserved = deps.model.worst_nusd(prompt, max_tokens)
    deps.store.reserve(order.session_id, reserved, budget_nusd=order.budget_nusd)
    spent = 0
    try:
        answer = deps.model.ask(prompt, output, max_tokens=max_tokens, timeout_s=max(_LEAST_CALL_S, timeout_s))
        spent = deps.model.cost_nusd(answer.usage)
    except errors.ModelError as error:
        spent = deps.model.cost_nusd(error.usage) if error.usage else (reserved if error.billed is None else 0)
        raise
    finally:
        deps.store.settle(order.session_id, reserved_nusd=reserved, spent_nusd=spent)
    return answer


# -- dispatch ----------------------------------------------------------------------------------------------------------


def _dispatch(
    order: Order, texts: Sequence[str], first: int, total: int, context: DurableContext, deps: CoordinatorDeps
) -> dict[str, str]:
    """Give ``texts`` (from index ``first`` of ``total``) to agents. Returns why, for each task that was given up."""
    patience_s = silence_s(deps.heartbeat_timeout_s, tasks=total, agents=order.agents, at_once=deps.at_once)

    def one(branch: DurableContext, text: str, index: int, _: Sequence[str]) -> None:
        _work(order, text, first + index, patience_s, branch, deps)

    goal = needed(order.quorum, len(texts))

    def reached(status: CompletionStatus) -> Any:
        return complete_batch() if status.success_count >= goal else continue_batch()

    batch = context.map(
        texts,
        one,
        name="tasks",
        config=MapConfig(completion_config=CompletionConfig(should_complete=reached), nesting_type=NestingType.FLAT),
    )
    return {
        task_id(first + item.index): item.error.message or "" if item.error else "not needed: the quorum was reached"
        for item in batch.all
        if item.status.value != "SUCCEEDED"
    }


def _work(order: Order, text: str, index: int, patience_s: int, branch: DurableContext, deps: CoordinatorDeps) -> None:
    """One task: an agent, and when it fails or falls silent another, at most ``reassignments`` times."""
    reason = ""
    for attempt in range(deps.reassignments + 1):
        left_s = int((order.tasks_by_ms - deps.now_ms()) / 1000)
        config = CallbackConfig(timeout=Duration(max(1, left_s)), heartbeat_timeout=Duration(patience_s))
        callback = branch.create_callback(name=f"{task_id(index)}.{attempt}", config=config)
        branch.step(
            lambda _, a=attempt, c=callback.callback_id: _request(order, text, index, a, c, deps),
            name=f"request-{task_id(index)}.{attempt}",
        )
        try:
            callback.result()
        except CallbackTimeoutError:
            # A step, because a replay must come to the same answer at another time.
            name = f"late-{task_id(index)}.{attempt}"
            late = branch.step(lambda _: deps.now_ms() >= order.tasks_by_ms - 1000, name=name)
            reason = DEADLINE if late else SILENT
        except CallbackError as error:
            reason = error.message or "failed"  # the agent's reason; the SDK does not carry the error's type
        else:
            return
        if reason in _HOPELESS:
            break
    given_up = TaskResult(task_id=task_id(index), agent="", attempt=deps.reassignments, status="FAILED", reason=reason)
    branch.step(lambda _: deps.store.task_failed(order.session_id, given_up), name=f"failed-{task_id(index)}")
    raise TaskGivenUpError(reason)


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
            message_id=new_message_id(),
            timestamp=now,
            content=task.as_content(),
            citation=Citation(f"if://session/{order.session_id}", evidence(text.encode())),
            reply_by=max(order.tasks_by_ms, now + 1),
        )
    )


def _in_parts(order: Order, texts: Sequence[str], context: DurableContext, deps: CoordinatorDeps) -> dict[str, str]:
    """Child executions, each with its share of the tasks. A part that fails as a whole takes only its tasks along."""
    starts = range(0, len(texts), TASKS_AN_EXECUTION)

    def part(branch: DurableContext, first: int, _: int, __: Sequence[int]) -> dict[str, str]:
        share = texts[first : first + TASKS_AN_EXECUTION]
        payload = {**order.as_event(), "tasks": [], "part": {"first": first, "texts": share, "of": len(texts)}}
        return branch.invoke(deps.self_name, payload, name=f"part-{first}")["results"]

    config = MapConfig(completion_config=CompletionConfig.all_completed(), nesting_type=NestingType.FLAT)
    batch = context.map(list(starts), part, name="parts", config=config)
    given_up: dict[str, str] = {}
    for item in batch.all:
        if item.result is not None:
            given_up.update(item.result)
        else:
            first = starts[item.index]
            share = range(first, min(first + TASKS_AN_EXECUTION, len(texts)))
            why = item.error.message if item.error else "it did not end"
            given_up.update({task_id(index): f"its part of the session failed: {why}" for index in share})
    return given_up


def _missing(texts: Sequence[str], given_up: Mapping[str, str]) -> str:
    """Why tasks are missing, most frequent reason first; "" when none is."""
    counts: dict[str, int] = {}
    for reason in given_up.values():
        counts[reason or "failed"] = counts.get(reason or "failed", 0) + 1
    most_first = sorted(counts.items(), key=lambda entry: -entry[1])
    return ", ".join(f"{reason} ({count} of {len(texts)} tasks)" for reason, count in most_first)


# -- report ------------------------------------------------------------------------------------------------------------


def _report(order: Order, texts: Sequence[str], reason: str, deps: CoordinatorDeps) -> dict[str, Any]:
    """Read the results, have them summed up, store the report, end the session, and tell the archive."""
    ended = list(deps.store.tasks(order.session_id))
    done = [result for result in ended if result.status == "DONE"]
    failed = {result.task_id: result for result in ended if result.status != "DONE"}
    documents = {result.task_id: json.loads(deps.get(result.s3_key)) for result in done}
    report = Report.of(order, texts, done, failed, documents)
    status = Status.CANCELLED if reason == CANCELLED else outcome(len(done), len(texts), order.quorum)
    if status is Status.COMPLETE:
        reason = ""
    report.summary, summed_by = _summary(order, report, deps) if done else (f"No task was done: {reason}.", "")
    session = deps.store.get(order.session_id) or {}
    document = report.document(
        status=status, cost_usd=usd(int(session.get("spent", 0))), model=summed_by or deps.model.model_id
    )
    stored = json.dumps(document, ensure_ascii=False, sort_keys=True).encode()
    deps.put(report_key(order.session_id), stored)
    deps.store.end(order.session_id, status, reason=reason)
    _tell_archive(order, document, stored, reason, deps)
    deps.log.info("session ended", session_id=order.session_id, status=str(status), reason=reason, done=len(done))
    return {"status": str(status), "reason": reason, "done": len(done), "tasks": len(texts)}


def _summary(order: Order, report: Report, deps: CoordinatorDeps) -> tuple[str, str]:
    """The model's summary, or one that says why there is none: findings are never lost for want of it."""
    left_s = (order.deadline_ms - deps.now_ms()) / 1000
    prompt = prompts.report(goal=order.goal or "", findings=report.digest())
    try:
        answer = _paid(order, prompt, prompts.report_answer(), REPORT_TOKENS, left_s, deps)
    except (errors.ModelError, OverBudgetError, SessionOverError) as error:
        deps.log.warning("no summary", session_id=order.session_id, why=str(error))
        return f"No summary could be written ({error}). The findings below are complete.", ""
    return answer.value.summary, answer.model_id


def _tell_archive(order: Order, document: Mapping[str, Any], stored: bytes, reason: str, deps: CoordinatorDeps) -> None:
    now = deps.now_ms()
    content = {
        "kind": "session",
        "session_id": order.session_id,
        "status": document["status"],
        "reason": reason,
        "created_ms": order.created_ms,
        "ended_ms": now,
        "budget_nusd": order.budget_nusd,
        "spent_nusd": round(document["cost_usd"] * 1e9),
        "tasks": len(document["results"]),
        "model": document["model"],
        "s3_key": report_key(order.session_id),
    }
    deps.archive(
        compose(
            performative=Performative.INFORM,
            sender=COORDINATOR,
            receiver=COORDINATOR,
            conversation_id=conversation(order.session_id),
            message_id=new_message_id(),
            timestamp=now,
            content=content,
            citation=Citation(f"if://session/{order.session_id}", evidence(stored)),
            reply_by=now + ARCHIVED_MS,
        )
    )
