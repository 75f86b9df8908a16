"""Latch: threads wait until each of them has come to the same point."""

from __future__ import annotations

import threading

import pytest

from infrafabric.swarm.latch import Latch


def waiting(latch: Latch) -> threading.Thread:
    """Return a thread that waits at the latch."""
    thread = threading.Thread(target=latch.wait, daemon=True)
    thread.start()
    return thread


def is_open(latch: Latch) -> bool:
    thread = waiting(latch)
    thread.join(0.05)
    return not thread.is_alive()


def test_a_latch_opens_when_the_last_party_arrives() -> None:
    latch = Latch(3)
    thread = waiting(latch)
    latch.arrive(0)
    latch.arrive(2)
    assert not is_open(latch)
    latch.arrive(1)
    thread.join(5)
    assert not thread.is_alive()
    assert is_open(latch), "and stays open"


def test_a_party_that_arrives_again_counts_once() -> None:
    latch = Latch(2)
    for _ in range(3):
        latch.arrive(0)
    assert not is_open(latch)


@pytest.mark.parametrize("party", [-1, 2])
def test_a_stranger_does_not_count(party: int) -> None:
    latch = Latch(2)
    latch.arrive(0)
    latch.arrive(party)
    assert not is_open(latch)


def test_a_latch_of_nobody_is_open() -> None:
    assert is_open(Latch(0))


def test_parties_that_arrive_at_the_same_time_all_get_past() -> None:
    latch = Latch(30)

    def arrive(party: int) -> None:
        latch.arrive(party)
        latch.wait()

    threads = [threading.Thread(target=arrive, args=(party,), daemon=True) for party in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert not any(thread.is_alive() for thread in threads)
