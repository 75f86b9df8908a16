"""The watch over running sessions, with plain functions for the world."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from infrafabric.swarm.session import Order, Status
from infrafabric.swarm.watch import LOST, LOST_MS, UNSTARTED_MS, State, WatchDeps, look, state

NOW = 1_800_000_000_000
MINUTE_MS = 60_000
STUCK_MS = 30 * MINUTE_MS


def session(name: str = "s", *, quiet_ms: int = 0, left_ms: int = 3_600_000, **more: Any) -> dict[str, Any]:
    """A running session that last moved ``quiet_ms`` ago."""
    return {
        "pk": name, "status": "RUNNING", "created_ms": NOW - 7_200_000, "updated_ms": NOW - quiet_ms,
        "deadline_ms": NOW + left_ms, "execution_arn": "arn:e", "quorum": "1", "tasks_total": 4, "tasks_done": 0,
        **more,
    }  # fmt: skip


def unstarted(name: str = "s", *, age_ms: int) -> dict[str, Any]:
    item = session(name, status="PENDING", created_ms=NOW - age_ms)
    del item["updated_ms"], item["execution_arn"]
    return item


@dataclass
class World:
    items: list[dict[str, Any]]
    ended: dict[str, tuple[Status, str]] = field(default_factory=dict)
    started: list[str] = field(default_factory=list)
    restarted: list[str] = field(default_factory=list)
    wrapped_up: list[str] = field(default_factory=list)
    over: bool = False  # all executions are
    away: bool = False  # Lambda is
    noted: dict[str, str] = field(default_factory=dict)
    measured: list[dict[str, float]] = field(default_factory=list)
    said: list[tuple[str, str]] = field(default_factory=list)

    def live(self) -> Iterator[dict[str, Any]]:
        return iter(self.items)

    def order(self, session_id: str) -> Order:
        if session_id == "forged":
            raise LookupError(session_id)
        return Order(
            session_id=session_id, goal="g", tasks=(), agents=1, created_ms=NOW, deadline_ms=NOW, budget_nusd=1,
            quorum=1,
        )  # fmt: skip

    def end(self, session_id: str, status: Status, *, reason: str) -> bool:
        self.ended[session_id] = (status, reason)
        return True

    def note_execution(self, session_id: str, arn: str) -> None:
        self.noted[session_id] = arn

    def warning(self, event: str, *, session_id: str, **_: Any) -> None:
        self.said.append((event, session_id))

    def start(self, order: Order) -> str:
        self.started.append(order.session_id)
        return f"arn:{order.session_id}"

    def restart(self, order: Order) -> str:
        self.restarted.append(order.session_id)
        return f"arn:again:{order.session_id}"

    def wrap_up(self, order: Order) -> str:
        if self.away:
            raise ConnectionError("Lambda is away")
        self.wrapped_up.append(order.session_id)
        return f"arn:{order.session_id}"

    def look(self) -> dict[str, int]:
        measure = cast(Any, self.measured.append)
        return look(
            WatchDeps(
                now_ms=lambda: NOW, store=cast(Any, self), start=self.start, restart=self.restart,
                wrap_up=self.wrap_up, is_over=lambda arn: self.over, measure=measure, log=cast(Any, self),
                stuck_ms=STUCK_MS,
            )
        )  # fmt: skip


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (session(quiet_ms=STUCK_MS), State.FINE),
        (session(quiet_ms=STUCK_MS + 1), State.STUCK),
        (session(left_ms=-LOST_MS), State.FINE),
        (session(left_ms=-LOST_MS - 1), State.LOST),
        (session(left_ms=-LOST_MS - 1, quiet_ms=STUCK_MS + 1), State.LOST),
        (unstarted(age_ms=UNSTARTED_MS), State.FINE),
        (unstarted(age_ms=UNSTARTED_MS + 1), State.UNSTARTED),
        ({**unstarted(age_ms=UNSTARTED_MS + 1), "execution_arn": "arn:e"}, State.FINE),
        (session(status="COMPLETE", left_ms=-LOST_MS - 1), State.FINE),
    ],
)
def test_a_sessions_state_follows_from_when_it_last_moved_and_when_it_must_end(item: Any, expected: State) -> None:
    assert state(item, now_ms=NOW, stuck_ms=STUCK_MS) == expected


@pytest.mark.parametrize(("done", "status"), [(4, Status.COMPLETE), (1, Status.PARTIAL), (0, Status.FAILED)])
def test_a_lost_session_ends_by_what_its_tasks_came_to(done: int, status: Status) -> None:
    world = World([session(left_ms=-LOST_MS - 1, tasks_done=done)])
    assert world.look()["lost"] == 1
    assert world.ended == {"s": (status, LOST)}


def test_a_lost_session_is_reported_on_by_a_second_execution_and_stays_live_until_that_is_started() -> None:
    world = World([session(left_ms=-LOST_MS - 1), session("fine")], away=True)
    with pytest.raises(ConnectionError):
        world.look()
    assert world.ended == {}, "or nobody would look again"
    world.away = False
    world.look()
    assert (world.wrapped_up, list(world.ended)) == (["s"], ["s"])


def test_a_session_that_cannot_be_helped_holds_up_no_other_and_no_measure() -> None:
    world = World([session(left_ms=-LOST_MS - 1), unstarted("later", age_ms=UNSTARTED_MS + 1)], away=True)
    with pytest.raises(ConnectionError):
        world.look()
    assert world.started == ["later"]
    assert len(world.measured) == 1
    assert ("session not helped", "s") in world.said


def test_a_lost_session_that_the_api_did_not_make_is_ended_and_nobody_reports_on_it() -> None:
    world = World([session("forged", left_ms=-LOST_MS - 1)])
    world.look()
    assert (world.wrapped_up, list(world.ended)) == ([], ["forged"])
    assert ("session without an order", "forged") in world.said


def test_a_session_that_was_never_started_is_started_once_and_remembers_its_execution() -> None:
    world = World([unstarted(age_ms=UNSTARTED_MS + 1)])
    world.look()
    assert (world.started, world.noted, world.ended) == (["s"], {"s": "arn:s"}, {})


def test_a_session_that_the_api_did_not_make_is_not_started_and_holds_up_no_other() -> None:
    world = World([unstarted("forged", age_ms=UNSTARTED_MS + 1), unstarted(age_ms=UNSTARTED_MS + 1)])
    world.look()
    assert world.started == ["s"]
    assert ("session without an order", "forged") in world.said


def test_a_stuck_session_whose_execution_is_over_is_started_once_more() -> None:
    world = World([session(quiet_ms=40 * MINUTE_MS), session("t"), session("forged", quiet_ms=40 * MINUTE_MS)])
    world.over = True
    world.look()
    assert (world.restarted, world.started, world.ended) == (["s"], [], {})
    assert world.noted == {"s": "arn:again:s"}
    assert world.measured[0]["SessionsStuck"] == 2, "the alarm tells all the same"


def test_a_stuck_session_whose_execution_runs_is_counted_and_left_to_its_coordinator() -> None:
    world = World([session(quiet_ms=40 * MINUTE_MS), session("t")])
    world.look()
    assert (world.started, world.restarted, world.ended) == ([], [], {})
    assert world.said == [("session stuck", "s")]
    assert world.measured == [
        {"SessionsLive": 2, "SessionsStuck": 1, "SessionsLost": 0, "LongestQuietS": 40 * 60}
    ]  # fmt: skip


def test_zeros_are_measured_when_nothing_runs_so_that_silence_means_a_dead_watchdog() -> None:
    world = World([])
    world.look()
    assert world.measured == [{"SessionsLive": 0, "SessionsStuck": 0, "SessionsLost": 0, "LongestQuietS": 0}]
