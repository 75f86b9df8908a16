"""Answers of an agent: stored result, coordinator's callback, message on the bus, record for history."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from infrafabric.bus.envelope import Citation, Envelope, compose
from infrafabric.bus.structure import Performative
from infrafabric.bus.uris import COORDINATOR, new_message_id, task_uri
from infrafabric.models import Prompt
from infrafabric.models.usage import Usage
from infrafabric.swarm.deps import AgentDeps, SignedMessage
from infrafabric.swarm.evidence import evidence_hash
from infrafabric.swarm.leases import Lease
from infrafabric.swarm.object_keys import result_key
from infrafabric.swarm.shapes.records import RECORD_LIFETIME_MS, TaskRecord
from infrafabric.swarm.shapes.result import TaskResult
from infrafabric.swarm.shapes.task import Task
from infrafabric.swarm.status import TaskStatus

NO_EVIDENCE = evidence_hash(b"")  # of a message without an object
_PERFORMATIVES = {TaskStatus.DONE: Performative.INFORM, TaskStatus.FAILED: Performative.FAILURE}


@dataclass(frozen=True)
class Job:
    """Verified request that an agent works on. ``left_ms`` returns the time that is left of the invocation."""

    envelope: Envelope
    task: Task
    prompt: Prompt
    body: str
    put_backs: int
    left_ms: Callable[[], int]


@dataclass(frozen=True, kw_only=True)
class CallOutcome:
    """End of a model call: the document to store, its cost, and the reason of a failure."""

    document: Mapping[str, Any]
    spent_nusd: int
    usage: Usage | None
    reason: str = ""
    detail: str = ""


class TaskAnswers:
    """Stores and sends an agent's answers."""

    def __init__(self, deps: AgentDeps) -> None:
        self._deps = deps

    def heading(self, job: Job, started_ms: int) -> dict[str, Any]:
        """Return the members that begin every stored result."""
        return {
            "schema": "infrafabric.result/1",
            "session_id": job.task.session_id,
            "task_id": job.task.task_id,
            "task": job.task.text,
            "agent": self._deps.agent,
            "attempt": job.task.attempt,
            "request": job.envelope.message_id,
            "started_ms": started_ms,
            "ended_ms": self._deps.now_ms(),
        }

    def settle(self, job: Job, lease: Lease, outcome: CallOutcome) -> None:
        """Store the outcome of a model call, finish the lease and send the answer.

        Signing runs concurrently: if signing fails the work is done all the same, and the next delivery of the message
        is answered without another model call.
        """
        result, stored = self._result(job, outcome)
        messages: list[SignedMessage] = []

        def store() -> None:
            self._deps.objects.put(result.s3_key, stored)
            self._deps.leases.finish(lease, result, spent_nusd=outcome.spent_nusd)

        self._deps.run_concurrently(
            store, lambda: messages.append(self._signed(job, _PERFORMATIVES[result.status], result))
        )
        self._send(job, result, messages[0], outcome.detail)

    def repeat(self, job: Job, result: TaskResult) -> None:
        """Send the answer of done work again: the first one may not have arrived."""
        message = self._signed(job, _PERFORMATIVES[result.status], result)
        self._send(job, result, message, "answered again")

    def decline(self, job: Job, reason: str, detail: str) -> None:
        """Refuse a task that cannot be begun."""
        result = TaskResult(
            task_id=job.task.task_id,
            agent=self._deps.agent,
            attempt=job.task.attempt,
            status=TaskStatus.FAILED,
            reason=reason,
        )
        self._send(job, result, self._signed(job, Performative.REFUSE, result), detail)

    def call_back(self, job: Job, result: TaskResult, detail: str) -> None:
        """Complete only the coordinator's callback."""
        if result.done:
            self._deps.callbacks.succeed(job.task.callback_id, result.write())
        else:
            self._deps.callbacks.fail(job.task.callback_id, result.reason, detail)

    def _send(self, job: Job, result: TaskResult, message: SignedMessage, detail: str) -> None:
        """Complete the callback, publish the message and record it. Idempotent: a repeat does no harm."""
        deps = self._deps
        if not result.done:
            ids = {"session_id": job.task.session_id, "task_id": result.task_id}
            deps.log.warning("task failed", **ids, reason=result.reason, detail=detail)
        deps.run_concurrently(
            lambda: self.call_back(job, result, detail),
            lambda: deps.publisher.publish(message),
            lambda: deps.publisher.record(message),
        )

    def _result(self, job: Job, outcome: CallOutcome) -> tuple[TaskResult, bytes]:
        """Return the result's summary, and the stored bytes under the evidence hash."""
        status = TaskStatus(outcome.document["status"])
        stored = json.dumps(outcome.document, ensure_ascii=False, sort_keys=True).encode()
        task, agent = job.task, self._deps.agent
        failed = status is not TaskStatus.DONE
        result = TaskResult(
            task_id=task.task_id,
            agent=agent,
            attempt=task.attempt,
            status=status,
            s3_key=result_key(task.session_id, agent, task.task_id, task.attempt, failed=failed),
            evidence_hash=evidence_hash(stored),
            tokens_in=outcome.usage.prompt if outcome.usage else 0,
            tokens_out=outcome.usage.output_tokens if outcome.usage else 0,
            cost_nusd=outcome.spent_nusd,
            reason=outcome.reason,
        )
        return result, stored

    def _signed(self, job: Job, performative: Performative, result: TaskResult) -> SignedMessage:
        deps, session_id = self._deps, job.task.session_id
        now_ms = deps.now_ms()
        draft = compose(
            performative=performative,
            sender=deps.principal,
            receiver=COORDINATOR,
            conversation_id=job.envelope.conversation_id,
            message_id=new_message_id(),
            timestamp=now_ms,
            content=TaskRecord.of(session_id, result, model=deps.model.model_id, at_ms=now_ms).write(),
            citation=Citation(task_uri(session_id, result.task_id), result.evidence_hash or NO_EVIDENCE),
            reply_by=now_ms + RECORD_LIFETIME_MS,
            in_reply_to=job.envelope.message_id,
        )
        return deps.publisher.sign(draft)
