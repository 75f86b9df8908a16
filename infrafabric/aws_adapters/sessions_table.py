"""Sessions table: expressions shared by several writers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infrafabric.aws_adapters.dynamodb_table import DynamoTable
from infrafabric.swarm.shapes.session_item import KEEP_S
from infrafabric.swarm.status import SessionStatus
from infrafabric.swarm.table_keys import SESSION

# Condition values and names: DynamoDB reserves the word "status".
LIVE = {":pending": SessionStatus.PENDING, ":running": SessionStatus.RUNNING}
IS_LIVE = "#status IN (:pending, :running)"
STATUS_NAME = {"#status": "status"}


class SessionsTable(DynamoTable):
    """Table of sessions, their tasks and the leases of their messages."""

    def add_request(self, session_id: str, counters: Mapping[str, int]) -> dict[str, Any]:
        """Return an addition to a session's counters as an item of a transaction.

        ``updated_ms`` changes too, as progress for the watchdog.
        """
        names = sorted(counters)
        expression = "SET updated_ms = :now ADD " + ", ".join(f"{name} :{name}" for name in names)
        values = {f":{name}": counters[name] for name in names}
        return self.update_request(session_id, SESSION, expression, {**values, ":now": self.now_ms()})

    def write_times(self) -> dict[str, Any]:
        """Return the time of a write, and the time (in seconds) at which the table may drop the item."""
        now_ms = self.now_ms()
        return {"at_ms": now_ms, "expires_at": now_ms // 1000 + KEEP_S}
