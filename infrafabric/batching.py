"""Batching: gathers items that several threads send at the same moment into one call."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")


class _Entry(Generic[Item]):
    """Waiting item. ``woken`` is set once the item was sent, or once its thread must send the waiting batch."""

    def __init__(self, item: Item, size_bytes: int) -> None:
        self.item, self.size_bytes = item, size_bytes
        self.woken = threading.Event()
        self.sent = False
        self.problem: BaseException | None = None


class Coalescer(Generic[Item]):
    """Batches the items of concurrent threads: each thread calls :meth:`send` with one item.

    While one thread sends, the items of other threads gather and leave in the next batch: a lone item never waits, and
    batches grow with the load. Each caller returns once its own item was sent, or raises the error of its own item. A
    thread that sends for others hands the sending over once its own item is gone.

    Args:
        send_batch: sends the items and returns None or an error per item. An error that it raises reaches all callers.
        most: largest number of items in a batch (10 for SNS and SQS).
        most_bytes: largest sum of the items' sizes, by ``size_of``; a larger item leaves alone.
        wait_s: time that the first item of each batch waits for others, where fewer calls are worth more than a few
            milliseconds.
    """

    def __init__(
        self,
        send_batch: Callable[[Sequence[Item]], Sequence[Exception | None]],
        *,
        most: int = 10,
        most_bytes: int = 256 * 1024,
        size_of: Callable[[Item], int] = lambda _: 0,
        wait_s: float = 0.0,
    ) -> None:
        self._send_batch, self._most, self._most_bytes = send_batch, most, most_bytes
        self._size_of, self._wait_s = size_of, wait_s
        self._lock = threading.Lock()
        self._waiting: list[_Entry[Item]] = []
        self._sending = False
        self._full = threading.Event()

    def send(self, item: Item) -> None:
        """Send one item and return once the item was sent.

        Raises:
            Exception: the error of sending the item.
        """
        mine = _Entry(item, self._size_of(item))
        with self._lock:
            self._waiting.append(mine)
            leads, self._sending = not self._sending, True
            if len(self._waiting) >= self._most:
                self._full.set()
        if not leads:
            mine.woken.wait()
        if not mine.sent:
            self._full.wait(self._wait_s)
            self._lead()
        if mine.problem is not None:
            raise mine.problem

    def _lead(self) -> None:
        """Send the waiting items, this thread's own item first; the first thread that arrived since sends next."""
        with self._lock:
            batch, self._waiting = self._waiting, []
            self._full.clear()
        for part in self._parts(batch):
            self._send(part)
        with self._lock:
            if self._waiting:
                self._waiting[0].woken.set()
            else:
                self._sending = False

    def _parts(self, batch: Sequence[_Entry[Item]]) -> list[list[_Entry[Item]]]:
        parts: list[list[_Entry[Item]]] = []
        size = 0
        for entry in batch:
            if not parts or len(parts[-1]) == self._most or size + entry.size_bytes > self._most_bytes:
                parts.append([])
                size = 0
            parts[-1].append(entry)
            size += entry.size_bytes
        return parts

    def _send(self, part: Sequence[_Entry[Item]]) -> None:
        """Send one batch. Raises nothing, not even an interrupt: the other threads' waits must end."""
        problems: Sequence[BaseException | None]
        try:
            problems = self._send_batch([entry.item for entry in part])
            if len(problems) != len(part):
                raise ValueError(f"send_batch received {len(part)} items and returned {len(problems)} results")
        except BaseException as error:  # noqa: BLE001  the sending thread raises it too, for its own item
            problems = [error] * len(part)
        for entry, problem in zip(part, problems, strict=True):
            entry.problem, entry.sent = problem, True
            entry.woken.set()
