"""Circuit breaker of one agent: stops calls of a model API that does not answer (docs/models.md, "Circuit breaker").

All execution environments of an agent share one row in the agent's own table, and go by that row alone. So no agent can
stop another one. While the breaker is open, tasks are put back. After a minute one ordinary call is let through as a
probe: it closes the breaker if the API answers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from infrafabric.swarm.deps import Log

T = TypeVar("T")

OPEN_AFTER = 3  # failed calls in a row of one environment
_FRESH_MS = 30_000  # after this the row is read again
_PROVEN_MS = 60_000  # an API that answered so recently is asked by all threads at once
_SCOUT_MS = 1_000  # time that the others wait for the first call's failure


class BreakerRow(Protocol):
    """Row of the breaker: until when it is open, in Unix milliseconds; no row if it is closed."""

    def read(self) -> int | None: ...

    def write(self, until_ms: int, *, expected: int | None) -> bool:
        """Open the breaker. Returns False if the row is not the expected one."""
        ...

    def delete(self) -> None: ...


class Sign(Enum):
    """What a call says of the API."""

    ANSWERS = "answers"
    BUSY = "busy"  # a rate limit or an overload: it lives, and needs less
    FAILS = "fails"  # an internal error, no connection, or silence


class Breaker:
    """Breaker of one agent, as one execution environment sees it. Thread-safe.

    Each call of the API begins with ``enter`` and ends with ``leave``. If the table cannot be reached, the breaker
    counts as closed: it saves calls, and must not cost tasks.
    """

    def __init__(
        self, row: BreakerRow, *, now_ms: Callable[[], int], open_s: int, log: Log, opened: Callable[[], None]
    ) -> None:
        """Start closed.

        Args:
            row: shared by all environments of the agent.
            now_ms: Unix milliseconds.
            open_s: seconds from the opening to the probe, and from probe to probe.
            opened: is called when this environment opens the breaker.
        """
        self._row, self._now_ms, self._open_ms = row, now_ms, open_s * 1000
        self._log, self._opened = log, opened
        self._changed = threading.Condition()
        self._until_ms: int | None = None  # the row as it was read
        self._read_ms: int | None = None
        self._calls = self._failures = 0  # calls now; failures in a row
        self._answered_ms: int | None = None

    def enter(self) -> int:
        """Begin a call. Returns 0, or the time for which no call may be made, in milliseconds.

        While nobody knows whether the API answers, one call goes ahead, and the others wait a second for its failure.
        """
        with self._changed:
            waits_until_ms = self._now_ms() + _SCOUT_MS
            while True:
                self._refresh()
                if self._until_ms is not None:
                    if self._until_ms <= self._now_ms() and self._may_probe():
                        break
                    return max(1, self._until_ms - self._now_ms())
                left_ms = waits_until_ms - self._now_ms()
                if not self._calls or self._proven() or left_ms <= 0:
                    break
                self._changed.wait(left_ms / 1000)
            self._calls += 1
            return 0

    def leave(self, sign: Sign) -> None:
        """End a call with what it says of the API."""
        with self._changed:
            self._calls -= 1
            if sign is Sign.FAILS:
                self._failures += 1
                self._answered_ms = None
                if self._failures >= OPEN_AFTER and self._until_ms is None:
                    self._open()
            else:
                self._failures = 0
                if sign is Sign.ANSWERS:
                    self._answered_ms = self._now_ms()
                if self._until_ms is not None:
                    self._close()
            self._changed.notify_all()

    def _proven(self) -> bool:
        return self._answered_ms is not None and self._now_ms() - self._answered_ms < _PROVEN_MS

    def _refresh(self) -> None:
        """Read the row, if that was long ago or a probe is due."""
        now_ms = self._now_ms()
        due = self._until_ms is not None and self._until_ms <= now_ms
        if due or self._read_ms is None or now_ms - self._read_ms >= _FRESH_MS:
            self._until_ms, self._read_ms = self._safely(self._row.read, None), now_ms

    def _may_probe(self) -> bool:
        """Tell whether this call is the probe: of all environments one writes the row first."""
        until_ms, expected = self._now_ms() + self._open_ms, self._until_ms
        probes = self._safely(lambda: self._row.write(until_ms, expected=expected), True)
        self._until_ms = until_ms
        return probes

    def _open(self) -> None:
        until_ms = self._now_ms() + self._open_ms
        if self._safely(lambda: self._row.write(until_ms, expected=None), False):
            self._log.warning("breaker opened", failures=self._failures)
            self._opened()
        self._until_ms, self._read_ms = until_ms, self._now_ms()

    def _close(self) -> None:
        self._until_ms = None
        self._safely(self._row.delete, None)
        self._log.info("breaker closed")

    def _safely(self, do: Callable[[], T], otherwise: T) -> T:
        try:
            return do()
        except Exception as error:  # noqa: BLE001  a breaker saves calls, and must not cost tasks
            self._log.warning("breaker row not reached", error=type(error).__name__)
            return otherwise
