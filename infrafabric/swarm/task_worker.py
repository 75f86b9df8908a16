"""Task worker: an agent's handling of one delivery, from verification to the answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from infrafabric.backoff import Patience, model_call_timeout_s, redelivery_delay_s, throttle_delay_s
from infrafabric.bus.envelope import Envelope, parse
from infrafabric.bus.refusal import Reason, Refused
from infrafabric.bus.registry import RegistryUnavailableError
from infrafabric.bus.structure import Performative
from infrafabric.bus.uris import COORDINATOR
from infrafabric.bus.verify import verify
from infrafabric.models import errors, prompts
from infrafabric.money import usd
from infrafabric.swarm.breaker import Sign
from infrafabric.swarm.deps import AgentDeps
from infrafabric.swarm.failure_reasons import BUDGET, CANCELLED, DEADLINE, LOST
from infrafabric.swarm.leases import CopyId, Lease, LeaseHeldError, LeaseState
from infrafabric.swarm.limits import LEAST_TOKENS
from infrafabric.swarm.object_keys import result_key
from infrafabric.swarm.result_document import AttemptId, within_limits
from infrafabric.swarm.shapes.cancel import Cancel
from infrafabric.swarm.shapes.shape import BadShapeError, Shape
from infrafabric.swarm.shapes.task import Task
from infrafabric.swarm.status import TaskStatus
from infrafabric.swarm.task_answers import CallOutcome, Job, TaskAnswers

S = TypeVar("S", bound=Shape)

POISON, POISON_FAILURES = "poison", 3  # below the queue's own maxReceiveCount (5 or more), which stores no reason
NOT_THE_COORDINATOR, NOT_A_REQUEST = "not-the-coordinator", "not-a-request"
_DEADLINE_MARGIN_MS = 1_000  # a call that times out this close to the deadline was ended by the deadline
_NO_DEADLINE_MS = 1 << 52


class BadRequestError(ValueError):
    """Trusted message that is not a task from the coordinator; dead-lettered with the reason."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One delivery of an SQS message."""

    body: str
    copy: CopyId
    receipt_handle: str
    receives: int  # deliveries so far, this one included, and those that Lambda throttled
    left_ms: Callable[[], int]  # time that is left of the invocation


