"""Run of one part of a round: a callback and a signed request per attempt, and the wait for the answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aws_durable_execution_sdk_python.config import (
    BatchItemStatus,
    CallbackConfig,
    CompletionConfig,
    CompletionDecision,
    CompletionStatus,
    Duration,
    MapConfig,
    NestingType,
    StepConfig,
    complete_batch,
    continue_batch,
)
from aws_durable_execution_sdk_python.context import DurableContext
from aws_durable_execution_sdk_python.exceptions import CallbackError, CallbackTimeoutError, SuspendExecution
from aws_durable_execution_sdk_python.retries import RetryStrategyConfig, create_retry_strategy
from aws_durable_execution_sdk_python.types import Callback, StepContext

from infrafabric.bus.envelope import Citation, compose
from infrafabric.bus.registry import Registry
from infrafabric.bus.structure import Performative
from infrafabric.bus.uris import COORDINATOR, agent_uri, conversation_uri, task_uri
from infrafabric.swarm.beliefs import believed_answer
from infrafabric.swarm.deps import CoordinatorDeps
from infrafabric.swarm.evidence import evidence_hash
from infrafabric.swarm.latch import Latch
from infrafabric.swarm.round_settlement import RoundOutcome, RoundSettlement, attempt_id
from infrafabric.swarm.shapes.attempt import Attempt
from infrafabric.swarm.shapes.coordinator_event import RoundOrder
from infrafabric.swarm.shapes.order import Order
from infrafabric.swarm.shapes.round import RoundPart
from infrafabric.swarm.shapes.session_item import Progress
from infrafabric.swarm.shapes.task import Task

_WAKE = 0  # item of the map that sends the requests and waits for a cancellation; the others are attempts
_MAX_SENDS = 3
_SEND_RETRY = StepConfig(
    retry_strategy=create_retry_strategy(
        RetryStrategyConfig(max_attempts=_MAX_SENDS, initial_delay=Duration(1), max_delay=Duration(5))
    )
)


class FailedAnswerError(Exception):
    """Believed answer that a task failed. The message is the answer; the map counts the branch as failed."""


_FAILED_ANSWER = f"{FailedAnswerError.__module__}.{FailedAnswerError.__qualname__}"  # as the SDK names the error


class NotSentError(Exception):
    """Error of the sending step: a request could not be sent, and the step is retried."""


class UnheardError(Exception):
    """Attempt that was not answered in time."""


class ClosedError(Exception):
    """Attempt whose callback was closed without a believed answer: its agent may still be at work."""


_CLOSED = f"{ClosedError.__module__}.{ClosedError.__qualname__}"


class RoundRun:
    """Sends the requests of one part of a round and waits for the answers."""

    def __init__(self, order: Order, round_order: RoundOrder, deps: CoordinatorDeps) -> None:
        self._order, self._round, self._deps = order, round_order, deps
        self._name = f"{round_order.number}.{round_order.part}"

    def run(self, context: DurableContext) -> RoundOutcome:
        """Run the part. Returns what it brought, settled."""
        wake = context.create_callback(name=f"wake-{self._name}")
        opened = context.step(lambda _: self._open(wake.callback_id), name=f"open-{self._name}")
        if not opened["go"]:
            return RoundOutcome(sent=False)
        registry = Registry(opened["keys"])
        answers, running = self._ask(context, wake, registry)
        part = self._part(wake.callback_id)
        settlement = RoundSettlement(self._order, self._deps)
        settled = context.step(
            lambda _: settlement.settle(part, answers, registry, running=running).write(), name=f"settle-{self._name}"
        )
        return RoundOutcome.read(settled)

    def _part(self, wake_id: str) -> RoundPart:
        ordered = self._round
        return RoundPart(number=ordered.number, part=ordered.part, attempts=ordered.attempts, wake_id=wake_id)

    def _open(self, wake_id: str) -> dict[str, Any]:
        """Store the part, then tell whether the session still goes on, with the keys of the agents to be asked.

        In this order: who cancels later finds the part, and completes its callback.
        """
        deps, key = self._deps, self._order.key
        deps.store.put_round(key, self._part(wake_id))
        session = deps.store.get(key)
        if session is None or session.status.final or session.cancelled_ms is not None:
            return {"go": False}
        agents = sorted({attempt.agent for attempt in self._round.attempts})
        registry = deps.registry()
        keys = {agent_uri(agent): [key.text for key in registry.keys_of(agent_uri(agent))] for agent in agents}
        return {"go": True, "keys": {principal: texts for principal, texts in keys.items() if texts}}

    def _ask(self, context: DurableContext, wake: Callback[Any], registry: Registry) -> tuple[dict[str, str], set[str]]:
        """Send all requests and wait.

        Returns the answers that verified, by message id of the request, and the ids that may still be answered.

        The SDK acts at once on an answer that arrives while nothing is checkpointed. One that arrives during another
        branch's checkpoint waits until something else wakes the execution
        (https://github.com/aws/aws-durable-execution-sdk-js/issues/510). So every branch waits until all callbacks are
        created and one step has sent all requests; behind it, nothing durable happens before the map's end.
        """
        attempts, required = self._round.attempts, self._round.required
        created, sent = Latch(len(attempts)), Latch(1)
        waiting: dict[int, str] = {}  # callbacks of requests that this invocation has not sent, by index of the attempt
        unsent: dict[str, str] = {}  # why, by message id of the request
        noted = _Noted(self._order, self._round, self._deps)

        def branch(branch_context: DurableContext, item: int, _index: int, _items: Sequence[int]) -> str:
            if item == _WAKE:
                created.wait()
                try:
                    unsent.update(self._send(branch_context, waiting))
                except SuspendExecution:
                    raise  # the step is retried while the other branches wait
                except BaseException:
                    sent.arrive(0)
                    raise
                sent.arrive(0)
                wake.result()
                return ""
            attempt = attempts[item - 1]
            try:
                callback = self._callback(branch_context, attempt)
                waiting[item - 1] = callback.callback_id
            finally:
                created.arrive(item - 1)
            sent.wait()
            if attempt.message_id in unsent:
                raise UnheardError(f"the request could not be sent: {unsent[attempt.message_id]}")
            payload, cost_nusd = self._answer(callback, attempt, registry)
            noted.note(attempt, cost_nusd)
            return payload

        def is_over(status: CompletionStatus) -> CompletionDecision:
            if not status.items:
                return continue_batch()
            if status.items[_WAKE].status in _ENDED:  # woken, or kept from being woken: the coordinator looks
                return complete_batch()
            ended = [one.status for one in status.items[1:] if one.status in _ENDED]
            enough = ended.count(BatchItemStatus.SUCCEEDED) >= required
            return complete_batch() if enough or len(ended) == len(attempts) else continue_batch()

        config = MapConfig(completion_config=CompletionConfig(should_complete=is_over), nesting_type=NestingType.FLAT)
        batch = context.map(range(len(attempts) + 1), branch, name=f"tasks-{self._name}", config=config)
        answers: dict[str, str] = {}
        running: set[str] = set()
        for item in batch.all:
            failed = item.error is not None and item.error.type == _FAILED_ANSWER
            payload = item.error.message if failed and item.error else item.result
            if item.index == _WAKE:
                continue
            if payload:
                answers[attempts[item.index - 1].message_id] = payload
            elif item.error is None or item.error.type == _CLOSED:
                running.add(attempts[item.index - 1].message_id)
        return answers, running

    def _callback(self, branch: DurableContext, attempt: Attempt) -> Callback[str]:
        # Irrelevant in a replay: the callback keeps the timeouts that it was created with.
        left_s = max(1, (self._order.tasks_deadline_ms - self._deps.now_ms()) // 1000)
        config = CallbackConfig(timeout=Duration(left_s), heartbeat_timeout=Duration(self._round.silence_s))
        return branch.create_callback(name=attempt.name, config=config)

    def _send(self, branch: DurableContext, waiting: dict[int, str]) -> dict[str, str]:
        """Send the waiting requests in one step; those that were sent wait no longer.

        Returns why a request could not be sent, by its message id. If it was sent all the same, its answer is found in
        its place. An interrupted step sends the same message ids again (idempotency).
        """

        def send(step: StepContext) -> dict[str, str]:
            indices = sorted(waiting)
            errors = self._deps.publisher.send([self._request(index, waiting[index]) for index in indices])
            unsent = {index: str(error) for index, error in zip(indices, errors, strict=True) if error is not None}
            for index in set(indices) - unsent.keys():
                del waiting[index]
            if unsent and step.attempt < _MAX_SENDS:
                raise NotSentError(next(iter(unsent.values())))
            return {self._round.attempts[index].message_id: why for index, why in unsent.items()}

        return branch.step(send, name=f"send-{self._name}", config=_SEND_RETRY)

    def _answer(self, callback: Callback[str], attempt: Attempt, registry: Registry) -> tuple[str, int]:
        """Wait for the believed answer that a task is done. Returns the answer and the cost that it states.

        Raises:
            FailedAnswerError: a believed answer says that the task failed.
            UnheardError: silence.
            ClosedError: anything else that closed the callback, which proves nothing about the agent that was asked.
        """
        try:
            payload = callback.result()
        except CallbackTimeoutError:
            raise UnheardError("no answer") from None
        except CallbackError:
            raise ClosedError("no signed answer") from None
        record = believed_answer(payload or "", attempt_id(self._order, attempt), registry)
        if record is None or payload is None:
            raise ClosedError("no answer that can be believed")
        if not record.done:
            raise FailedAnswerError(payload)
        return payload, record.cost_nusd

    def _request(self, index: int, callback_id: str) -> dict[str, Any]:
        """Return the draft of an attempt's request."""
        order, attempt, text = self._order, self._round.attempts[index], self._round.texts[index]
        task = Task(
            **order.key._asdict(),
            task_id=attempt.task_id,
            attempt=attempt.number,
            text=text,
            goal=order.goal or "",
            callback_id=callback_id,
            allowance_nusd=attempt.allowance_nusd,
            max_tokens=attempt.max_tokens,
            place=attempt.place(order.key),
        )
        now_ms = self._deps.now_ms()
        return compose(
            performative=Performative.REQUEST,
            sender=COORDINATOR,
            receiver=agent_uri(attempt.agent),
            conversation_id=conversation_uri(order.session_id),
            message_id=attempt.message_id,
            timestamp=now_ms,
            content=task.write(),
            citation=Citation(task_uri(order.session_id, attempt.task_id), evidence_hash(text.encode())),
            reply_by=max(order.tasks_deadline_ms, now_ms + 1),
        )


_ENDED = (BatchItemStatus.SUCCEEDED, BatchItemStatus.FAILED)


class _Noted:
    """Counts done tasks and their cost in this invocation, and writes them as progress when it is due."""

    def __init__(self, order: Order, round_order: RoundOrder, deps: CoordinatorDeps) -> None:
        self._order, self._round, self._deps = order, round_order, deps
        self._answered: dict[str, tuple[int, int]] = {}  # cost and allowance by message id

    def note(self, attempt: Attempt, cost_nusd: int) -> None:
        """Note a believed answer and the cost that it states."""
        self._answered[attempt.message_id] = min(cost_nusd, attempt.allowance_nusd), attempt.allowance_nusd
        if self._deps.progress.due(self._order.key.partition, self._round.part):
            spent, freed = (sum(amounts) for amounts in zip(*self._answered.values(), strict=True))
            progress = Progress(done=len(self._answered), spent_nusd=spent, freed_nusd=freed)
            try:
                self._deps.store.note_progress(self._order.key, self._round.number, self._round.part, progress)
            except Exception as error:  # noqa: BLE001  progress is only shown: the answer counts all the same
                self._deps.log.warning("progress not written", error=type(error).__name__)
