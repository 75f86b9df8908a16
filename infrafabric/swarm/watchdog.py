"""Watchdog: finds live sessions that are lost, unstarted or stuck, and repairs what can be repaired."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from infrafabric.swarm.deps import Log, LostSessionStore
from infrafabric.swarm.lost_sessions import as_lost, is_lost
from infrafabric.swarm.session_errors import NoOrderError
from infrafabric.swarm.session_key import SessionKey
from infrafabric.swarm.shapes.order import Order
from infrafabric.swarm.shapes.session_item import SessionItem
from infrafabric.swarm.shapes.shape import BadShapeError, OnUnreadable
from infrafabric.swarm.status import SessionStatus

UNSTARTED_AFTER_MS = 120_000  # the API starts a session within its own 29 s, or its client retries the request


class Health(StrEnum):
    """Health of a live session."""

    FINE = "fine"
    UNSTARTED = "unstarted"  # written, but the api function broke off before it started the coordinator
    STUCK = "stuck"  # no round and no answer for long, and the deadline is not over
    LOST = "lost"


class WatchdogStore(LostSessionStore, Protocol):
    """Sessions as the watchdog reads and writes them."""

    def live_sessions(self, unreadable: OnUnreadable) -> Iterable[SessionItem]: ...
    def note_execution(self, key: SessionKey, execution_arn: str) -> None: ...


class Executions(Protocol):
    """Executions of the coordinator; each start is idempotent and returns the execution's ARN."""

    def start(self, order: Order) -> str: ...
    def resume(self, order: Order) -> str: ...
    def wrap_up(self, order: Order) -> str: ...
    def has_ended(self, execution_arn: str) -> bool: ...


@dataclass(frozen=True, kw_only=True)
class WatchdogDeps:
    """Side effects of the watchdog."""

    now_ms: Callable[[], int]
    store: WatchdogStore
    executions: Executions
    measure: Callable[[Mapping[str, float]], None]
    log: Log
    stuck_ms: int


def quiet_ms(session: SessionItem, *, now_ms: int) -> int:
    """Return the time since a session's latest plan, round or progress, in milliseconds."""
    return now_ms - (session.created_ms if session.updated_ms is None else session.updated_ms)


def health(session: SessionItem, *, now_ms: int, stuck_ms: int) -> Health:
    """Return the health of a session that has not ended."""
    if is_lost(session, now_ms=now_ms):
        return Health.LOST
    quiet = quiet_ms(session, now_ms=now_ms)
    if session.status is SessionStatus.PENDING and not session.execution_arn and quiet > UNSTARTED_AFTER_MS:
        return Health.UNSTARTED
    return Health.STUCK if quiet > stuck_ms else Health.FINE


class SessionWatchdog:
    """Repairs live sessions, in rounds."""

    def __init__(self, deps: WatchdogDeps) -> None:
        self._deps = deps

    def run(self) -> dict[str, int]:
        """End lost sessions, start unstarted ones, count stuck ones and resume those whose execution has ended.

        Other stuck sessions are left alone: Lambda resumes a running execution, and the coordinator gives a silent
        agent's tasks to other agents. A second execution beside the first would only pay for the same fault twice.

        Returns:
            The number of sessions per health.

        Raises:
            Exception: the first error that kept a session from being read or repaired, after all sessions were visited.
        """
        now_ms, problems = self._deps.now_ms(), list[Exception]()

        def note_unreadable(session_id: str, error: BadShapeError) -> None:
            self._deps.log.warning("session not readable", session_id=session_id, why=str(error))
            problems.append(error)

        live = list(self._deps.store.live_sessions(note_unreadable))
        states = [(session, health(session, now_ms=now_ms, stuck_ms=self._deps.stuck_ms)) for session in live]
        problems += [problem for session, state in states if (problem := self._try_repair(session, state))]
        count = Counter(state for _, state in states)
        quiet = (quiet_ms(session, now_ms=now_ms) for session, state in states if state is not Health.LOST)
        # Zeros too: an alarm without data knows that the watchdog itself is dead.
        self._deps.measure(
            {
                "SessionsLive": len(live) - count[Health.LOST],
                "SessionsStuck": count[Health.STUCK],
                "SessionsLost": count[Health.LOST],
                "LongestQuietS": max(quiet, default=0) // 1000,
            }
        )
        if problems:
            raise problems[0]
        return {str(state): count[state] for state in Health}

    def _try_repair(self, session: SessionItem, state: Health) -> Exception | None:
        """Repair a session; return the error instead of raising the error, to not hold up other sessions."""
        try:
            self._repair(session, state)
        except Exception as error:  # noqa: BLE001  raised once all sessions were visited
            self._deps.log.warning("session not repaired", session_id=session.session_id, why=str(error))
            return error
        return None

    def _repair(self, session: SessionItem, state: Health) -> None:
        deps, has_order = self._deps, True
        if state is Health.LOST:
            has_order = self._end_lost(session)
        elif state is Health.UNSTARTED:
            has_order = self._start(session, deps.executions.start)
        elif state is Health.STUCK and session.execution_arn and deps.executions.has_ended(session.execution_arn):
            has_order = self._start(session, deps.executions.resume)
        if not has_order:  # not created by the API, so it may order no work
            deps.log.warning("session without an order", session_id=session.session_id)
        if state is not Health.FINE:
            deps.log.warning(f"session {state}", session_id=session.session_id, status=str(session.status))

    def _end_lost(self, session: SessionItem) -> bool:
        """Have a second execution report on a lost session and end it.

        If that execution has ended too, the session ends with the numbers of its item. Returns False for a session
        without an order, on which nothing can report.
        """
        deps = self._deps
        try:
            execution = deps.executions.wrap_up(deps.store.order(session.key))
        except NoOrderError:
            deps.store.end(as_lost(session, now_ms=deps.now_ms()))
            return False
        if deps.executions.has_ended(execution):
            deps.store.end(as_lost(session, now_ms=deps.now_ms()))
        return True

    def _start(self, session: SessionItem, start: Callable[[Order], str]) -> bool:
        """Start an execution. Returns False for a session without an order, which will end as lost."""
        try:
            order = self._deps.store.order(session.key)
        except NoOrderError:
            return False
        # The execution's name follows from the session, so a start whose success got lost is not repeated.
        self._deps.store.note_execution(session.key, start(order))
        return True
