"""DynamoDB table: typed items, and transactions that are retried while other writers hold the same item."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeVar

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

from infrafabric.backoff import conflict_delay_s
from infrafabric.swarm.table_keys import PARTITION_KEY, SORT_KEY

T = TypeVar("T")
Item = dict[str, Any]  # plain values; {} for an item that did not exist

MAX_TRIES = 40  # of a contended write; the delays between them sum to about 30 s
_CONTENTION = {  # error codes that a retry may not meet
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
class DynamoTable:
    """Table with a partition key ``pk`` and a sort key ``sk``. ``dynamodb`` is a boto3 client."""

    dynamodb: Any
    table: str
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    random_unit: Callable[[], float] = random.random
    sleep: Callable[[float], None] = time.sleep

    def find(self, partition: str, sort_key: str) -> Item | None:
        """Return one item with a consistent read, or None if the item does not exist."""
        key = encoded({PARTITION_KEY: partition, SORT_KEY: sort_key})
        response = self.dynamodb.get_item(TableName=self.table, Key=key, ConsistentRead=True)
        return plain(response["Item"]) if "Item" in response else None

    def update_request(
        self,
        partition: str,
        sort_key: str,
        expression: str,
        values: Mapping[str, Any],
        *,
        condition: str = "",
        names: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Return an update as an item of a transaction."""
        update = {
            "TableName": self.table,
            "Key": encoded({PARTITION_KEY: partition, SORT_KEY: sort_key}),
            "UpdateExpression": expression,
            "ExpressionAttributeValues": encoded(values),
            **({"ExpressionAttributeNames": dict(names)} if names else {}),
            **_condition(condition),
        }
        return {"Update": update}

    def put_request(
        self,
        item: Mapping[str, Any],
        *,
        condition: str = "",
        values: Mapping[str, Any] | None = None,
        names: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Return a put of a whole item as an item of a transaction."""
        put = {
            "TableName": self.table,
            "Item": encoded(item),
            **({"ExpressionAttributeValues": encoded(values)} if values else {}),
            **({"ExpressionAttributeNames": dict(names)} if names else {}),
            **_condition(condition),
        }
        return {"Put": put}

    def transact(self, requests: list[dict[str, Any]]) -> list[Item | None] | None:
        """Write all requests or none. Retries while another transaction holds one of the items.

        Returns:
            None if the requests were written. If a condition failed: per request the existing item, or None for a
            request whose own condition held.
        """
        token = uuid.uuid4().hex  # idempotency: the same for each retry, so a success that got lost is not repeated
        try:
            self.retry_on_contention(
                lambda: self.dynamodb.transact_write_items(TransactItems=requests, ClientRequestToken=token)
            )
        except ClientError as error:
            failures = _failed_conditions(error)
            if failures is None:
                raise
            return failures
        return None

    def retry_on_contention(self, call: Callable[[], T]) -> T:
        """Run ``call``; retry with full jitter while DynamoDB reports a conflict or throttling (40 tries, 30 s)."""
        for tries in range(MAX_TRIES - 1):
            try:
                return call()
            except ClientError as error:
                if not _is_contention(error):
                    raise
            self.sleep(conflict_delay_s(tries, random_unit=self.random_unit()))
        return call()


def encoded(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return plain values as DynamoDB's typed values."""
    return {name: _encode(str(value) if isinstance(value, str) else value) for name, value in item.items()}


def plain(item: Mapping[str, Any]) -> Item:
    """Return DynamoDB's typed values as plain values; whole numbers become ``int``, also in lists and maps."""
    return {name: _whole_numbers(_decode(value)) for name, value in item.items()}


def _whole_numbers(value: Any) -> Any:
    if isinstance(value, list):
        return [_whole_numbers(inner) for inner in value]
    if isinstance(value, dict):
        return {name: _whole_numbers(inner) for name, inner in value.items()}
    return int(value) if isinstance(value, Decimal) and value == value.to_integral_value() else value


def _condition(condition: str) -> dict[str, str]:
    if not condition:
        return {}
    return {"ConditionExpression": condition, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}


def _reasons(error: ClientError) -> list[Mapping[str, Any]]:
    return error.response.get("CancellationReasons") or []


def _failed_conditions(error: ClientError) -> list[Item | None] | None:
    """Return the existing items of failed conditions; None if no condition failed.

    A conflict without a failed condition says nothing about the item.
    """
    failed = [reason.get("Code") == "ConditionalCheckFailed" for reason in _reasons(error)]
    if not any(failed):
        return None
    return [plain(r.get("Item") or {}) if fail else None for r, fail in zip(_reasons(error), failed, strict=True)]


def _is_contention(error: ClientError) -> bool:
    codes = {reason.get("Code") for reason in _reasons(error)}
    if "ConditionalCheckFailed" in codes:
        return False
    return bool({error.response["Error"]["Code"], *codes} & _CONTENTION)
