"""Rows of the agents' circuit breakers: each agent writes its own, the coordinator reads them all."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from infrafabric.aws_adapters.dynamodb_table import encoded, plain
from infrafabric.swarm.table_keys import PARTITION_KEY

_KEY = encoded({PARTITION_KEY: "breaker"})  # messages' keys are UUIDs
_KEEP_S = 86_400


@dataclass(frozen=True, kw_only=True)
class TableBreakerRow:
    """Row in the lease table of one agent. ``dynamodb`` is a boto3 client."""

    dynamodb: Any
    table: str

    def read(self) -> int | None:
        """Return until when the breaker is open, None if it is closed."""
        item = self.dynamodb.get_item(TableName=self.table, Key=_KEY, ConsistentRead=True).get("Item")
        return int(plain(item)["until_ms"]) if item else None

    def write(self, until_ms: int, *, expected: int | None) -> bool:
        """Open the breaker, if the row is as expected: of several writers one succeeds."""
        values = {":until": until_ms, ":expires": until_ms // 1000 + _KEEP_S}
        condition = "attribute_not_exists(until_ms)" if expected is None else "until_ms = :expected"
        try:
            self.dynamodb.update_item(
                TableName=self.table,
                Key=_KEY,
                UpdateExpression="SET until_ms = :until, expires_at = :expires",
                ConditionExpression=condition,
                ExpressionAttributeValues=encoded(values if expected is None else {**values, ":expected": expected}),
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            return False
        return True

    def delete(self) -> None:
        """Close the breaker."""
        self.dynamodb.delete_item(TableName=self.table, Key=_KEY)


@dataclass(frozen=True, kw_only=True)
class BreakerRows:
    """Rows of all agents. ``table_of`` returns the name of an agent's lease table."""

    dynamodb: Any
    table_of: Callable[[str], str]
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000

    def open(self, agents: Sequence[str]) -> int:
        """Return how many of these agents have an open breaker. What cannot be read now counts as closed."""
        tables = {self.table_of(agent): {"Keys": [_KEY]} for agent in agents}
        response = self.dynamodb.batch_get_item(RequestItems=tables)
        rows = [plain(item) for items in response["Responses"].values() for item in items]
        return sum(int(row["until_ms"]) > self.now_ms() for row in rows)
