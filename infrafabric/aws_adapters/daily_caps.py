"""Daily caps in the sessions table: one item per owner, UTC day and region, written together with the session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infrafabric.aws_adapters.sessions_table import SessionsTable
from infrafabric.swarm.daily_cap import cap_region
from infrafabric.swarm.shapes.session_item import SessionItem
from infrafabric.swarm.table_keys import CAP


class DailyCaps(SessionsTable):
    """Requests of transactions on daily caps."""

    @property
    def region(self) -> str:
        """Region of the client, which Lambda sets by AWS_REGION."""
        return self.dynamodb.meta.region_name

    def reserve_in_cap_request(self, session: SessionItem, cap_nusd: int) -> dict[str, Any]:
        """Return the reservation of a session's budget; its condition fails if the cap would be exceeded."""
        room_nusd = cap_nusd - session.budget_nusd
        condition = "total_nusd <= :room"  # false for a cap without an item
        return self.update_request(
            session.cap_partition,
            CAP,
            "SET expires_at = if_not_exists(expires_at, :expires) ADD total_nusd :budget, running_nusd :budget",
            {":budget": session.budget_nusd, ":room": room_nusd, ":expires": self.write_times()["expires_at"]},
            condition=condition if room_nusd < 0 else f"attribute_not_exists(pk) OR {condition}",
        )

    def refund_to_cap_requests(self, session: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the refund of a session that ends; none for a session without a cap, or with another region's.

        Another region's cap has its writer there: of two writers in a global table the last one wins.

        Args:
            session: the session's stored item, at the moment of its end.
        """
        partition = session.get("cap_partition")
        budget_nusd, committed_nusd = session.get("budget_nusd"), session.get("committed")
        if type(budget_nusd) is not int or type(committed_nusd) is not int:  # damaged, and still to be ended
            return []
        if not isinstance(partition, str) or cap_region(partition) != self.region:
            return []
        refund = self.update_request(
            partition,
            CAP,
            "ADD total_nusd :refund, running_nusd :budget",
            {":refund": -max(0, budget_nusd - committed_nusd), ":budget": -budget_nusd},
            condition="attribute_exists(pk)",
        )
        return [refund]
