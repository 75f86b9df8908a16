"""How the sessions table is written: items, transactions, and patience with others who write the same item.

Items of a session share the partition key ``pk`` (the session's id); ``sk`` is ``SESSION``, ``TASK#t0001`` or
``MSG#<uuid>``. Its order has a partition of its own, which agents' roles may not touch. Its counters stand in the
``SESSION`` item, which each claim and each answer updates: it must stay small, because a write costs by the size of the
whole item.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

from infrafabric.resilience import conflict_delay_s
from infrafabric.swarm.session import Status

T = TypeVar("T")
Found = dict[str, Any]  # an item as plain values; {} where there was none

KEEP_S = 90 * 86_400  # TTL: the history stays in PostgreSQL and S3
TRIES = 40  # of a write that met others; the waits between them sum to about 30 s
_PASSING = {  # what another try may not meet
    "ProvisionedThroughputExceeded",
    "ProvisionedThroughputExceededException",
    "ThrottlingError",
    "ThrottlingException",
    "TransactionConflict",
    "TransactionConflictException",
    "TransactionInProgressException",
}

_encode = TypeSerializer().serialize
_decode = TypeDeserializer().deserialize


@dataclass(frozen=True, kw_only=True)
class Table:
    """The table. ``dynamodb`` is a boto3 client; ``now_ms`` and ``draw`` are the clock and chance."""

    dynamodb: Any
    table: str
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    draw: Callable[[], float] = random.random
    pause: Callable[[float], None] = time.sleep

    def find(self, session_id: str, sk: str) -> Found | None:
        """One item, as it is now."""
        key = encoded({"pk": session_id, "sk": sk})
        found = self.dynamodb.get_item(TableName=self.table, Key=key, ConsistentRead=True)
        return plain(found["Item"]) if "Item" in found else None

    def change(
        self,
        session_id: str,
        sk: str,
        expression: str,
        values: Mapping[str, Any],
        *,
        condition: str = "",
        names: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """An update, as an item of a transaction."""
        update = {
            "TableName": self.table,
            "Key": encoded({"pk": session_id, "sk": sk}),
            "UpdateExpression": expression,
            "ExpressionAttributeValues": encoded(values),
            **({"ExpressionAttributeNames": dict(names)} if names else {}),
            **_guard(condition),
        }
        return {"Update": update}

    def put(
        self,
        item: Mapping[str, Any],
        *,
        condition: str = "",
        values: Mapping[str, Any] | None = None,
        names: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """An item to write whole, as an item of a transaction."""
        put = {
            "TableName": self.table,
            "Item": encoded(item),
            **({"ExpressionAttributeValues": encoded(values)} if values else {}),
            **({"ExpressionAttributeNames": dict(names)} if names else {}),
            **_guard(condition),
        }
        return {"Put": put}

    def add(self, session_id: str, counters: Mapping[str, int]) -> dict[str, Any]:
        """Add to a session's counters, as an item of a transaction; the watchdog sees that the session moved."""
        names = sorted(counters)
        expression = "SET updated_ms = :moved ADD " + ", ".join(f"{name} :{name}" for name in names)
        values = {f":{name}": counters[name] for name in names}
        return self.change(session_id, "SESSION", expression, {**values, ":moved": self.now_ms()})

    def fresh(self) -> dict[str, Any]:
        """When an item was written, and when the table may forget it."""
        now = self.now_ms()
        return {"at_ms": now, "expires_at": now // 1000 + KEEP_S}

    def transact(self, items: list[dict[str, Any]]) -> list[Found | None] | None:
        """Write all or nothing; a conflict with other transactions is tried again.

        Returns None when written. When a condition failed: for each item the one that was there, or None for an item
        whose own condition held.
        """
        token = uuid.uuid4().hex  # the same for each try: one that did succeed, unseen, is not made twice
        try:
            self.patiently(lambda: self.dynamodb.transact_write_items(TransactItems=items, ClientRequestToken=token))
        except ClientError as error:
            refusals = _refusals(error)
            if refusals is None:
                raise
            return refusals
        return None

    def patiently(self, call: Callable[[], T]) -> T:
        """What ``call`` returns, once it meets nobody else who writes the same item."""
        for tries in range(TRIES - 1):
            try:
                return call()
            except ClientError as error:
                if not _may_pass(error):
                    raise
            self.pause(conflict_delay_s(tries, draw=self.draw()))
        return call()


def encoded(item: Mapping[str, Any]) -> dict[str, Any]:
    """Plain values as DynamoDB's."""
    return {name: _encode(str(value) if isinstance(value, Status) else value) for name, value in item.items()}


def plain(item: Mapping[str, Any]) -> Found:
    """DynamoDB's values as plain ones. Numbers become ``Decimal``."""
    return {name: _decode(value) for name, value in item.items()}


def _guard(condition: str) -> dict[str, str]:
    if not condition:
        return {}
    return {"ConditionExpression": condition, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}


def _reasons(error: ClientError) -> list[Mapping[str, Any]]:
    return error.response.get("CancellationReasons") or []


def _refusals(error: ClientError) -> list[Found | None] | None:
    """None when no condition failed: a conflict says nothing about the item it was met on."""
    failed = [reason.get("Code") == "ConditionalCheckFailed" for reason in _reasons(error)]
    if not any(failed):
        return None
    return [plain(r.get("Item") or {}) if fail else None for r, fail in zip(_reasons(error), failed, strict=True)]


def _may_pass(error: ClientError) -> bool:
    codes = {reason.get("Code") for reason in _reasons(error)}
    if "ConditionalCheckFailed" in codes:
        return False
    return bool({error.response["Error"]["Code"], *codes} & _PASSING)
