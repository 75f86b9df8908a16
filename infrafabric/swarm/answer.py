"""What an agent says of a task it worked: the stored result, and who hears of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from infrafabric.bus.envelope import Citation, Envelope, compose, new_message_id
from infrafabric.bus.structure import Performative
from infrafabric.models import Prompt
from infrafabric.models.usage import Usage
from infrafabric.swarm.ledger import Claim
from infrafabric.swarm.report import evidence
from infrafabric.swarm.session import COORDINATOR, TaskResult, result_key
from infrafabric.swarm.task import ARCHIVED_MS, Task, record_of
from infrafabric.swarm.world import AgentDeps, Letter

NOTHING = evidence(b"")  # of a message that has no object
_SAYS = {"DONE": Performative.INFORM, "FAILED": Performative.FAILURE}


@dataclass(frozen=True)
class Job:
    """A message that an agent works. ``left_ms`` is what is left of the invocation."""

    envelope: Envelope
    task: Task
    prompt: Prompt
    body: str
    throttles: int
    left_ms: Callable[[], int]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a model call ended. ``document`` is what is stored of it."""

    document: Mapping[str, Any]
    spent_nusd: int
    usage: Usage | None
    reason: str = ""  # why it failed
    detail: str = ""


def about(job: Job, started_ms: int, deps: AgentDeps) -> dict[str, Any]:
    """What every stored result says first."""
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


def settle(job: Job, claim: Claim, outcome: Outcome, deps: AgentDeps) -> None:
    """Store what came of the call, finish the claim, and tell everybody.

    The letter is signed beside that: when signing fails the work is done all the same, and the next delivery of the
    message is answered without asking the model again.
    """
    result, stored = _result(job, outcome, deps)
    letters: list[Letter] = []

    def keep() -> None:
        deps.put_result(result.s3_key, stored)
        deps.store.finish(claim, result, spent_nusd=outcome.spent_nusd)

    deps.together(keep, lambda: letters.append(deps.sign(_draft(job, _SAYS[result.status], result, deps))))
    _tell(job, result, letters[0], outcome.detail, deps)


def repeat(job: Job, result: TaskResult, deps: AgentDeps) -> None:
    """Say again what was said, or should have been, when the work was done."""
    _tell(job, result, deps.sign(_draft(job, _SAYS[result.status], result, deps)), "answered again", deps)


def decline(job: Job, reason: str, detail: str, deps: AgentDeps) -> None:
    """Say no to a task that cannot be begun."""
    result = TaskResult(
        task_id=job.task.task_id, agent=deps.agent, attempt=job.task.attempt, status="FAILED", reason=reason
    )
    _tell(job, result, deps.sign(_draft(job, Performative.REFUSE, result, deps)), detail, deps)


def call_back(job: Job, result: TaskResult, detail: str, deps: AgentDeps) -> None:
    """Tell the coordinator alone."""
    if result.status == "DONE":
        deps.callbacks.succeed(job.task.callback_id, asdict(result))
    else:
        deps.callbacks.fail(job.task.callback_id, result.reason, detail)


def _tell(job: Job, result: TaskResult, letter: Letter, detail: str, deps: AgentDeps) -> None:
    """The coordinator, the bus and the archive hear it. Telling them twice does no harm."""
    if result.status != "DONE":
        where = {"session_id": job.task.session_id, "task_id": result.task_id}
        deps.log.warning("task failed", **where, reason=result.reason, detail=detail)
    deps.together(
        lambda: call_back(job, result, detail, deps), lambda: deps.publish(letter), lambda: deps.archive(letter)
    )


def _result(job: Job, outcome: Outcome, deps: AgentDeps) -> tuple[TaskResult, bytes]:
    """The result as it travels, and the bytes that its evidence hash stands for."""
    status = outcome.document["status"]
    stored = json.dumps(outcome.document, ensure_ascii=False, sort_keys=True).encode()
    key = result_key(job.task.session_id, deps.agent, job.task.task_id, job.task.attempt, failed=status != "DONE")
    result = TaskResult(
        task_id=job.task.task_id,
        agent=deps.agent,
        attempt=job.task.attempt,
        status=status,
        s3_key=key,
        evidence_hash=evidence(stored),
        tokens_in=outcome.usage.prompt if outcome.usage else 0,
        tokens_out=outcome.usage.output_tokens if outcome.usage else 0,
        cost_nusd=outcome.spent_nusd,
        reason=outcome.reason,
    )
    return result, stored


def _draft(job: Job, performative: Performative, result: TaskResult, deps: AgentDeps) -> dict[str, Any]:
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
