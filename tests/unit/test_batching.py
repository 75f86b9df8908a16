"""The coalescer: what arrives together leaves together, and everybody hears what became of their own item."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infrafabric.batching import Coalescer

SOON_S = 5.0  # a caller that has not come back by then hangs
NOTHING = type(None)


class OddItem(Exception):
    """What went wrong with one item."""


class Post:
    """Records the batches that it is given; refuses odd numbers, each with an error of its own."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    def __call__(self, items: Sequence[int]) -> list[Exception | None]:
        self.batches.append(list(items))
        return [OddItem(item) if item % 2 else None for item in items]


def sending(coalescer: Coalescer[int], item: int) -> Future[None]:
    """Send ``item`` from a thread of its own, which does not outlive the tests if it hangs."""
    ended: Future[None] = Future()

    def run() -> None:
        try:
            coalescer.send(item)
        except BaseException as error:  # noqa: BLE001  looked at by the test
            ended.set_exception(error)
        else:
            ended.set_result(None)

    threading.Thread(target=run, daemon=True).start()
    return ended


def outcomes(coalescer: Coalescer[int], items: Sequence[int]) -> list[BaseException | None]:
    """What each of ``items`` met, sent side by side."""
    return [ended.exception(SOON_S) for ended in [sending(coalescer, item) for item in items]]


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


class SlowPost(Post):
    """Sends batch n only when ``go_on[n]`` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.sending, self.go_on = [threading.Event() for _ in range(2)], [threading.Event() for _ in range(2)]

    def __call__(self, items: Sequence[int]) -> list[Exception | None]:
        number = len(self.batches)
        answer = super().__call__(items)
        self.sending[number].set()
        assert self.go_on[number].wait(SOON_S)
        return answer


def waiting(coalescer: Coalescer[int], count: int) -> None:
    """Return once ``count`` items wait for their batch."""
    deadline = time.monotonic() + SOON_S
    while len(coalescer._waiting) < count:
        assert time.monotonic() < deadline
        threading.Event().wait(0.001)


def test_what_comes_while_a_batch_is_sent_leaves_together_in_the_next() -> None:
    post = SlowPost()
    coalescer = Coalescer(post)
    first = sending(coalescer, 2)
    assert post.sending[0].wait(SOON_S)
    others = [sending(coalescer, item) for item in (4, 5, 6)]
    waiting(coalescer, 3)
    for go_on in post.go_on:
        go_on.set()
    assert [type(ended.exception(SOON_S)) for ended in (first, *others)] == [NOTHING, NOTHING, OddItem, NOTHING]
    assert [sorted(batch) for batch in post.batches] == [[2], [4, 5, 6]]


def test_whoever_sends_for_others_may_go_once_its_own_item_is_sent() -> None:
    post = SlowPost()
    coalescer = Coalescer(post)
    first = sending(coalescer, 2)
    assert post.sending[0].wait(SOON_S)
    second = sending(coalescer, 4)
    waiting(coalescer, 1)
    post.go_on[0].set()
    assert post.sending[1].wait(SOON_S)
    assert first.exception(SOON_S) is None, "it does not stay to send what others bring"
    assert not second.done()
    post.go_on[1].set()
    assert second.exception(SOON_S) is None


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
    assert [type(error) for error in met] == [NOTHING, TypeError, NOTHING]
    assert sorted(item for batch in post.batches for item in batch) == [2, 6]
