"""Gathers what several threads want to send at the same moment into one call."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")


class _Entry(Generic[Item]):
    """An item that waits: ``woken`` when it was sent, or when it is its turn to send for all that wait."""

    def __init__(self, item: Item, size_bytes: int) -> None:
        self.item, self.size_bytes = item, size_bytes
        self.woken = threading.Event()
        self.sent = False
        self.problem: BaseException | None = None


class Coalescer(Generic[Item]):
    """Threads call :meth:`send` with one item each; items that arrive together leave in one batch.

    While one thread sends, what others bring gathers and leaves in the next batch: a lone item never waits, and the
    busier it gets the fuller the batches are. Each caller returns when its own item was sent, or gets the error that
    its own item met; whoever sends for others hands that over once its own is gone.

    Args:
        send_batch: sends the items, and returns for each None or what went wrong with it. What it raises, all get.
        most: items a batch may have (10 for SNS and SQS).
        most_bytes: sum of the items' sizes that a batch may have, by ``size_of``; a larger item goes alone.
        wait_s: how long the first item waits for company, where fewer calls are worth more than a few milliseconds.
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
        """Send one item; returns once it is sent. Raises what sending it raised."""
        mine = _Entry(item, self._size_of(item))
        with self._lock:
            self._waiting.append(mine)
            leads, self._sending = not self._sending, True
            if len(self._waiting) >= self._most:
                self._full.set()
        if leads:
            self._full.wait(self._wait_s)
        else:
            mine.woken.wait()
        if not mine.sent:
            self._lead()
        if mine.problem is not None:
            raise mine.problem

    def _lead(self) -> None:
        """Send all that waits, the leader's own item first; then the first of those who came since leads."""
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
        """Nothing is raised here, not even an interrupt: whoever leads owes all the others an end to their wait."""
        problems: Sequence[BaseException | None]
        try:
            problems = self._send_batch([entry.item for entry in part])
            if len(problems) != len(part):
                raise ValueError(f"send_batch was given {len(part)} items and answered for {len(problems)}")
        except BaseException as error:  # noqa: BLE001  the leader raises it too, as its own item's
            problems = [error] * len(part)
        for entry, problem in zip(part, problems, strict=True):
            entry.problem, entry.sent = problem, True
            entry.woken.set()
