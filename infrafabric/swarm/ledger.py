"""Ledger of a session: money that is spent, and money that attempts without an answer may still spend.

Plain arithmetic over checkpointed results: a replay of the execution comes to the same sums. A counter in a step, or in
the branches of a map, would not: steps are repeated, and branches end in another order.

All amounts are nano-USD.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass
class Ledger:
    """Money of one session. ``spent`` + ``committed`` never exceeds ``budget``."""

    budget: int
    spent: int = 0
    _open: dict[str, int] = field(default_factory=dict)  # allowance of each attempt without a believed answer

    @property
    def committed(self) -> int:
        """Money that attempts without a believed answer may still spend."""
        return sum(self._open.values())

    @property
    def free(self) -> int:
        """Money that no attempt may spend yet."""
        return self.budget - self.spent - self.committed

    def allow(self, attempt: str, allowance: int) -> None:
        """Commit an allowance to an attempt.

        Raises:
            ValueError: the allowance is not free.
        """
        if allowance > self.free:
            raise ValueError(f"allowance {allowance} of {attempt} exceeds the free {self.free}")
        self._open[attempt] = allowance

    def pay(self, attempt: str, cost: int) -> int:
        """Replace an attempt's allowance by its cost; an answer may claim a higher one. Returns what was paid."""
        allowance = self._open.pop(attempt, 0)
        paid = max(0, min(cost, allowance))
        self.spent += paid
        return paid

    def book(self, *, spent: int, committed: Mapping[str, int]) -> None:
        """Take over what another execution, or a call of the coordinator itself, has spent and committed."""
        self.spent += spent
        self._open.update(committed)


def affordable(costs: Iterable[int], free: int) -> int:
    """Return how many of ``costs``, from the first on, ``free`` pays together."""
    count = 0
    for cost in costs:
        free -= cost
        if free < 0:
            break
        count += 1
    return count
