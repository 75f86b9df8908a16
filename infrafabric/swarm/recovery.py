"""Recovery: what the rounds of a session brought, from what was stored before each of them and from the agents' places.

A second execution knows nothing of the first but this. It looks into the places of all requests that were sent, and
counts the allowances of those without an answer as committed.
"""

from __future__ import annotations

from typing import Any

from infrafabric.bus.registry import Registry
from infrafabric.swarm import own_calls
from infrafabric.swarm.deps import CoordinatorDeps
from infrafabric.swarm.failure_reasons import CANCELLED, DEADLINE
from infrafabric.swarm.round_settlement import RoundOutcome, RoundSettlement
from infrafabric.swarm.shapes.order import Order


class Recovery:
    """Looks for results without waiting for answers."""

    def __init__(self, order: Order, deps: CoordinatorDeps) -> None:
        self._order, self._deps = order, deps
        self._settlement = RoundSettlement(order, deps)

    def look(self) -> dict[str, Any]:
        """Look into the places of all attempts without a believed answer, and settle what lies there.

        Returns:
            ``outcome`` of these attempts, and ``over``: why no further answer is needed, else "".
        """
        outcome = RoundOutcome()
        for part in self._deps.store.rounds(self._order.key):
            if part.open_attempts():
                outcome.add(self._settlement.settle(part, {}, Registry({})))
        session = self._deps.store.get(self._order.key)
        over = DEADLINE if self._deps.now_ms() >= self._order.tasks_deadline_ms else ""
        if session is None or session.status.final or session.cancelled_ms is not None:
            over = CANCELLED
        return {"outcome": outcome.write(), "over": over}

    def run(self) -> dict[str, Any]:
        """Return what earlier executions did, small enough for a checkpoint.

        Returns:
            ``texts`` of a planned session, number of ``rounds``, ``tries`` per task, indexes of tasks ``done``,
            nano-USD ``spent``, the ``open`` attempts, and what the plan's calls have spent and committed.
        """
        order, store = self._order, self._deps.store
        self.look()
        parts = store.rounds(order.key)
        tries: dict[int, int] = {}
        for attempt in (attempt for part in parts for attempt in part.attempts):
            tries[attempt.index] = tries.get(attempt.index, 0) + 1
        done = {result.task_id for part in parts for result in part.results if result.done}
        indexes = {attempt.index for part in parts for attempt in part.attempts if attempt.task_id in done}
        return {
            "texts": [] if order.tasks else store.task_texts(order),
            "rounds": max((part.number + 1 for part in parts), default=0),
            "tries": [tries.get(index, 0) for index in range(max(tries, default=-1) + 1)],
            "done": sorted(indexes),
            "spent": sum(result.cost_nusd for part in parts for result in part.results),
            "open": [attempt.write() for part in parts for attempt in part.unanswered()],
            "plan_calls": list(own_calls.totals(order, own_calls.PLAN, self._deps)),
        }
