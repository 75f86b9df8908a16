"""Batches of the results queue: what is written, what is delivered again and when, and what is given up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from botocore.exceptions import BotoCoreError, ClientError

from infrafabric.bus.registry import RegistryUnavailableError
from infrafabric.recorder.history import DatabaseUnavailableError
from infrafabric.recorder.redelivery import LAST_RECEIVE, POISON_RECEIVES, redelivery_delay_s
from infrafabric.swarm.deps import DeadLetters, Log

UNAVAILABLE, POISON = "unavailable", "poison"
# Errors that end without a change of the message: an outage, or a refused call of AWS.
_TRANSIENT = (RegistryUnavailableError, DatabaseUnavailableError, BotoCoreError, ClientError)
# Time that one message may need while the database does not answer: a statement without an answer, a connection, and
# the statement again (infrafabric/recorder/connect.py, Timeouts).
LEAST_LEFT_MS = 30_000


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One delivery of a message of the results queue."""

    body: str
    session: str  # message group
    sqs_message_id: str
    receipt_handle: str
    receives: int  # deliveries so far, this one included


class Redeliveries(Protocol):
    """Queue whose failed messages can be delivered before its visibility timeout ends."""

    def redeliver_after(self, receipt_handle: str, delay_s: int) -> None: ...


@dataclass(frozen=True, kw_only=True)
class BatchDeps:
    """Side effects of handling a batch."""

    record: Callable[[str], None]  # as HistoryRecorder.record
    dead_letters: DeadLetters
    queue: Redeliveries
    random_unit: Callable[[], float]  # uniform in [0, 1)
    measure: Callable[[Mapping[str, float]], None]
    log: Log


class BatchRecorder:
    """Writes the messages of a batch in the order of each session."""

    def __init__(self, deps: BatchDeps) -> None:
        self._deps = deps

    def record(self, deliveries: Sequence[Delivery], left_ms: Callable[[], int]) -> list[Delivery]:
        """Write a batch. Returns the messages that SQS must deliver again; their redelivery is set to come soon.

        After a failure the rest of the session waits with the failed message, so that order holds. While database or
        registry are unavailable all the rest waits: every try would take seconds and fail, too.

        Args:
            left_ms: returns the time that is left of the invocation.
        """
        waiting: list[Delivery] = []
        problems: list[str] = []
        unavailable = False
        for delivery in deliveries:
            held_up = any(delivery.session == other.session for other in waiting)
            if held_up or unavailable or left_ms() < LEAST_LEFT_MS:
                waiting.append(delivery)
                continue
            try:
                self._deps.record(delivery.body)
            except Exception as error:  # noqa: BLE001  one message must not fail the messages of other sessions
                unavailable = isinstance(error, RegistryUnavailableError | DatabaseUnavailableError)
                problems.append(f"{type(error).__name__}: {error}")
                if not self._gave_up(delivery, error):
                    waiting.append(delivery)
        if waiting:
            self._deliver_again(waiting, problems)
        return waiting

    def _gave_up(self, delivery: Delivery, error: Exception) -> bool:
        """Dead-letter a message that failed at its last delivery. Returns whether it was dead-lettered."""
        transient = isinstance(error, _TRANSIENT)
        reason, last = (UNAVAILABLE, LAST_RECEIVE) if transient else (POISON, POISON_RECEIVES)
        if delivery.receives < last:
            return False
        detail = f"{type(error).__name__} at delivery {delivery.receives}: {error}"
        try:
            self._deps.dead_letters.dead_letter(delivery.body, reason, detail)
        except (BotoCoreError, ClientError) as failure:
            self._deps.log.warning("message not dead-lettered", error=str(failure))
            return False
        self._deps.log.warning("message given up", reason=reason, detail=detail)
        return True

    def _deliver_again(self, waiting: Sequence[Delivery], problems: Sequence[str]) -> None:
        """Shorten the visibility timeouts, log one line, and count the messages."""
        deps, delay_s = self._deps, 0
        try:
            for delivery in waiting:
                delay_s = redelivery_delay_s(delivery.receives, random_unit=deps.random_unit())
                deps.queue.redeliver_after(delivery.receipt_handle, delay_s)
        except (BotoCoreError, ClientError) as failure:  # they come when the queue's own visibility timeout ends
            problems = [*problems, f"visibility not changed: {failure}"]
        sessions = len({delivery.session for delivery in waiting})
        error = "; ".join(problems) or "no time left"
        deps.log.warning("records wait", messages=len(waiting), sessions=sessions, delay_s=delay_s, error=error)
        deps.measure({"RecordsDelayed": len(waiting)})