class TaskWorker:
    """Processes an agent's tasks: verify, take the lease, ask the model, store the result, answer."""

    def __init__(self, deps: AgentDeps) -> None:
        self._deps = deps
        self._answers = TaskAnswers(deps)

    def handle(self, delivery: Delivery) -> None:
        """Process one delivery; a message that fails repeatedly is poison and goes to the dead-letter queue.

        Raises:
            Exception: any error of ``process``, while another delivery may still succeed.
        """
        try:
            self.process(delivery)
        except LeaseHeldError as held:
            remaining_s = max(0, held.until_ms - self._deps.now_ms()) // 1000 + 1
            self._redeliver_after(delivery, remaining_s)
            raise
        except RegistryUnavailableError as error:
            # Nobody knows whether the message is good. A fresh copy waits, so that an outage counts as no receive: a
            # good message is neither poison nor dead-lettered by the queue.
            delay_s = redelivery_delay_s(delivery.receives, random_unit=self._deps.random_unit())
            copy = delivery.copy
            self._deps.queue.put_back(delivery.body, origin=copy.origin, put_backs=copy.put_backs, delay_s=delay_s)
            self._deps.log.warning("registry unavailable", error=str(error), delay_s=delay_s)
        except Exception as error:
            failures = self._failures(delivery)
            if failures < POISON_FAILURES:
                delay_s = redelivery_delay_s(failures, random_unit=self._deps.random_unit())
                self._redeliver_after(delivery, delay_s)
                raise
            sqs_message_id = delivery.copy.sqs_message_id
            self._deps.log.warning(
                "message is poison", error=type(error).__name__, failures=failures, sqs_message_id=sqs_message_id
            )
            detail = f"{type(error).__name__} at failure {failures}"
            self._deps.dead_letters.dead_letter(delivery.body, POISON, detail)

    def process(self, delivery: Delivery) -> None:
        """Process one message to its end.

        Raises:
            LeaseHeldError: another invocation works on the message; the message must be delivered again.
            RegistryUnavailableError: the sender cannot be verified now; likewise.
            botocore.exceptions.ClientError: AWS refused a call; likewise.
        """
        deps = self._deps
        try:
            message = self._verified_message(delivery.body, deps.now_ms())
            if message.performative is Performative.CANCEL:
                self._cancel(message)
                return
            job = self._job(message, delivery)
        except (Refused, BadRequestError) as refused:
            if refused.reason is Reason.STALE and self._is_done_late(delivery):
                return
            sqs_message_id = delivery.copy.sqs_message_id
            deps.log.warning(
                "message refused", reason=str(refused.reason), detail=refused.detail, sqs_message_id=sqs_message_id
            )
            deps.dead_letters.dead_letter(delivery.body, str(refused.reason), refused.detail)
            return
        lease = deps.leases.take(
            job.envelope.message_id,
            lease_ms=max(1, delivery.left_ms()),
            copy=delivery.copy,
            sent_ms=job.envelope.timestamp,
        )
        if lease.state is LeaseState.GRANTED:
            self._work(job, lease)
        else:
            self._answer_taken(job, lease)

    def _failures(self, delivery: Delivery) -> int:
        """Return how often the message failed in our code, this time included.

        What cannot be counted now is the first failure: the message stays in the queue, and nothing calls it poison.
        """
        try:
            return self._deps.leases.note_failure(delivery.copy.sqs_message_id)
        except Exception as error:  # noqa: BLE001  the failure itself is raised
            self._deps.log.warning("failure not counted", error=type(error).__name__)
            return 1

    # -- verification --------------------------------------------------------------------------------------------------

    def _verified_message(self, body: str, now_ms: int) -> Envelope:
        """Return the verified message if it is a request or a cancel of the coordinator: others may not order work."""
        envelope = verify(body, registry=self._deps.registry(), now_ms=now_ms, receiver=self._deps.principal)
        if envelope.sender != COORDINATOR:
            text = f"{envelope.sender} sent the message, and agents work for {COORDINATOR} only"
            raise BadRequestError(NOT_THE_COORDINATOR, text)
        if envelope.performative not in (Performative.REQUEST, Performative.CANCEL):
            text = f"an agent acts on a request or a cancel, and the message is of type {envelope.performative}"
            raise BadRequestError(NOT_A_REQUEST, text)
        return envelope

    def _job(self, envelope: Envelope, delivery: Delivery) -> Job:
        task, agent = self._content(envelope, Task), self._deps.agent
        own_place = result_key(task.key, agent, task.task_id, task.attempt)
        if task.place != own_place:
            raise BadRequestError(Reason.BAD_CONTENT, f"content.place: must be {own_place}, where {agent} may write")
        attempt = AttemptId(
            key=task.key,
            task_id=task.task_id,
            agent=agent,
            attempt=task.attempt,
            request=envelope.message_id,
            place=task.place,
        )
        prompt = prompts.agent(agent=agent, session_id=task.session_id, goal=task.goal, task=task.text)
        return Job(envelope, task, attempt, prompt, delivery.body, delivery.copy, delivery.left_ms)

    def _content(self, envelope: Envelope, shape: type[S]) -> S:
        try:
            return shape.read(self._deps.objects.resolve(envelope.content))
        except BadShapeError as error:
            raise BadRequestError(Reason.BAD_CONTENT, f"content.{error.problem}") from None

    def _cancel(self, envelope: Envelope) -> None:
        """Note that the coordinator needs no answer to some requests; a model call that runs already is not stopped."""
        cancel = self._content(envelope, Cancel)
        for message_id in cancel.requests:
            self._deps.leases.cancel(message_id)
        self._deps.log.info("requests cancelled", session_id=cancel.session_id, requests=len(cancel.requests))

    # -- repeated deliveries -------------------------------------------------------------------------------------------

    def _is_done_late(self, delivery: Delivery) -> bool:
        """Tell whether a message past its deadline is a repeated delivery of finished work, or a cancel.

        If an agent dies after the work, SQS delivers the message again when the queue's visibility timeout ends, often
        later than the session's deadline. The coordinator has looked into the attempt's place by then.
        """
        try:
            message = self._verified_message(delivery.body, parse(delivery.body).timestamp)  # verified, except for age
            if message.performative is Performative.CANCEL:
                return True
            return self._answers.stored(self._job(message, delivery)) is not None
        except (Refused, BadRequestError):
            return False

    def _answer_taken(self, job: Job, lease: Lease) -> None:
        """Answer a message that was leased before, without asking the model again.

        SQS may deliver a message twice, a put-back may leave several copies of it, and a coordinator that crashed sends
        it again. One of all these is worked on, or waits to be; the others are dropped. Another message with the same
        IF.bus message id is a replay: it is answered too, since the first answer may be lost, and dead-lettered.

        Raises:
            LeaseHeldError: another invocation works on the message.
        """
        kin = lease.is_for_kin(job.copy, job.envelope.timestamp)
        if kin and not lease.is_for(job.copy):
            self._deps.log.info("copy dropped", **_ids(job), put_backs=job.copy.put_backs)
            return
        if kin and lease.state is LeaseState.PUT_BACK:
            # Its holder died before it sent the copy, or SQS delivers the message twice: one copy too many is dropped.
            self._send_copy(job, lease.copy.put_backs, self._delay_s(job) or 0)
            return
        earlier = self._answers.stored(job)
        if earlier is not None:
            self._answers.repeat(job, earlier)
            if not kin:
                self._refuse_replay(job, "was done before")
        elif lease.state is LeaseState.PUT_BACK:
            self._refuse_replay(job, "waits in the queue")
        elif lease.state is LeaseState.HELD:
            raise LeaseHeldError(job.envelope.message_id, until_ms=lease.until_ms)
        elif lease.state is LeaseState.CANCELLED:
            self._answers.decline(job, CANCELLED, "the coordinator needs no answer")
        else:
            detail = "the function that worked on it ended without a result"
            self._answers.decline(job, LOST, detail, spent_nusd=job.task.allowance_nusd)

    def _refuse_replay(self, job: Job, why: str) -> None:
        detail = f"the work of {job.envelope.message_id} {why}"
        self._deps.dead_letters.dead_letter(job.body, str(Reason.REPLAYED), detail)

    # -- the model call ------------------------------------------------------------------------------------------------

    def _work(self, job: Job, lease: Lease) -> None:
        """Ask the model, if the allowance pays an answer of useful length."""
        allowance_nusd = job.task.allowance_nusd
        max_tokens = min(job.task.max_tokens, self._deps.model.affordable_tokens(job.prompt, allowance_nusd))
        if max_tokens < LEAST_TOKENS:
            detail = f"{usd(allowance_nusd):.6f} USD do not pay a model call with {LEAST_TOKENS} tokens of answer"
            self._answers.decline(job, BUDGET, detail)
            return
        self._ask_model(job, lease, max_tokens)

    def _ask_model(self, job: Job, lease: Lease, max_tokens: int) -> None:
        deps = self._deps
        closed_ms = deps.breaker.enter()
        if closed_ms:
            self._wait_for_api(job, lease, closed_ms)
            return
        started_ms, sign = deps.now_ms(), Sign.BUSY
        timeout_s = min(model_call_timeout_s(job.left_ms() / 1000), (_deadline_ms(job) - started_ms) / 1000)
        try:
            with self._heartbeats(job.task.callback_id):
                output = prompts.agent_answer()
                completion = deps.model.ask(job.prompt, output, max_tokens=max_tokens, timeout_s=max(0.1, timeout_s))
            sign = Sign.ANSWERS
        except errors.ModelError as error:
            late = isinstance(error, errors.TimedOut) and deps.now_ms() >= _deadline_ms(job) - _DEADLINE_MARGIN_MS
            sign = Sign.BUSY if late else _sign_of(error)
            if error.retryable and error.billed is False and self._retry_later(job, lease, error):
                return
            self._settle_failure(job, DEADLINE if late else error.slug, error, started_ms)
            return
        finally:
            deps.breaker.leave(sign)
        cost_nusd = deps.model.cost_nusd(completion.usage)
        members = {
            "model": completion.model_id,
            "offline": completion.offline,
            "findings": within_limits([finding.model_dump() for finding in completion.value.findings]),
            "summary": completion.value.summary,
        }
        outcome = CallOutcome(status=TaskStatus.DONE, members=members, spent_nusd=cost_nusd, usage=completion.usage)
        self._settle(job, outcome, started_ms)

    def _wait_for_api(self, job: Job, lease: Lease, closed_ms: int) -> None:
        """Put a message back until the breaker lets a call through, or refuse the task if that is too late."""
        delay_s = self._delay_s(job, closed_ms / 1000)
        if delay_s is None:
            detail = "the model API did not answer before, and no call was made (circuit breaker)"
            self._answers.decline(job, errors.Unreachable.slug, detail)
            return
        self._put_back(job, lease, delay_s, "breaker")

    def _retry_later(self, job: Job, lease: Lease, error: errors.ModelError) -> bool:
        """Put a message back whose call cost nothing and may succeed later, if a delay ends before the deadline."""
        delay_s = self._delay_s(job, error.retry_after_s)
        if delay_s is None:
            return False
        self._put_back(job, lease, delay_s, error.slug)
        return True

    def _settle_failure(self, job: Job, reason: str, error: errors.ModelError, started_ms: int) -> None:
        """Store and answer a failed call as a successful one."""
        spent_nusd = self._cost_of_failure(error, job.task.allowance_nusd)
        outcome = CallOutcome(
            status=TaskStatus.FAILED,
            members={"model": self._deps.model.model_id, "error": {"reason": reason, "detail": str(error)}},
            spent_nusd=spent_nusd,
            usage=error.usage,
            reason=reason,
            detail=str(error),
        )
        self._settle(job, outcome, started_ms)

    def _settle(self, job: Job, outcome: CallOutcome, started_ms: int) -> None:
        """Measure a call, in the one line of the log that each task leaves, and answer with its outcome."""
        usage, task, duration_ms = outcome.usage, job.task, self._deps.now_ms() - started_ms
        done = outcome.status is TaskStatus.DONE
        values: dict[str, float] = {"CompletionStatus": 0 if done else 1, "CostUsd": usd(outcome.spent_nusd)}
        if done and usage is not None:
            values |= {"ExecutionTime": duration_ms, "TokensConsumed": usage.total}
        self._deps.measure(
            values,
            event="agent_complete",
            agent=self._deps.agent,
            session_id=task.session_id,
            task_id=task.task_id,
            attempt=task.attempt,
            status=str(outcome.status),
            reason=outcome.reason,
            tokens_in=usage.prompt if usage else 0,
            tokens_out=usage.output_tokens if usage else 0,
            duration_ms=duration_ms,
            cost_usd=usd(outcome.spent_nusd),
            trace=self._deps.trace_id(),
        )
        self._answers.settle(job, outcome, started_ms)

    def _cost_of_failure(self, error: errors.ModelError, allowance_nusd: int) -> int:
        """Return the cost of a failed call: the whole allowance if nobody knows it."""
        if error.usage is not None:
            return self._deps.model.cost_nusd(error.usage)
        return allowance_nusd if error.billed is None else 0

    # -- delays --------------------------------------------------------------------------------------------------------

    def _delay_s(self, job: Job, retry_after_s: float = 0.0) -> int | None:
        """Return the delay of a put-back in seconds, or None if no delay ends before the deadline.

        The coordinator declares an agent silent after two heartbeats or more, so no delay is longer.
        """
        patience = Patience(longest_s=max(1, min(900, int(2 * self._deps.heartbeat_s))))
        left_s = (_deadline_ms(job) - self._deps.now_ms()) / 1000
        return throttle_delay_s(
            job.copy.put_backs,
            left_s=left_s,
            random_unit=self._deps.random_unit(),
            retry_after_s=retry_after_s,
            patience=patience,
        )

    def _put_back(self, job: Job, lease: Lease, delay_s: int, why: str) -> None:
        """Put a message back, as the holder of its lease alone may.

        The lease is freed first: if the function dies before it sends the copy, SQS delivers the original again.
        """
        put_backs = job.copy.put_backs + 1
        if not self._deps.leases.put_back(job.envelope.message_id, lease):
            self._deps.log.warning("lease lost", **_ids(job))
            return
        self._send_copy(job, put_backs, delay_s)
        self._deps.log.info("task put back", **_ids(job), why=why, delay_s=delay_s, put_backs=put_backs)

    def _send_copy(self, job: Job, put_backs: int, delay_s: int) -> None:
        self._deps.queue.put_back(job.body, origin=job.copy.origin, put_backs=put_backs, delay_s=delay_s)
        self._deps.callbacks.send_heartbeat(job.task.callback_id)  # a waiting task is not a silent one

    def _redeliver_after(self, delivery: Delivery, delay_s: int) -> None:
        try:
            self._deps.queue.redeliver_after(delivery.receipt_handle, delay_s)
        except Exception as error:  # noqa: BLE001  the queue's visibility timeout brings the message back anyway
            self._deps.log.warning("message comes back late", error=type(error).__name__)

    @contextmanager
    def _heartbeats(self, callback_id: str) -> Iterator[None]:
        """Send heartbeats during a model call, so that a long call is not mistaken for a dead agent."""
        over = threading.Event()

        def send() -> None:
            while not over.wait(self._deps.heartbeat_s):
                self._deps.callbacks.send_heartbeat(callback_id)

        thread = threading.Thread(target=send, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def _ids(job: Job) -> dict[str, str]:
    return {"session_id": job.task.session_id, "task_id": job.task.task_id}


def _sign_of(error: errors.ModelError) -> Sign:
    if isinstance(error, errors.Throttled):
        return Sign.BUSY
    return Sign.FAILS if error.retryable else Sign.ANSWERS


def _deadline_ms(job: Job) -> int:
    return _NO_DEADLINE_MS if job.envelope.reply_by is None else job.envelope.reply_by
