"""Watchdog with fakes for its side effects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from infrafabric.swarm.lost_sessions import LOST_AFTER_MS, LOST_REASON
from infrafabric.swarm.session_errors import NoOrderError
from infrafabric.swarm.session_key import SessionKey
from infrafabric.swarm.shapes.order import Order
from infrafabric.swarm.shapes.session_item import Progress, SessionItem
from infrafabric.swarm.shapes.shape import BadShapeError, OnUnreadable
from infrafabric.swarm.status import SessionStatus
from infrafabric.swarm.watchdog import UNSTARTED_AFTER_MS, Health, SessionWatchdog, WatchdogDeps, health
from tests.unit.swarm.orders import KEY, an_order

NOW = 1_800_000_000_000
MINUTE_MS = 60_000
STUCK_MS = 30 * MINUTE_MS


def session(name: str = "s", *, quiet_ms: int = 0, left_ms: int = 3_600_000, **changes: Any) -> SessionItem:
    """Return a running session that last moved ``quiet_ms`` ago."""
    members: dict[str, Any] = {
        **KEY._replace(session_id=name)._asdict(),
        "owner": "default",
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
    ended: dict[str, SessionItem] = field(default_factory=dict)
    started: list[str] = field(default_factory=list)
    resumed: list[str] = field(default_factory=list)
    wrapped_up: list[str] = field(default_factory=list)
    ended_executions: set[str] = field(default_factory=set)
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

    def order(self, key: SessionKey) -> Order:
        if key.session_id == "forged":
            raise NoOrderError(key.session_id)
        return an_order(session_id=key.session_id)

    def end(self, session: SessionItem) -> bool:
        self.world.ended[session.session_id] = session
        return True

    def note_execution(self, key: SessionKey, execution_arn: str) -> None:
        self.world.noted[key.session_id] = execution_arn


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
        return f"arn:wrap-up:{order.session_id}"

    def has_ended(self, execution_arn: str) -> bool:
        return execution_arn in self.world.ended_executions


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


def test_a_lost_session_is_left_to_a_second_execution_that_reports_on_it_and_ends_it() -> None:
    world = World([session(left_ms=-LOST_AFTER_MS - 1)], ended_executions={"arn:e"})
    for _ in range(2):
        assert world.run()["lost"] == 1
    assert (world.wrapped_up, world.ended) == (["s", "s"], {}), "a repeated start finds the same execution"


def test_a_lost_session_stays_live_until_the_second_execution_is_started() -> None:
    world = World([session(left_ms=-LOST_AFTER_MS - 1), session("fine")], lambda_is_down=True)
    with pytest.raises(ConnectionError):
        world.run()
    assert world.ended == {}, "or nobody would look again"
    world.lambda_is_down = False
    world.run()
    assert (world.wrapped_up, world.ended) == (["s"], {})


@pytest.mark.parametrize(
    ("done", "status"), [(4, SessionStatus.COMPLETE), (1, SessionStatus.PARTIAL), (0, SessionStatus.FAILED)]
)
def test_a_lost_session_whose_second_execution_has_ended_too_ends_with_the_numbers_of_its_item(
    done: int, status: SessionStatus
) -> None:
    item = session(left_ms=-LOST_AFTER_MS - 1, tasks_done=done, spent_nusd=5, committed_nusd=7)
    world = World([item.model_copy(update={"progress": {"p0": Progress(done=1, spent_nusd=3)}})])
    world.ended_executions = {"arn:wrap-up:s"}
    world.run()
    ended = world.ended["s"]
    assert (ended.status, ended.reason, ended.ended_ms) == (status, LOST_REASON, NOW)
    assert (ended.tasks_done, ended.spent_nusd, ended.committed_nusd, ended.progress) == (done, 5, 7, {})


def test_a_lost_session_that_a_client_cancelled_ends_as_cancelled() -> None:
    world = World([session(left_ms=-LOST_AFTER_MS - 1, tasks_done=4, cancelled_ms=NOW - 1)])
    world.ended_executions = {"arn:wrap-up:s"}
    world.run()
    assert world.ended["s"].status is SessionStatus.CANCELLED


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
    world.ended_executions = {"arn:e"}
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
