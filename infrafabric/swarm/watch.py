"""The watch over running sessions: which are lost, which never started, which are stuck; what is done about each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from infrafabric.swarm.session import Order, Status, outcome
from infrafabric.swarm.store import SessionStore
from infrafabric.telemetry import EventLog

LOST_MS = 300_000  # past its deadline by so much, a session that says it runs has lost its coordinator
UNSTARTED_MS = 120_000  # the API starts a session within its own 29 s, or its client repeats the request
LOST = "the coordinator was lost: no report by the deadline"
Item = Mapping[str, Any]  # a SESSION item of the table


class State(StrEnum):
    """How a live session does."""

    FINE = "fine"
    UNSTARTED = "unstarted"  # written, but the api function broke off before it started the coordinator
    STUCK = "stuck"  # no claim and no answer for long, and there is time left
    LOST = "lost"


@dataclass(frozen=True, kw_only=True)
class WatchDeps:
    """Everything the watch does to the world."""

    now_ms: Callable[[], int]
    store: SessionStore
    start: Callable[[Order], str]  # starts the coordinator, once for a session id; returns the execution's ARN
    restart: Callable[[Order], str]  # starts it once more, to go on with what is not done
    wrap_up: Callable[[Order], str]  # starts it once more, to report on a session that lost it
    is_over: Callable[[str], bool]  # whether an execution has ended, by its ARN
    measure: Callable[[Mapping[str, float]], None]
    log: EventLog
    stuck_ms: int


def is_lost(item: Item, *, now_ms: int) -> bool:
    return not Status(item["status"]).final and now_ms > int(item["deadline_ms"]) + LOST_MS


def left(item: Item) -> Status:
    """How a session whose coordinator was lost ends: by what its tasks came to."""
    return outcome(int(item["tasks_done"]), int(item["tasks_total"]), float(item["quorum"]))


def end_lost(item: Item, store: SessionStore) -> None:
    """End a session whose coordinator was lost."""
    store.end(item["pk"], left(item), reason=LOST)


def give_up_lost(item: Item, store: SessionStore, wrap_up: Callable[[Order], str]) -> bool:
    """End a session whose coordinator was lost, and have a second execution report what its tasks came to.

    Returns False when it has no order: the API did not make it, so nobody reports on it.
    """
    order = _order(item["pk"], store)
    if order is not None:
        wrap_up(order)  # first: if this fails, the session still counts as live and whoever looks next repeats it
    end_lost(item, store)
    return order is not None


def quiet_ms(item: Item, *, now_ms: int) -> int:
    """How long nobody has claimed a task of the session, answered one or planned it."""
    return now_ms - int(item.get("updated_ms", item["created_ms"]))


def state(item: Item, *, now_ms: int, stuck_ms: int) -> State:
    """How a session does that has not ended."""
    if is_lost(item, now_ms=now_ms):
        return State.LOST
    quiet = quiet_ms(item, now_ms=now_ms)
    if item["status"] == Status.PENDING and "execution_arn" not in item and quiet > UNSTARTED_MS:
        return State.UNSTARTED
    return State.STUCK if quiet > stuck_ms else State.FINE


def look(deps: WatchDeps) -> dict[str, int]:
    """One round: lost sessions are ended and reported on, unstarted ones started, stuck ones counted for the alarm, and
    those of them whose execution is over are started once more.

    Others that are stuck are left alone: Lambda resumes a running execution and the coordinator gives a silent agent's
    tasks to others by itself, so a second execution beside the first would only pay for the same fault twice.
    """
    now_ms = deps.now_ms()
    live = list(deps.store.live())
    states = [(item, state(item, now_ms=now_ms, stuck_ms=deps.stuck_ms)) for item in live]
    problems = [problem for item, found in states if (problem := _tried(item, found, deps))]
    count = Counter(found for _, found in states)
    longest = _longest(quiet_ms(item, now_ms=now_ms) for item, found in states if found is not State.LOST)
    # Zeros too: an alarm that hears nothing knows that nobody watches.
    deps.measure(
        {
            "SessionsLive": len(live) - count[State.LOST],
            "SessionsStuck": count[State.STUCK],
            "SessionsLost": count[State.LOST],
            "LongestQuietS": longest // 1000,
        }
    )
    if problems:
        raise problems[0]
    return {str(each): count[each] for each in State}


def _tried(item: Item, found: State, deps: WatchDeps) -> Exception | None:
    """What came in the way of doing what is to be done. The next round tries again; meanwhile it holds up no other."""
    try:
        _act(item, found, deps)
    except Exception as error:  # noqa: BLE001  raised once all sessions were looked at
        deps.log.warning("session not helped", session_id=item["pk"], why=str(error))
        return error
    return None


def _act(item: Item, found: State, deps: WatchDeps) -> None:
    if found is State.LOST:
        ordered = give_up_lost(item, deps.store, deps.wrap_up)
    elif found is State.UNSTARTED:
        ordered = _start(item["pk"], deps.start, deps)
    elif found is State.STUCK and "execution_arn" in item and deps.is_over(item["execution_arn"]):
        ordered = _start(item["pk"], deps.restart, deps)
    else:
        ordered = True
    if not ordered:  # written by nobody who may order work
        deps.log.warning("session without an order", session_id=item["pk"])
    if found is not State.FINE:
        deps.log.warning(f"session {found}", session_id=item["pk"], status=str(item["status"]))


def _start(session_id: str, start: Callable[[Order], str], deps: WatchDeps) -> bool:
    """False when it has no order: it ends as lost."""
    order = _order(session_id, deps.store)
    if order is None:
        return False
    # The execution is called after the session: a start that did succeed, unseen, is not made twice.
    deps.store.note_execution(session_id, start(order))
    return True


def _order(session_id: str, store: SessionStore) -> Order | None:
    try:
        return store.order(session_id)
    except LookupError:
        return None


def _longest(spans_ms: Iterable[int]) -> int:
    return max(spans_ms, default=0)
