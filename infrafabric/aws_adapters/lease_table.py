"""Leases of one agent's messages, in a DynamoDB table that only this agent's role may write."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from infrafabric.aws_adapters.dynamodb_table import DynamoTable, encoded, plain
from infrafabric.bus.uris import last_segment
from infrafabric.swarm.leases import CopyId, Lease, LeaseState
from infrafabric.swarm.table_keys import PARTITION_KEY

_KEEP_S = 15 * 86_400  # SQS keeps a message 14 days at most
# A message that was never leased, or the copy that its holder put back.
_FREE = (
    "(attribute_not_exists(until_ms) OR (put_back = :yes AND put_backs = :put_backs)) "
    "AND attribute_not_exists(cancelled)"
)


@dataclass(frozen=True, kw_only=True)
class LeaseTable(DynamoTable):
    """Table with the message as its partition key and no sort key."""

    def take(self, message_id: str, *, lease_ms: int, copy: CopyId, sent_ms: int) -> Lease:
        """Lease a message for ``lease_ms``, if it is free: one conditional write.

        Returns:
            The granted lease, or the state that keeps the message from being leased.
        """
        now_ms = self.now_ms()
        holder = uuid.uuid4().hex  # tells our own write, whose success was not seen, from another invocation's
        values = {
            ":until": now_ms + lease_ms,
            ":holder": holder,
            ":sqs": copy.sqs_message_id,
            ":origin": copy.origin,
            ":sent": sent_ms,
            ":put_backs": copy.put_backs,
            ":expires": self._expires_at(),
            ":yes": True,
        }
        expression = (
            "SET until_ms = :until, holder = :holder, sqs_message_id = :sqs, origin = :origin, put_backs = :put_backs, "
            "sent_ms = :sent, expires_at = :expires REMOVE put_back"
        )
        try:
            item = self._update(message_id, expression, values, condition=_FREE)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            item = plain(error.response["Item"])  # pyright: ignore[reportTypedDictNotRequiredAccess, reportGeneralTypeIssues]
            if item.get("holder") == holder:
                return _lease(LeaseState.GRANTED, item)
            return _lease(_state(item, now_ms), item)
        return _lease(LeaseState.GRANTED, item)

    def put_back(self, message_id: str, lease: Lease) -> bool:
        """Free a message for its next copy. Returns False if the lease has passed to another invocation."""
        values = {":yes": True, ":put_backs": lease.copy.put_backs + 1, ":holder": lease.holder}
        try:
            self._update(
                message_id, "SET put_back = :yes, put_backs = :put_backs", values, condition="holder = :holder"
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            return False
        return True

    def note_failure(self, sqs_message_id: str) -> int:
        """Count a delivery of a message that failed in our code. Returns the count.

        SQS's own count of receives includes those that Lambda throttled, so that nothing ran.
        """
        values = {":one": 1, ":expires": self._expires_at()}
        item = self._update(f"failures-{sqs_message_id}", "SET expires_at = :expires ADD failures :one", values)
        return int(item["failures"])

    def cancel(self, message_id: str) -> None:
        """Note that nobody needs an answer to a message, whether it has arrived or not."""
        values = {":yes": True, ":expires": self._expires_at()}
        self._update(message_id, "SET cancelled = :yes, expires_at = :expires", values)

    def _expires_at(self) -> int:
        return self.now_ms() // 1000 + _KEEP_S

    def _update(
        self, message_id: str, expression: str, values: dict[str, Any], *, condition: str | None = None
    ) -> dict[str, Any]:
        """Update a message's item. Returns the item as it is then."""
        conditional = {"ConditionExpression": condition, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
        response = self.retry_on_contention(
            lambda: self.dynamodb.update_item(
                TableName=self.table,
                Key=encoded({PARTITION_KEY: last_segment(message_id)}),
                UpdateExpression=expression,
                ExpressionAttributeValues=encoded(values),
                ReturnValues="ALL_NEW",
                **(conditional if condition else {}),
            )
        )
        return plain(response["Attributes"])


def _state(item: dict[str, Any], now_ms: int) -> LeaseState:
    if item.get("until_ms", 0) > now_ms and "put_back" not in item:
        return LeaseState.HELD
    if "cancelled" in item:
        return LeaseState.CANCELLED
    return LeaseState.PUT_BACK if "put_back" in item else LeaseState.USED


def _lease(state: LeaseState, item: dict[str, Any]) -> Lease:
    return Lease(
        state=state,
        copy=CopyId(item.get("sqs_message_id", ""), item.get("origin", ""), item.get("put_backs", 0)),
        sent_ms=item.get("sent_ms", 0),
        holder=item.get("holder", ""),
        until_ms=item.get("until_ms", 0),
    )
