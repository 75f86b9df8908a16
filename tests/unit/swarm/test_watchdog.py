"""Watchdog with fakes for its side effects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from infrafabric.swarm.lost_sessions import LOST_AFTER_MS, LOST_REASON
from infrafabric.swarm.session_errors import NoOrderError
from infrafabric.swarm.shapes.order import Order
from infrafabric.swarm.shapes.session_item import SessionItem
from infrafabric.swarm.shapes.shape import BadShapeError, OnUnreadable
from infrafabric.swarm.status import SessionStatus
from infrafabric.swarm.watchdog import UNSTARTED_AFTER_MS, Health, SessionWatchdog, WatchdogDeps, health
from tests.unit.swarm.orders import an_order

NOW = 1_800_000_000_000
MINUTE_MS = 60_000
STUCK_MS = 30 * MINUTE_MS


def session(name: str = "s", *, quiet_ms: int = 0, left_ms: int = 3_600_000, **changes: Any) -> SessionItem:
    """Return a running session that last moved ``quiet_ms`` ago."""
    members: dict[str, Any] = {
        "session_id": name,
        "status": SessionStatus.RUNNING,
        "created_ms": NOW - 7_200_000,
        "updated_ms": NOW - quiet_ms,
        "deadline_ms": NOW + left_ms,
        "execution_arn": "arn:e",
        "budget_nusd": 10**9,
        "tasks_total": 4,
    }
    return SessionItem(**{**members, **changes})


def unstarted(name: str = "s", *, age_ms: int, execution_arn: str = "") -> SessionItem:
    """Return a session that the API wrote and did not start."""
    return session(
        name, status=SessionStatus.PENDING, created_ms=NOW - age_ms, updated_ms=None, execution_arn=execution_arn
    )


@dataclass
class World:
    """State of the fakes, and what the watchdog did."""

    sessions: list[SessionItem]
    unreadable: list[str] = field(default_factory=list)
    ended: dict[str, tuple[SessionStatus, str]] = field(default_factory=dict)
    started: list[str] = field(default_factory=list)
    resumed: list[str] = field(default_factory=list)
    wrapped_up: list[str] = field(default_factory=list)
    all_executions_ended: bool = False
    lambda_is_down: bool = False
    noted: dict[str, str] = field(default_factory=dict)
    measured: list[dict[str, float]] = field(default_factory=list)
    events: list[tuple[str, str]] = field(default_factory=list)

    def run(self) -> dict[str, int]:
        deps = WatchdogDeps(
            now_ms=lambda: NOW,
            store=_Store(self),
            executions=_Executions(self),
            measure=self._measure,
            log=_Log(self),
            stuck_ms=STUCK_MS,
        )
        return SessionWatchdog(deps).run()

    def _measure(self, values: Mapping[str, float]) -> None:
        self.measured.append(dict(values))


@dataclass
class _Store:
    world: World

    def live_sessions(self, unreadable: OnUnreadable) -> list[SessionItem]:
        for session_id in self.world.unreadable:
            unreadable(session_id, BadShapeError("SessionItem", "labels: input should be a valid tuple"))
        return self.world.sessions

    def order(self, session_id: str) -> Order:
        if session_id == "forged":
            raise NoOrderError(session_id)
        return an_order(session_id=session_id)

    def end(self, session_id: str, status: SessionStatus, *, reason: str) -> bool:
        self.world.ended[session_id] = (status, reason)
        return True

    def note_execution(self, session_id: str, execution_arn: str) -> None:
        self.world.noted[session_id] = execution_arn


@dataclass
class _Executions:
    world: World

    def start(self, order: Order) -> str:
        self.world.started.append(order.session_id)
        return f"arn:{order.session_id}"

    def resume(self, order: Order) -> str:
        self.world.resumed.append(order.session_id)
        return f"arn:again:{order.session_id}"

    def wrap_up(self, order: Order) -> str:
        if self.world.lambda_is_down:
            raise ConnectionError("Lambda is down")
        self.world.wrapped_up.append(order.session_id)
        return f"arn:{order.session_id}"

    def has_ended(self, execution_arn: str) -> bool:
        return self.world.all_executions_ended


@dataclass
class _Log:
    world: World

    def info(self, event: str, **fields: Any) -> None:
        self.warning(event, **fields)

    def warning(self, event: str, **fields: Any) -> None:
        self.world.events.append((event, fields["session_id"]))


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (session(quiet_ms=STUCK_MS), Health.FINE),
        (session(quiet_ms=STUCK_MS + 1), Health.STUCK),
        (session(left_ms=-LOST_AFTER_MS), Health.FINE),
        (session(left_ms=-LOST_AFTER_MS - 1), Health.LOST),
        (session(left_ms=-LOST_AFTER_MS - 1, quiet_ms=STUCK_MS + 1), Health.LOST),
        (unstarted(age_ms=UNSTARTED_AFTER_MS), Health.FINE),
        (unstarted(age_ms=UNSTARTED_AFTER_MS + 1), Health.UNSTARTED),
        (unstarted(age_ms=UNSTARTED_AFTER_MS + 1, execution_arn="arn:e"), Health.FINE),
        (session(status=SessionStatus.COMPLETE, left_ms=-LOST_AFTER_MS - 1), Health.FINE),
    ],
)
def test_a_sessions_state_follows_from_when_it_last_moved_and_when_it_must_end(item: Any, expected: Health) -> None:
    assert health(item, now_ms=NOW, stuck_ms=STUCK_MS) == expected


@pytest.mark.parametrize(
    ("done", "status"), [(4, SessionStatus.COMPLETE), (1, SessionStatus.PARTIAL), (0, SessionStatus.FAILED)]
)
def test_a_lost_session_ends_by_what_its_tasks_came_to(done: int, status: SessionStatus) -> None:
    world = World([session(left_ms=-LOST_AFTER_MS - 1, tasks_done=done)])
    assert world.run()["lost"] == 1
    assert world.ended == {"s": (status, LOST_REASON)}


def test_a_lost_session_is_reported_on_by_a_second_execution_and_stays_live_until_that_is_started() -> None:
    world = World([session(left_ms=-LOST_AFTER_MS - 1), session("fine")], lambda_is_down=True)
    with pytest.raises(ConnectionError):
        world.run()
    assert world.ended == {}, "or nobody would look again"
    world.lambda_is_down = False
    world.run()
    assert (world.wrapped_up, list(world.ended)) == (["s"], ["s"])


def test_a_session_that_cannot_be_helped_holds_up_no_other_and_no_measure() -> None:
    world = World(
        [session(left_ms=-LOST_AFTER_MS - 1), unstarted("later", age_ms=UNSTARTED_AFTER_MS + 1)], lambda_is_down=True
    )
    with pytest.raises(ConnectionError):
        world.run()
    assert world.started == ["later"]
    assert len(world.measured) == 1
    assert ("session not repaired", "s") in world.events


def test_a_lost_session_that_the_api_did_not_make_is_ended_and_nobody_reports_on_it() -> None:
    world = World([session("forged", left_ms=-LOST_AFTER_MS - 1)])
    world.run()
    assert (world.wrapped_up, list(world.ended)) == ([], ["forged"])
    assert ("session without an order", "forged") in world.events


def test_a_session_that_was_never_started_is_started_once_and_remembers_its_execution() -> None:
    world = World([unstarted(age_ms=UNSTARTED_AFTER_MS + 1)])
    world.run()
    assert (world.started, world.noted, world.ended) == (["s"], {"s": "arn:s"}, {})


def test_a_session_that_the_api_did_not_make_is_not_started_and_holds_up_no_other() -> None:
    world = World([unstarted("forged", age_ms=UNSTARTED_AFTER_MS + 1), unstarted(age_ms=UNSTARTED_AFTER_MS + 1)])
    world.run()
    assert world.started == ["s"]
    assert ("session without an order", "forged") in world.events


def test_a_stuck_session_whose_execution_is_over_is_started_once_more() -> None:
    world = World([session(quiet_ms=40 * MINUTE_MS), session("t"), session("forged", quiet_ms=40 * MINUTE_MS)])
    world.all_executions_ended = True
    world.run()
    assert (world.resumed, world.started, world.ended) == (["s"], [], {})
    assert world.noted == {"s": "arn:again:s"}
    assert world.measured[0]["SessionsStuck"] == 2, "the alarm tells all the same"


def test_a_stuck_session_whose_execution_runs_is_counted_and_left_to_its_coordinator() -> None:
    world = World([session(quiet_ms=40 * MINUTE_MS), session("t")])
    world.run()
    assert (world.started, world.resumed, world.ended) == ([], [], {})
    assert world.events == [("session stuck", "s")]
    assert world.measured == [{"SessionsLive": 2, "SessionsStuck": 1, "SessionsLost": 0, "LongestQuietS": 40 * 60}]


def test_zeros_are_measured_when_nothing_runs_so_that_silence_means_a_dead_watchdog() -> None:
    world = World([])
    world.run()
    assert world.measured == [{"SessionsLive": 0, "SessionsStuck": 0, "SessionsLost": 0, "LongestQuietS": 0}]


def test_one_session_that_cannot_be_read_keeps_no_other_from_being_repaired_or_counted() -> None:
    world = World([unstarted("new", age_ms=UNSTARTED_AFTER_MS + 1)], unreadable=["broken"])
    with pytest.raises(BadShapeError, match="labels"):
        world.run()
    assert world.started == ["new"]
    assert world.measured[0]["SessionsLive"] == 1
    assert ("session not readable", "broken") in world.events
