"""The coalescer: what arrives together leaves together, and everybody hears what became of their own item."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infrafabric.batching import Coalescer

SOON_S = 10.0  # a caller that has not come back by then hangs


class OddItem(Exception):
    """What went wrong with one item."""


class Post:
    """Records the batches that it is given; refuses odd numbers, each with an error of its own."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    def __call__(self, items: Sequence[int]) -> list[Exception | None]:
        self.batches.append(list(items))
        return [OddItem(item) if item % 2 else None for item in items]


def outcomes(coalescer: Coalescer[int], items: Sequence[int]) -> list[BaseException | None]:
    """What each of ``items`` met, sent by a thread each, all at once."""
    start = threading.Barrier(len(items))

    def one(item: int) -> BaseException | None:
        start.wait(SOON_S)
        try:
            coalescer.send(item)
        except BaseException as error:  # noqa: BLE001  looked at by the test
            return error
        return None

    with ThreadPoolExecutor(len(items)) as threads:
        return [ended.result(SOON_S) for ended in [threads.submit(one, item) for item in items]]


@settings(max_examples=60, deadline=None)
@given(
    items=st.lists(st.integers(0, 60), min_size=1, max_size=24),
    most=st.integers(1, 10),
    most_bytes=st.integers(1, 200),
    wait_s=st.sampled_from([0.0, 0.002]),
)
def test_every_caller_hears_of_its_own_item_and_no_batch_exceeds_its_limits(
    items: list[int], most: int, most_bytes: int, wait_s: float
) -> None:
    post = Post()
    coalescer = Coalescer(post, most=most, most_bytes=most_bytes, size_of=lambda item: item, wait_s=wait_s)
    for item, met in zip(items, outcomes(coalescer, items), strict=True):
        assert (isinstance(met, OddItem) and met.args == (item,)) if item % 2 else met is None
    assert sorted(item for batch in post.batches for item in batch) == sorted(items), "each is sent exactly once"
    for batch in post.batches:
        assert 1 <= len(batch) <= most
        assert sum(batch) <= most_bytes or len(batch) == 1, "a larger item goes alone"


def test_items_that_arrive_together_leave_in_one_batch() -> None:
    post = Post()
    assert outcomes(Coalescer(post, wait_s=SOON_S), [2] * 10) == [None] * 10
    assert post.batches == [[2] * 10], "ten are enough: nobody waits for an eleventh"


def test_a_single_item_waits_for_nobody() -> None:
    post = Post()
    Coalescer(post).send(2)
    assert post.batches == [[2]]


def test_what_comes_while_a_batch_is_sent_leaves_together_in_the_next() -> None:
    post, sending, go_on = Post(), threading.Event(), threading.Event()

    def slow(items: Sequence[int]) -> list[Exception | None]:
        sending.set()
        assert go_on.wait(SOON_S)
        return post(items)

    coalescer = Coalescer(slow)
    with ThreadPoolExecutor(4) as threads:
        first = threads.submit(coalescer.send, 2)
        assert sending.wait(SOON_S)
        others = [threads.submit(coalescer.send, item) for item in (4, 5, 6)]
        while len(coalescer._waiting) < 3:
            threading.Event().wait(0.001)
        go_on.set()
        assert [type(ended.exception(SOON_S)) for ended in (first, *others)] == [
            type(None),
            type(None),
            OddItem,
            type(None),
        ]
    assert [sorted(batch) for batch in post.batches] == [[2], [4, 5, 6]]


def test_whoever_sends_for_others_may_go_once_its_own_item_is_sent() -> None:
    batches, sending, go_on = [], [threading.Event(), threading.Event()], [threading.Event(), threading.Event()]

    def slow(items: Sequence[int]) -> list[Exception | None]:
        number = len(batches)
        batches.append(list(items))
        sending[number].set()
        assert go_on[number].wait(SOON_S)
        return [None] * len(items)

    coalescer = Coalescer(slow)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(coalescer.send, 2)
        assert sending[0].wait(SOON_S)
        second = threads.submit(coalescer.send, 4)
        while not coalescer._waiting:
            threading.Event().wait(0.001)
        go_on[0].set()
        assert sending[1].wait(SOON_S)
        try:
            assert first.result(SOON_S) is None, "it does not stay to send what others bring"
            assert not second.done()
        finally:
            go_on[1].set()


def test_items_are_sent_in_the_order_in_which_they_came() -> None:
    post = Post()
    coalescer = Coalescer(post)
    for item in range(0, 20, 2):
        coalescer.send(item)
    assert post.batches == [[item] for item in range(0, 20, 2)]


def short(items: Sequence[int]) -> list[Exception | None]:
    return [None] * (len(items) - 1)


def long(items: Sequence[int]) -> list[Exception | None]:
    return [None] * (len(items) + 1)


def broken(_: Sequence[int]) -> list[Exception | None]:
    raise ConnectionError("the line is down")


def interrupted(_: Sequence[int]) -> list[Exception | None]:
    raise SystemExit


@pytest.mark.parametrize(
    ("send_batch", "kind"),
    [(short, ValueError), (long, ValueError), (broken, ConnectionError), (interrupted, SystemExit)],
)
def test_nobody_hangs_when_sending_fails_as_a_whole(send_batch: Callable[[Any], Any], kind: type) -> None:
    met = outcomes(Coalescer(send_batch, wait_s=SOON_S), [2] * 10)
    assert [type(error) for error in met] == [kind] * 10


def test_a_failed_batch_does_not_spoil_the_next() -> None:
    answers = iter([broken, Post()])

    def first_broken(items: Sequence[int]) -> list[Exception | None]:
        return next(answers)(items)

    coalescer = Coalescer(first_broken)
    with pytest.raises(ConnectionError):
        coalescer.send(2)
    coalescer.send(2)


def test_an_item_whose_size_cannot_be_told_fails_alone() -> None:
    post = Post()

    def size_of(item: int) -> int:
        if item == 4:
            raise TypeError("no size")
        return 1

    met = outcomes(Coalescer(post, size_of=size_of, wait_s=0.05), [2, 4, 6])
    assert [type(error) for error in met] == [type(None), TypeError, type(None)]
    assert sorted(item for batch in post.batches for item in batch) == [2, 6]
