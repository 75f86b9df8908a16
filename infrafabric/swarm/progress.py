"""Progress of a running round: written now and then for clients that watch, outside the durable execution's steps."""

from __future__ import annotations

import threading
from collections.abc import Callable

_EVERY_MS = 2_000


class ProgressClock:
    """Says when progress is due: at most every two seconds for one part of a round, in one execution environment."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms, self._lock = now_ms, threading.Lock()
        self._written: dict[tuple[str, int], int] = {}

    def due(self, partition: str, part: int) -> bool:
        """Tell whether progress is due now; if so, the next is due in two seconds."""
        now_ms = self._now_ms()
        with self._lock:
            if now_ms - self._written.get((partition, part), 0) < _EVERY_MS:
                return False
            self._written = {entry: at for entry, at in self._written.items() if now_ms - at < _EVERY_MS}
            self._written[partition, part] = now_ms
            return True
