"""The circuit breaker: three failures stop an agent's calls, one probe a minute finds out when the API is back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infrafabric.swarm.breaker import OPEN_AFTER, Breaker, Sign

OPEN_MS = 60_000
SOON_S = 5.0


@dataclass
class Row:
    """Row that all environments of an agent share."""

    until_ms: int | None = None
    down: bool = False
    calls: list[str] = field(default_factory=list)
    lock: Any = field(default_factory=threading.Lock)

    def read(self) -> int | None:
        self._call("read")
        return self.until_ms

    def write(self, until_ms: int, *, expected: int | None) -> bool:
        self._call("write")
        with self.lock:
            if self.until_ms != expected:
                return False
            self.until_ms = until_ms
            return True

    def delete(self) -> None:
        self._call("delete")
        self.until_ms = None

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if self.down:
            raise ConnectionError("the table cannot be reached")


class Log:
    def info(self, event: str, **_: Any) -> None: ...

    def warning(self, event: str, **_: Any) -> None: ...


@dataclass
class World:
    row: Row = field(default_factory=Row)
    now_ms: int = 1_800_000_000_000
    opened: int = 0

    def environment(self) -> Breaker:
        return Breaker(self.row, now_ms=lambda: self.now_ms, open_s=OPEN_MS // 1000, log=Log(), opened=self._open)

    def _open(self) -> None:
        self.opened += 1


def call(breaker: Breaker, sign: Sign) -> int:
    """Make a call that ends with this sign, if one may be made. Returns the time for which none may be."""
    closed_ms = breaker.enter()
    if not closed_ms:
        breaker.leave(sign)
    return closed_ms


def dead(world: World) -> Breaker:
    """Return an environment that has just opened the breaker."""
    breaker = world.environment()
    for _ in range(OPEN_AFTER):
        assert call(breaker, Sign.FAILS) == 0
    return breaker


def test_three_failures_in_a_row_open_the_breaker_for_all_environments_of_the_agent_and_once() -> None:
    world = World()
    breaker = dead(world)
    assert call(breaker, Sign.ANSWERS) == OPEN_MS
    assert call(world.environment(), Sign.ANSWERS) == OPEN_MS
    assert (world.opened, world.row.until_ms) == (1, world.now_ms + OPEN_MS)


@pytest.mark.parametrize("sign", [Sign.ANSWERS, Sign.BUSY])
def test_a_sign_of_life_between_failures_keeps_the_breaker_closed(sign: Sign) -> None:
    world = World()
    breaker = world.environment()
    for one in [*[Sign.FAILS] * (OPEN_AFTER - 1), sign] * 3:
        assert call(breaker, one) == 0
    assert world.row.until_ms is None


def test_after_a_minute_one_call_of_all_environments_is_the_probe() -> None:
    world = World()
    environments = [dead(world), *(world.environment() for _ in range(4))]
    for environment in environments:
        assert environment.enter() > 0
    world.now_ms += OPEN_MS
    assert sorted(environment.enter() for environment in environments) == [0, *[OPEN_MS] * 4]


def test_a_probe_that_is_answered_closes_the_breaker_and_one_that_fails_leaves_it_open() -> None:
    world = World()
    breaker = dead(world)
    world.now_ms += OPEN_MS
    assert call(breaker, Sign.FAILS) == 0
    assert call(breaker, Sign.FAILS) == OPEN_MS, "another minute"
    world.now_ms += OPEN_MS
    assert call(breaker, Sign.ANSWERS) == 0
    assert world.row.until_ms is None
    assert call(breaker, Sign.ANSWERS) == 0
    assert world.opened == 1


def test_a_closed_breaker_costs_a_read_in_half_a_minute_and_no_write() -> None:
    world = World()
    breaker = world.environment()
    for _ in range(60):
        assert call(breaker, Sign.ANSWERS) == 0
        world.now_ms += 1_000
    assert world.row.calls == ["read"] * 2


def test_a_table_that_cannot_be_reached_stops_no_call() -> None:
    world = World(Row(down=True))
    breaker = world.environment()
    for _ in range(3):
        assert call(breaker, Sign.ANSWERS) == 0
    for _ in range(OPEN_AFTER):
        call(breaker, Sign.FAILS)
    assert call(breaker, Sign.ANSWERS) == OPEN_MS, "what this environment has seen itself counts"
    world.now_ms += OPEN_MS
    assert call(breaker, Sign.ANSWERS) == 0


def in_thread(do: Callable[[], int]) -> Any:
    pool = ThreadPoolExecutor(1)
    future = pool.submit(do)
    pool.shutdown(wait=False)
    return future


def test_while_nobody_knows_whether_the_api_answers_the_others_wait_for_the_first_call() -> None:
    """So a dead API is asked three times by an agent, and not once by each of its tasks."""
    world = World()
    breaker, asked = world.environment(), []

    def task() -> int:
        closed_ms = breaker.enter()
        if not closed_ms:
            asked.append(threading.get_ident())
            breaker.leave(Sign.FAILS)
        return closed_ms

    assert breaker.enter() == 0
    others = [in_thread(task) for _ in range(9)]
    assert asked == []
    breaker.leave(Sign.FAILS)
    assert sorted(bool(other.result(SOON_S)) for other in others) == [False] * 2 + [True] * 7
    assert len(asked) == OPEN_AFTER - 1


def test_once_a_call_was_answered_all_go_at_once() -> None:
    breaker = World().environment()
    assert call(breaker, Sign.ANSWERS) == 0
    assert [breaker.enter() for _ in range(10)] == [0] * 10


@given(st.lists(st.sampled_from(list(Sign)), max_size=12))
def test_the_breaker_is_open_exactly_after_three_failures_in_a_row(signs: list[Sign]) -> None:
    world = World()
    breaker, in_a_row, is_open = world.environment(), 0, False
    for sign in signs:
        assert (call(breaker, sign) > 0) is is_open
        if not is_open:
            in_a_row = in_a_row + 1 if sign is Sign.FAILS else 0
            is_open = in_a_row == OPEN_AFTER
    assert (world.row.until_ms is not None) is is_open
