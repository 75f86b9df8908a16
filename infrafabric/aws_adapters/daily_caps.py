"""Daily caps in the sessions table: one item per owner, UTC day and region, written together with the session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from infrafabric.aws_adapters.dynamodb_table import DynamoTable
from infrafabric.swarm.daily_cap import cap_region
from infrafabric.swarm.shapes.session_item import KEEP_S, SessionItem
from infrafabric.swarm.table_keys import CAP


@dataclass(frozen=True, kw_only=True)
class DailyCaps(DynamoTable):
    """Requests of transactions on daily caps."""

    home: str  # this region

    def reserve_in_cap_request(self, session: SessionItem, cap_nusd: int) -> dict[str, Any]:
        """Return the reservation of a session's budget; its condition fails if the cap would be exceeded."""
        room_nusd = cap_nusd - session.budget_nusd
        condition = "total_nusd <= :room"  # false for a cap without an item
        expires_at = self.now_ms() // 1000 + KEEP_S
        return self.update_request(
            session.cap_partition,
            CAP,
            "SET expires_at = if_not_exists(expires_at, :expires) ADD total_nusd :budget, running_nusd :budget",
            {":budget": session.budget_nusd, ":room": room_nusd, ":expires": expires_at},
            condition=condition if room_nusd < 0 else f"attribute_not_exists(pk) OR {condition}",
        )

    def refund_to_cap_requests(self, session: SessionItem) -> list[dict[str, Any]]:
        """Return the refund of a session that ends; none for a session without a cap, or with another region's.

        Another region's cap has its writer there: of two writers in a global table the last one wins.

        Args:
            session: with its final numbers.
        """
        if not session.cap_partition or cap_region(session.cap_partition) != self.home:
            return []
        refund_nusd = max(0, session.budget_nusd - session.spent_nusd - session.committed_nusd)
        refund = self.update_request(
            session.cap_partition,
            CAP,
            "ADD total_nusd :refund, running_nusd :budget",
            {":refund": -refund_nusd, ":budget": -session.budget_nusd},
            condition="attribute_exists(pk)",
        )
        return [refund]
