"""Sessions, tasks and messages in one DynamoDB table, and the rules that make its counters safe.

Items of a session share the partition key ``pk`` (the session's id); ``sk`` is ``SESSION``, ``TASK#t0001`` or
``MSG#<uuid>``. Money is nano-USD. ``committed`` is what was spent plus what running model calls may still cost: a claim
adds to it only while it stays within the budget, in the same transaction that makes the message ours, so any number of
agents together can never overspend.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from botocore.exceptions import ClientError

from infrafabric.resilience import conflict_delay_s
from infrafabric.swarm import items
from infrafabric.swarm.session import Order, Status, TaskResult
from infrafabric.swarm.store_errors import (
    AlreadyDoneError,
    BeingWorkedError,
    OverBudgetError,
    SessionExistsError,
    SessionOverError,
    StoreError,
)

KEEP_S = 90 * 86_400  # TTL: the history stays in PostgreSQL and S3
_LIVE = (Status.PENDING, Status.RUNNING)
_TRIES = 40  # a transaction that met others; the waits between them sum to about 10 s


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A message that is ours to work, and the money set aside for it."""

    session_id: str
    message_id: str
    reserved_nusd: int
    token: str
    carrier: str


@dataclass(frozen=True, kw_only=True)
class SessionStore:
    """The table. ``dynamodb`` is a boto3 client; ``now_ms`` and ``draw`` are the clock and chance."""

    dynamodb: Any
    table: str
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    draw: Callable[[], float] = random.random
    pause: Callable[[float], None] = time.sleep

    # -- sessions ------------------------------------------------------------------------------------------------

    def create(self, order: Order, *, digest: str, model: str) -> dict[str, Any]:
        """Write the session, once for its id.

        Raises:
            SessionExistsError: with the session that is there.
        """
        item = {
            "pk": order.session_id,
            "sk": "SESSION",
            "listing": "sessions",
            "created": f"{order.created_ms:015}#{order.session_id}",
            "created_ms": order.created_ms,
            "deadline_ms": order.deadline_ms,
            "status": Status.PENDING,
            "reason": "",
            "digest": digest,
            "order": json.dumps(order.as_event(), ensure_ascii=False),
            "model": model,
            "quorum": str(order.quorum),
            "budget": order.budget_nusd,
            "committed": 0,
            "spent": 0,
            "tasks_total": len(order.tasks),
            "tasks_done": 0,
            "tasks_failed": 0,
            "expires_at": order.created_ms // 1000 + KEEP_S,
        }
        try:
            self.dynamodb.put_item(
                TableName=self.table,
                Item=items.encoded(item),
                ConditionExpression="attribute_not_exists(pk)",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except self.dynamodb.exceptions.ConditionalCheckFailedException as error:
            raise SessionExistsError(items.plain(error.response["Item"])) from None
        return item

    def get(self, session_id: str) -> dict[str, Any] | None:
        found = self.dynamodb.get_item(TableName=self.table, Key=items.key(session_id, "SESSION"), ConsistentRead=True)
        return items.plain(found["Item"]) if "Item" in found else None

    def listed(self, *, limit: int, after: dict[str, Any] | None) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
        """Newest first: up to ``limit`` sessions after the one ``after`` names, and where the next page starts."""
        found = self.dynamodb.query(
            TableName=self.table,
            IndexName="by_created",
            KeyConditionExpression="listing = :all",
            ExpressionAttributeValues=items.encoded({":all": "sessions"}),
            ScanIndexForward=False,
            Limit=limit,
            **({"ExclusiveStartKey": items.encoded(after)} if after else {}),
        )
        last = found.get("LastEvaluatedKey")
        return [items.plain(item) for item in found["Items"]], items.plain(last) if last else None

    def begin(self, session_id: str, *, tasks: int) -> bool:
        """RUNNING from now on, with so many tasks. False when the session has ended (it was cancelled)."""
        return self._update(
            session_id,
            "SET #status = :running, tasks_total = :tasks",
            {":running": Status.RUNNING, ":tasks": tasks},
            condition="#status IN (:pending, :running)",
            also={":pending": Status.PENDING},
        )

    def end(self, session_id: str, status: Status, *, reason: str) -> bool:
        """The session's final state. False when it has one already, which then stands."""
        return self._update(
            session_id,
            "SET #status = :status, reason = :reason, ended_ms = :now",
            {":status": status, ":reason": reason, ":now": self.now_ms()},
            condition="#status IN (:pending, :running)",
            also={":pending": Status.PENDING, ":running": Status.RUNNING},
        )

    def note_execution(self, session_id: str, execution_arn: str) -> None:
        """Remember which durable execution serves the session, so that a cancel can stop it."""
        self._update(session_id, "SET execution_arn = :arn", {":arn": execution_arn}, condition="attribute_exists(pk)")

    def task_failed(self, session_id: str, result: TaskResult) -> None:
        """A task that no agent could do: counted once, whatever is said again."""
        item = {"pk": session_id, "sk": f"TASK#{result.task_id}", **asdict(result), **self._fresh()}
        change = [
            self._put(item, "attribute_not_exists(sk)"),
            self._add(session_id, {"tasks_failed": 1}),
        ]
        self._transact(change, tolerated=1)

    def tasks(self, session_id: str) -> Iterator[TaskResult]:
        """The tasks that have ended, in their order."""
        pages = self.dynamodb.get_paginator("query").paginate(
            TableName=self.table,
            KeyConditionExpression="pk = :id AND begins_with(sk, :task)",
            ExpressionAttributeValues=items.encoded({":id": session_id, ":task": "TASK#"}),
        )
        for page in pages:
            for found in page["Items"]:
                yield items.task(items.plain(found))

    # -- money and messages --------------------------------------------------------------------------------------

    def reserve(self, session_id: str, nusd: int, *, budget_nusd: int) -> None:
        """Set money aside for a call that no message stands for (plan, report).

        Raises:
            OverBudgetError, SessionOverError
        """
        refused = self._transact([self._reserve(session_id, nusd, budget_nusd)], tolerated=1)
        if refused:
            raise self._why(session_id, refused[0], nusd, budget_nusd)

    def settle(self, session_id: str, *, reserved_nusd: int, spent_nusd: int) -> None:
        """Turn a reservation into what the call did cost."""
        self._transact([self._add(session_id, {"spent": spent_nusd, "committed": spent_nusd - reserved_nusd})])

    def claim(
        self,
        session_id: str,
        message_id: str,
        *,
        reserve_nusd: int,
        budget_nusd: int,
        lease_ms: int,
        token: str,
        carrier: str,
    ) -> Claim:
        """Make the message ours for ``lease_ms`` and set money aside for it, both or neither.

        A claim whose holder went silent may be taken over when its lease has ended. What that holder had set aside
        stays committed: nobody knows what its call did cost.

        Raises:
            AlreadyDoneError, BeingWorkedError, SessionOverError, OverBudgetError
        """
        now = self.now_ms()
        take = {
            "Update": {
                "TableName": self.table,
                "Key": items.key(session_id, items.message(message_id)),
                "UpdateExpression": "SET #state = :working, lease_ms = :lease, holder = :token, expires_at = :ttl",
                "ConditionExpression": "attribute_not_exists(sk) OR (#state = :working AND lease_ms < :now)",
                "ExpressionAttributeNames": {"#state": "state"},
                "ExpressionAttributeValues": items.encoded(
                    {":working": "WORKING", ":lease": now + lease_ms, ":token": token, ":now": now,
                     ":ttl": now // 1000 + KEEP_S}
                ),
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            }
        }  # fmt: skip
        refused = self._transact([take, self._reserve(session_id, reserve_nusd, budget_nusd)], tolerated=2)
        if refused and refused[0] is not None:
            if refused[0].get("state") == "DONE":
                raise AlreadyDoneError(items.task(refused[0]), refused[0]["carrier"])
            raise BeingWorkedError(f"message {message_id} is being worked until {refused[0].get('lease_ms')}")
        if refused:
            raise self._why(session_id, refused[1], reserve_nusd, budget_nusd)
        return Claim(
            session_id=session_id, message_id=message_id, reserved_nusd=reserve_nusd, token=token, carrier=carrier
        )

    def finish(self, claim: Claim, result: TaskResult, *, spent_nusd: int) -> None:
        """The message's work is done: its answer, the money and the task's row, in one transaction.

        When another attempt has done the task before, its row stays and only money and answer are written.
        """
        money = {"spent": spent_nusd, "committed": spent_nusd - claim.reserved_nusd}
        done = self._put(
            {"pk": claim.session_id, "sk": items.message(claim.message_id), "state": "DONE", "carrier": claim.carrier,
             **asdict(result), **self._fresh()},
        )  # fmt: skip
        if result.status != "DONE":
            self._transact([done, self._add(claim.session_id, money)])
            return
        row = self._put(
            {"pk": claim.session_id, "sk": f"TASK#{result.task_id}", **asdict(result), **self._fresh()},
            "attribute_not_exists(sk)",
        )
        if self._transact([done, self._add(claim.session_id, {**money, "tasks_done": 1}), row], tolerated=3):
            self._transact([done, self._add(claim.session_id, money)])

    def release(self, claim: Claim) -> None:
        """Give the message back undone, and the money with it: nothing was asked of the model."""
        free = {
            "Update": {
                "TableName": self.table,
                "Key": items.key(claim.session_id, items.message(claim.message_id)),
                "UpdateExpression": "SET lease_ms = :over",
                "ConditionExpression": "holder = :token",
                "ExpressionAttributeValues": items.encoded({":token": claim.token, ":over": 0}),
            }
        }
        self._transact([free, self._add(claim.session_id, {"committed": -claim.reserved_nusd})], tolerated=1)

    # -- how it is written ---------------------------------------------------------------------------------------

    def _reserve(self, session_id: str, nusd: int, budget_nusd: int) -> dict[str, Any]:
        return {
            "Update": {
                "TableName": self.table,
                "Key": items.key(session_id, "SESSION"),
                "UpdateExpression": "ADD committed :cost",
                "ConditionExpression": "#status IN (:pending, :running) AND committed <= :room",
                "ExpressionAttributeNames": {"#status": "status"},
                "ExpressionAttributeValues": items.encoded(
                    {":cost": nusd, ":room": budget_nusd - nusd, ":pending": Status.PENDING, ":running": Status.RUNNING}
                ),
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            }
        }

    def _add(self, session_id: str, counters: Mapping[str, int]) -> dict[str, Any]:
        names = sorted(counters)
        return {
            "Update": {
                "TableName": self.table,
                "Key": items.key(session_id, "SESSION"),
                "UpdateExpression": "ADD " + ", ".join(f"{name} :{name}" for name in names),
                "ExpressionAttributeValues": items.encoded({f":{name}": counters[name] for name in names}),
            }
        }

    def _put(self, item: Mapping[str, Any], condition: str | None = None) -> dict[str, Any]:
        guard = {"ConditionExpression": condition} if condition else {}
        return {"Put": {"TableName": self.table, "Item": items.encoded(item), **guard}}

    def _fresh(self) -> dict[str, Any]:
        now = self.now_ms()
        return {"at_ms": now, "expires_at": now // 1000 + KEEP_S}

    def _transact(self, changes: list[dict[str, Any]], *, tolerated: int = 0) -> list[dict[str, Any] | None] | None:
        """Write all or nothing; a conflict with another transaction is tried again.

        Returns None when written. When a condition failed and ``tolerated`` allows it: for each item the one that was
        there (``{}`` when none), or None for an item whose own condition held.
        """
        for tries in range(_TRIES):
            try:
                self.dynamodb.transact_write_items(TransactItems=changes)
            except ClientError as error:
                reasons = error.response.get("CancellationReasons") or []
                codes = [reason.get("Code", "None") for reason in reasons]
                if "ConditionalCheckFailed" in codes and tolerated:
                    return [items.refusal(reason) for reason in reasons]
                if not items.may_pass(error, codes) or tries == _TRIES - 1:
                    raise
                self.pause(conflict_delay_s(tries, draw=self.draw()))
            else:
                return None
        raise AssertionError("the last try returns or raises")

    def _why(self, session_id: str, item: dict[str, Any] | None, nusd: int, budget_nusd: int) -> StoreError:
        if not item:
            return SessionOverError(f"session {session_id} does not exist")
        if item.get("status") not in _LIVE:
            return SessionOverError(f"session {session_id} is {item['status']}")
        free = budget_nusd - int(item["committed"])
        return OverBudgetError(
            f"the next model call may cost {nusd / 1e9:.6f} USD and {max(free, 0) / 1e9:.6f} USD of the budget of "
            f"{budget_nusd / 1e9:.6f} USD are free: start the session again with a larger budget_usd"
        )

    def _update(
        self, session_id: str, change: str, values: Mapping[str, Any], *, condition: str, also: Mapping[str, Any] = {}
    ) -> bool:
        names = {"#status": "status"} if "#status" in change + condition else {}
        try:
            self.dynamodb.update_item(
                TableName=self.table,
                Key=items.key(session_id, "SESSION"),
                UpdateExpression=change,
                ConditionExpression=condition,
                ExpressionAttributeValues=items.encoded({**values, **also}),
                **({"ExpressionAttributeNames": names} if names else {}),
            )
        except self.dynamodb.exceptions.ConditionalCheckFailedException:
            return False
        return True
