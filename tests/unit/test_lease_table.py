"""An agent's lease table: one conditional write per message, and what its answer means."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError

from infrafabric.aws_adapters.dynamodb_table import encoded, plain
from infrafabric.aws_adapters.lease_table import LeaseTable
from infrafabric.bus.uris import new_message_id
from infrafabric.swarm.leases import CopyId, Lease, LeaseState

NOW = 1_800_000_000_000
MESSAGE = new_message_id()


@dataclass
class DynamoDB:
    """Client whose conditional writes fail while ``held`` is set; ``lost`` writes succeed and raise all the same."""

    held: dict[str, Any] | None = None
    lost: bool = False
    error: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)

    def update_item(self, **request: Any) -> dict[str, Any]:
        self.requests.append(request)
        if self.error:
            raise ClientError({"Error": {"Code": self.error, "Message": ""}}, "UpdateItem")
        written = {name[1:]: value for name, value in plain(request["ExpressionAttributeValues"]).items()}
        if self.held is None and not self.lost:
            return {"Attributes": encoded(written)}
        item = encoded(written if self.held is None else self.held)
        code = "ConditionalCheckFailedException"
        raise ClientError({"Error": {"Code": code, "Message": ""}, "Item": item}, "UpdateItem")  # type: ignore[typeddict-unknown-key]

    def table(self) -> LeaseTable:
        return LeaseTable(dynamodb=self, table="leases", now_ms=lambda: NOW)


def take(dynamodb: DynamoDB) -> Lease:
    return dynamodb.table().take(MESSAGE, lease_ms=60_000, copy=CopyId("sqs-2", "sqs-1", 1), sent_ms=7)


def test_a_lease_lasts_as_long_as_the_invocation_and_longer_in_the_table_than_its_message_in_the_queue() -> None:
    dynamodb = DynamoDB()
    assert take(dynamodb).state is LeaseState.GRANTED
    (request,) = dynamodb.requests
    values = plain(request["ExpressionAttributeValues"])
    assert plain(request["Key"]) == {"pk": MESSAGE.rsplit("/", 1)[-1]}
    assert (values[":until"], values[":sqs"], values[":origin"]) == (NOW + 60_000, "sqs-2", "sqs-1")
    assert values[":expires"] - NOW // 1000 > 14 * 86_400


def test_only_a_free_message_is_leased() -> None:
    dynamodb = DynamoDB()
    take(dynamodb)
    free = (
        "(attribute_not_exists(until_ms) OR (put_back = :yes AND put_backs = :put_backs)) "
        "AND attribute_not_exists(cancelled)"
    )
    assert dynamodb.requests[0]["ConditionExpression"] == free


def test_our_own_write_whose_success_was_not_seen_is_a_granted_lease() -> None:
    """The SDK repeats a write whose response got lost, and the repeat meets the first write's item."""
    assert take(DynamoDB(lost=True)).state is LeaseState.GRANTED


ITEM = {"until_ms": NOW + 1, "holder": "another", "sqs_message_id": "sqs-1", "origin": "sqs-0", "put_backs": 2}


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, LeaseState.HELD),
        ({"cancelled": True}, LeaseState.HELD),
        ({"until_ms": NOW}, LeaseState.USED),
        ({"until_ms": NOW, "cancelled": True}, LeaseState.CANCELLED),
        ({"put_back": True, "cancelled": True}, LeaseState.CANCELLED),
        ({"put_back": True}, LeaseState.PUT_BACK),
    ],
)
def test_a_message_that_is_not_free_tells_why_and_for_which_copy_it_was_leased(
    changes: dict[str, Any], state: LeaseState
) -> None:
    lease = take(DynamoDB(held={**ITEM, **changes}))
    assert (lease.state, lease.copy) == (state, CopyId("sqs-1", "sqs-0", 2))


def test_a_request_that_was_cancelled_before_it_arrived_is_not_begun() -> None:
    assert take(DynamoDB(held={"cancelled": True})) == Lease(state=LeaseState.CANCELLED, copy=CopyId("", ""))


def test_any_other_error_of_the_table_is_raised() -> None:
    with pytest.raises(ClientError, match="AccessDeniedException"):
        take(DynamoDB(error="AccessDeniedException"))


def test_a_message_is_put_back_by_its_holder_alone() -> None:
    dynamodb = DynamoDB()
    lease = take(dynamodb)
    assert dynamodb.table().put_back(MESSAGE, lease)
    request = dynamodb.requests[-1]
    assert request["ConditionExpression"] == "holder = :holder"
    assert plain(request["ExpressionAttributeValues"]) == {":yes": True, ":put_backs": 2, ":holder": lease.holder}
    assert not DynamoDB(held=ITEM).table().put_back(MESSAGE, lease)
    with pytest.raises(ClientError, match="AccessDeniedException"):
        DynamoDB(error="AccessDeniedException").table().put_back(MESSAGE, lease)


def test_a_cancel_is_noted_also_for_a_message_that_has_not_arrived() -> None:
    dynamodb = DynamoDB()
    dynamodb.table().cancel(MESSAGE)
    (request,) = dynamodb.requests
    assert "ConditionExpression" not in request
    assert request["UpdateExpression"] == "SET cancelled = :yes, expires_at = :expires"
