"""Task dispatch: one signed request and one callback per attempt, and reassignment when an agent fails or is silent."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence

from aws_durable_execution_sdk_python.config import (
    CallbackConfig,
    CompletionConfig,
    Duration,
    MapConfig,
    NestingType,
)
from aws_durable_execution_sdk_python.context import DurableContext
from aws_durable_execution_sdk_python.exceptions import CallbackError, CallbackTimeoutError, StepError

from infrafabric.backoff import silence_timeout_s
from infrafabric.bus.envelope import Citation, compose
from infrafabric.bus.structure import Performative
from infrafabric.bus.uris import COORDINATOR, agent_uri, conversation_uri, message_uri, session_uri
from infrafabric.swarm.assignment import agent_for, task_id
from infrafabric.swarm.deps import CoordinatorDeps
from infrafabric.swarm.evidence import evidence_hash
from infrafabric.swarm.failure_reasons import DEADLINE, NOT_REASSIGNED, SILENT
from infrafabric.swarm.quorum import required_tasks
from infrafabric.swarm.shapes.coordinator_event import TaskSlice
from infrafabric.swarm.shapes.order import Order
from infrafabric.swarm.shapes.result import TaskResult
from infrafabric.swarm.shapes.task import Task
from infrafabric.swarm.status import TaskStatus
from infrafabric.swarm.task_slices import NOT_NEEDED

_DEADLINE_MARGIN_MS = 1_000  # a callback times out to the second


class TaskGivenUpError(Exception):
    """Task that no agent could do. The map counts the branch as failed."""


class TaskDispatcher:
    """Gives the tasks of one slice to agents and waits for their answers."""

    def __init__(self, order: Order, task_slice: TaskSlice, deps: CoordinatorDeps) -> None:
        self._order, self._slice, self._deps = order, task_slice, deps
        self._silence_timeout_s = silence_timeout_s(
            deps.heartbeat_timeout_s, tasks=task_slice.of, agents=order.agents, tasks_at_once=deps.tasks_at_once
        )

    def run(self, context: DurableContext) -> dict[str, str]:
        """Dispatch all tasks of the slice. Returns the reason per task that was given up."""
        texts, first = self._slice.texts, self._slice.first

        def run_task(branch: DurableContext, text: str, index: int, _: Sequence[str]) -> None:
            name = task_id(first + index)
            if not (self._slice.again and branch.step(lambda _: self._is_done(name), name=f"done-{name}")):
                self._run_task(text, first + index, branch)

        # A count and not a predicate of ours: for a predicate the SDK lists all tasks again whenever one changes.
        quorum = CompletionConfig(min_successful=required_tasks(self._order.quorum, len(texts)))
        config = MapConfig(completion_config=quorum, nesting_type=NestingType.FLAT)
        batch = context.map(texts, run_task, name="tasks", config=config)
        return {
            task_id(first + item.index): item.error.message or "failed" if item.error else NOT_NEEDED
            for item in batch.all
            if item.status.value != "SUCCEEDED"
        }

    def _run_task(self, text: str, index: int, branch: DurableContext) -> None:
        """Give a task to an agent, and after a failure or silence to another one, at most ``reassignments`` times."""
        reason, attempt = "", 0
        for attempt in range(self._deps.reassignments + 1):
            reason = self._attempt(text, index, attempt, branch)
            if not reason:
                return
            if reason in NOT_REASSIGNED:
                break
        name = task_id(index)
        given_up = TaskResult(task_id=name, agent="", attempt=attempt, status=TaskStatus.FAILED, reason=reason)
        store, session_id = self._deps.store, self._order.session_id
        branch.step(lambda _: store.record_failed_task(session_id, given_up), name=f"failed-{name}")
        raise TaskGivenUpError(reason)

    def _attempt(self, text: str, index: int, attempt: int, branch: DurableContext) -> str:
        """Send a request and wait for the answer. Returns "" if the task is done, else the reason of the failure."""
        name = f"{task_id(index)}.{attempt}"
        # Irrelevant in a replay: the callback keeps the timeouts that it was created with.
        left_s = max(1, (self._order.tasks_deadline_ms - self._deps.now_ms()) // 1000)
        config = CallbackConfig(timeout=Duration(left_s), heartbeat_timeout=Duration(self._silence_timeout_s))
        callback = branch.create_callback(name=name, config=config)
        try:
            branch.step(
                lambda _: self._send_request(text, index, attempt, callback.callback_id), name=f"request-{name}"
            )
            callback.result()
        except StepError as error:
            return f"the request could not be sent: {error.message}"
        except CallbackTimeoutError:
            return branch.step(lambda _: self._reason_of_silence(index), name=f"unheard-{name}")
        except CallbackError as error:
            return error.message or "failed"  # the agent's reason; the SDK does not carry the error's type
        return ""

    def _reason_of_silence(self, index: int) -> str:
        """Return "" if the task is done: an agent may die between its result and its answer."""
        if self._is_done(task_id(index)):
            return ""
        return DEADLINE if self._deps.now_ms() >= self._order.tasks_deadline_ms - _DEADLINE_MARGIN_MS else SILENT

    def _is_done(self, name: str) -> bool:
        result = self._deps.store.task(self._order.session_id, name)
        return result is not None and result.done

    def _send_request(self, text: str, index: int, attempt: int, callback_id: str) -> None:
        order = self._order
        task = Task(
            session_id=order.session_id,
            task_id=task_id(index),
            attempt=attempt,
            text=text,
            goal=order.goal or "",
            callback_id=callback_id,
            budget_nusd=order.budget_nusd,
        )
        now_ms = self._deps.now_ms()
        draft = compose(
            performative=Performative.REQUEST,
            sender=COORDINATOR,
            receiver=agent_uri(agent_for(index, attempt, order.agents)),
            conversation_id=conversation_uri(order.session_id),
            message_id=message_id_of(callback_id),
            timestamp=now_ms,
            content=task.write(),
            citation=Citation(session_uri(order.session_id), evidence_hash(text.encode())),
            reply_by=max(order.tasks_deadline_ms, now_ms + 1),
        )
        publisher = self._deps.publisher
        publisher.publish(publisher.sign(draft))


def message_id_of(callback_id: str) -> str:
    """Return the message id of an attempt (idempotency key).

    An interrupted step publishes the same id again: the agent knows the message, and the task is paid once.
    """
    digest = hashlib.sha256(callback_id.encode()).digest()
    return message_uri(uuid.UUID(bytes=digest[:16], version=4))
