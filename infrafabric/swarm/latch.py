"""Latch: threads wait until each of them has come to the same point."""

from __future__ import annotations

import threading


class Latch:
    """Opens once ``parties`` different parties have arrived; arriving again counts once."""

    def __init__(self, parties: int) -> None:
        self._missing = set(range(parties))
        self._lock, self._open = threading.Lock(), threading.Event()
        if not parties:
            self._open.set()

    def arrive(self, party: int) -> None:
        """Note that a party (0 to ``parties`` - 1) has arrived. Does not wait."""
        with self._lock:
            self._missing.discard(party)
            if not self._missing:
                self._open.set()

    def wait(self) -> None:
        """Wait until all parties have arrived."""
        self._open.wait()
