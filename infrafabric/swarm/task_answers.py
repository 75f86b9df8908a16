"""Answers of an agent: the stored result, and the signed message that completes the coordinator's callback."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from infrafabric.bus.envelope import Citation, Envelope, compose
from infrafabric.bus.structure import Performative
from infrafabric.bus.uris import COORDINATOR, new_message_id, task_uri
from infrafabric.models import Prompt
from infrafabric.models.usage import Usage
from infrafabric.money import usd
from infrafabric.swarm.deps import AgentDeps
from infrafabric.swarm.evidence import evidence_hash
from infrafabric.swarm.leases import CopyId
from infrafabric.swarm.result_document import AttemptId, StoredResult, read_result, stored_bytes
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
    attempt: AttemptId
    prompt: Prompt
    body: str
    copy: CopyId
    left_ms: Callable[[], int]


@dataclass(frozen=True, kw_only=True)
class CallOutcome:
    """End of a model call: cost, tokens, and members of the document to store."""

    status: TaskStatus
    members: dict[str, Any]
    spent_nusd: int
    usage: Usage | None
    reason: str = ""
    detail: str = ""


class TaskAnswers:
    """Stores and sends an agent's answers."""

    def __init__(self, deps: AgentDeps) -> None:
        self._deps = deps

    def settle(self, job: Job, outcome: CallOutcome, started_ms: int) -> None:
        """Store the outcome of a model call and send the answer; signing runs concurrently with storing.

        The place is written once. If it is taken, the answer is what lies there.
        """
        document = {
            **job.attempt.members,
            "task": job.task.text,
            "started_ms": started_ms,
            "ended_ms": self._deps.now_ms(),
            "status": outcome.status,
            "cost_usd": usd(outcome.spent_nusd),
            "tokens": {
                "input": outcome.usage.prompt if outcome.usage else 0,
                "output": outcome.usage.output_tokens if outcome.usage else 0,
            },
            **outcome.members,
        }
        stored = stored_bytes(document)
        result = TaskResult(
            task_id=job.task.task_id,
            agent=self._deps.agent,
            attempt=job.task.attempt,
            status=outcome.status,
            s3_key=job.task.place,
            evidence_hash=evidence_hash(stored),
            size_bytes=len(stored),
            tokens_in=document["tokens"]["input"],
            tokens_out=document["tokens"]["output"],
            cost_nusd=outcome.spent_nusd,
            reason=outcome.reason,
        )
        written: list[bool] = []
        bodies: list[str] = []
        self._deps.run_concurrently(
            lambda: written.append(self._deps.objects.put_new(job.task.place, stored)),
            lambda: bodies.append(self._signed(job, _PERFORMATIVES[result.status], result)),
        )
        earlier = None if written[0] else self.stored(job)
        if earlier is not None:
            self.repeat(job, earlier)
        else:
            self._send(job, result, bodies[0], outcome.detail)

    def stored(self, job: Job) -> StoredResult | None:
        """Return the result that lies in the attempt's place already, if any."""
        found = self._deps.objects.find(job.task.place)
        return None if found is None else read_result(found, job.attempt)

    def repeat(self, job: Job, earlier: StoredResult) -> None:
        """Send the answer of done work again: the first one may not have arrived."""
        message = self._signed(job, _PERFORMATIVES[earlier.result.status], earlier.result)
        self._send(job, earlier.result, message, "answered again")

    def decline(self, job: Job, reason: str, detail: str, *, spent_nusd: int = 0) -> None:
        """Answer that the task was not done, without a document. ``spent_nusd`` is the cost all the same."""
        result = TaskResult(
            task_id=job.task.task_id,
            agent=self._deps.agent,
            attempt=job.task.attempt,
            status=TaskStatus.FAILED,
            cost_nusd=spent_nusd,
            reason=reason,
        )
        self._send(job, result, self._signed(job, Performative.REFUSE, result), detail)

    def _send(self, job: Job, result: TaskResult, body: str, detail: str) -> None:
        """Complete the callback. Idempotent: a closed callback is not an error."""
        if not result.done:
            ids = {"session_id": job.task.session_id, "task_id": result.task_id, "attempt": result.attempt}
            cost_usd = usd(result.cost_nusd)
            self._deps.log.warning("task failed", **ids, reason=result.reason, detail=detail, cost_usd=cost_usd)
        self._deps.callbacks.succeed(job.task.callback_id, body)

    def _signed(self, job: Job, performative: Performative, result: TaskResult) -> str:
        deps, key = self._deps, job.task.key
        now_ms = deps.now_ms()
        draft = compose(
            performative=performative,
            sender=deps.principal,
            receiver=COORDINATOR,
            conversation_id=job.envelope.conversation_id,
            message_id=new_message_id(),
            timestamp=now_ms,
            content=TaskRecord.of(key, result, model=deps.model.model_id, at_ms=now_ms).write(),
            citation=Citation(task_uri(key.session_id, result.task_id), result.evidence_hash or NO_EVIDENCE),
            reply_by=now_ms + RECORD_LIFETIME_MS,
            in_reply_to=job.envelope.message_id,
        )
        return deps.sign(draft)
