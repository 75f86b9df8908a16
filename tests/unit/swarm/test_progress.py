"""Progress of a running round: written at most every two seconds for each part."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from infrafabric.swarm.progress import ProgressClock

NOW = 1_800_000_000_000


@given(st.lists(st.tuples(st.integers(0, 3_000), st.sampled_from(["s1", "s2"]), st.integers(0, 2)), max_size=40))
def test_each_part_is_due_at_once_and_then_every_two_seconds(steps: list[tuple[int, str, int]]) -> None:
    now_ms = NOW
    clock = ProgressClock(lambda: now_ms)
    written: dict[tuple[str, int], int] = {}
    for later_ms, partition, part in steps:
        now_ms += later_ms
        expected = now_ms - written.get((partition, part), 0) >= 2_000
        assert clock.due(partition, part) is expected
        if expected:
            written[partition, part] = now_ms


class Partition(str):
    """Partition in whose look-up a thread meets another one that is there at the same time."""

    meeting = threading.Barrier(2)

    def __hash__(self) -> int:
        with suppress(threading.BrokenBarrierError):
            self.meeting.wait(0.1)
        return super().__hash__()


def test_of_answers_that_arrive_at_the_same_time_one_writes() -> None:
    clock = ProgressClock(lambda: NOW)
    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(lambda _: clock.due(Partition("s1"), 0), range(2))) == 1
