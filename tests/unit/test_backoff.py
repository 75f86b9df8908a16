"""Waiting and trying again: arithmetic, so every edge can be looked at."""

from __future__ import annotations

import heapq
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infrafabric.aws_adapters.dynamodb_table import MAX_TRIES
from infrafabric.backoff import (
    Patience,
    conflict_delay_s,
    redelivery_delay_s,
    silence_timeout_s,
    throttle_delay_s,
)

P = Patience()
DRAWS = st.floats(0, 1, exclude_max=True)


@given(st.integers(0, 99), st.floats(-60, 2000), DRAWS, st.floats(0, 1200))
def test_a_wait_honours_the_deadline_the_queue_and_the_api(
    throttles: int, left_s: float, draw: float, retry_after_s: float
) -> None:
    wait = throttle_delay_s(throttles, left_s=left_s, random_unit=draw, retry_after_s=retry_after_s)
    asked = min(math.ceil(retry_after_s), P.longest_s)
    if wait is None:
        assert asked + P.call_s > left_s - 1, "it gave up although there was time"
    else:
        assert isinstance(wait, int), "SQS takes whole seconds"
        assert asked <= wait <= P.longest_s
        assert wait + P.call_s <= left_s


@given(st.integers(0, 99), DRAWS, st.floats(0, 900))
def test_a_wait_stays_below_a_ceiling_that_doubles(throttles: int, draw: float, retry_after_s: float) -> None:
    wait = throttle_delay_s(throttles, left_s=10_000, random_unit=draw, retry_after_s=retry_after_s)
    assert wait is not None
    assert wait - math.ceil(retry_after_s) <= P.base_s * 2**throttles


@given(st.integers(0, 99), st.floats(10, 2000), DRAWS, DRAWS)
def test_a_luckier_draw_never_waits_longer(throttles: int, left_s: float, one: float, other: float) -> None:
    waits = [throttle_delay_s(throttles, left_s=left_s, random_unit=draw) for draw in sorted((one, other))]
    assert None not in waits
    assert waits == sorted(waits, key=lambda wait: wait or 0)


def test_agents_throttled_together_do_not_return_together() -> None:
    waits = {throttle_delay_s(6, left_s=1800, random_unit=number / 100) for number in range(100)}
    assert len(waits) == 100, "the jitter is full: it spreads over the whole ceiling"
    assert 0 in waits


@pytest.mark.parametrize("endless", [math.inf, 1e308])
def test_a_deadline_or_a_wait_without_end_is_bounded_by_the_queue(endless: float) -> None:
    assert throttle_delay_s(99, left_s=endless, random_unit=0.999999) == P.longest_s - 1
    assert throttle_delay_s(0, left_s=endless, random_unit=0, retry_after_s=endless) == P.longest_s


def test_there_is_no_wait_that_leaves_less_than_a_call_needs() -> None:
    assert throttle_delay_s(0, left_s=P.call_s - 0.001, random_unit=0) is None
    assert throttle_delay_s(0, left_s=P.call_s, random_unit=0) == 0
    assert throttle_delay_s(0, left_s=P.call_s + 9.9, random_unit=0, retry_after_s=9.1) is None, (
        "ten whole seconds do not fit"
    )


@pytest.mark.parametrize("wrong", [{"longest_s": 901}, {"longest_s": 0}, {"base_s": 0}, {"call_s": -1}])
def test_a_patience_that_cannot_be_is_refused_when_it_is_made(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="is not allowed"):
        Patience(**wrong)  # type: ignore[arg-type]


@given(st.integers(0, 200), DRAWS, st.floats(0.001, 1), st.floats(0.001, 5))
def test_a_conflict_waits_below_a_doubling_ceiling_and_never_long(
    tries: int, draw: float, base_s: float, longest_s: float
) -> None:
    wait = conflict_delay_s(tries, random_unit=draw, base_s=base_s, longest_s=longest_s)
    assert 0 <= wait <= longest_s
    assert wait <= base_s * 2**tries
    assert wait <= conflict_delay_s(tries + 1, random_unit=draw, base_s=base_s, longest_s=longest_s)


def test_a_conflict_uses_its_whole_ceiling() -> None:
    assert conflict_delay_s(3, random_unit=0.5) == pytest.approx(0.04)
    assert conflict_delay_s(50, random_unit=0.5) == pytest.approx(1)


def test_a_thousand_agents_that_write_one_item_at_the_same_moment_all_get_through() -> None:
    """A model of DynamoDB, not DynamoDB: a transaction holds the item for 12 ms, in which others are refused, and each
    try takes 4 of the 1,000 write units that a partition has a second, also when it is refused."""
    draw, held_until, units, at = random.Random(1).random, 0.0, 1000.0, 0.0
    queue = [(draw(), 0) for _ in range(1000)]
    heapq.heapify(queue)
    while queue:
        now, tries = heapq.heappop(queue)
        units, at = min(1000.0, units + 1000 * (now - at)), now
        admitted = units >= 4
        units -= 4 * admitted
        if admitted and now >= held_until:
            held_until = now + 0.012
            continue
        assert tries + 1 < MAX_TRIES, f"gave up after {now:.0f} s, with {len(queue)} others still waiting"
        heapq.heappush(queue, (now + 0.008 + conflict_delay_s(tries, random_unit=draw()), tries + 1))


@given(st.integers(1, 1000), DRAWS)
def test_what_failed_comes_back_before_its_agent_counts_as_dead_and_then_after_minutes(
    receives: int, draw: float
) -> None:
    least, most = (15, 30) if receives == 1 else (150, 300)
    assert least <= redelivery_delay_s(receives, random_unit=draw) <= most


@given(st.integers(2, 86_400), st.integers(1, 100_000), st.integers(1, 99), st.integers(1, 1000))
def test_silence_is_allowed_for_as_many_rounds_as_the_last_task_waits(
    timeout_s: int, tasks: int, agents: int, at_once: int
) -> None:
    rounds, rest = divmod(silence_timeout_s(timeout_s, tasks=tasks, agents=agents, tasks_at_once=at_once), timeout_s)
    assert rest == 0
    assert (rounds - 1) * agents * at_once < tasks <= rounds * agents * at_once


def test_a_session_that_fits_at_once_has_the_plain_heartbeat_timeout() -> None:
    assert silence_timeout_s(90, tasks=10, agents=10, tasks_at_once=1) == 90
    assert silence_timeout_s(90, tasks=11, agents=10, tasks_at_once=1) == 180
    assert silence_timeout_s(90, tasks=0, agents=10, tasks_at_once=1) == 90
