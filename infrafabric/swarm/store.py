"""Sessions and their tasks in the sessions table. Messages and money are the ledger's."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from infrafabric.swarm.ledger import Ledger, task_of
from infrafabric.swarm.session import Order, Status, TaskResult, order_key
from infrafabric.swarm.table import KEEP_S, Found, encoded, plain


class SessionExistsError(Exception):
    """A session of that id is there; ``item`` is it."""

    def __init__(self, item: Found) -> None:
        super().__init__(f"session {item['pk']} exists")
        self.item = item


class SessionStore(Ledger):
    """What the API and the coordinator do to the table."""

    def create(self, order: Order, *, digest: str, model: str) -> Found:
        """Write the session and its order, once for its id.

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
        event = json.dumps(order.as_event(), ensure_ascii=False)
        whole = {"pk": order_key(order.session_id), "sk": "ORDER", "event": event, "expires_at": item["expires_at"]}
        refused = self.transact([self.put(item, condition="attribute_not_exists(pk)"), self.put(whole)])
        if refused and refused[0] is not None:
            raise SessionExistsError(refused[0])
        return item

    def get(self, session_id: str) -> Found | None:
        return self.find(session_id, "SESSION")

    def order(self, session_id: str) -> Order:
        """What a session was asked to do.

        Raises:
            LookupError: it has no order, so the API did not make it.
        """
        found = self.find(order_key(session_id), "ORDER")
        if found is None:
            raise LookupError(f"session {session_id} has no order")
        return Order.from_event(json.loads(found["event"]))

    def listed(self, *, limit: int, after: Found | None) -> tuple[list[Found], Found | None]:
        """Newest first: up to ``limit`` sessions after the one ``after`` names, and where the next page starts."""
        found = self.dynamodb.query(
            TableName=self.table,
            IndexName="by_created",
            KeyConditionExpression="listing = :all",
            ExpressionAttributeValues=encoded({":all": "sessions"}),
            ScanIndexForward=False,
            Limit=limit,
            **({"ExclusiveStartKey": encoded(after)} if after else {}),
        )
        last = found.get("LastEvaluatedKey")
        return [plain(item) for item in found["Items"]], plain(last) if last else None

    def live(self) -> Iterator[Found]:
        """The sessions that have not ended."""
        since = f"{self.now_ms() - _LONGEST_MS:015}"
        pages = self.dynamodb.get_paginator("query").paginate(
            TableName=self.table,
            IndexName="by_created",
            KeyConditionExpression="listing = :all AND created > :since",
            FilterExpression="#status IN (:pending, :running)",
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues=encoded({":all": "sessions", ":since": since, **_LIVE}),
        )
        for page in pages:
            yield from map(plain, page["Items"])

    def begin(self, session_id: str, *, tasks: int, planned: Sequence[str] = ()) -> bool:
        """RUNNING from now on, with so many tasks. False when the session has ended (it was cancelled).

        Args:
            planned: the tasks' texts, when no order has them: a second execution could not plan the same ones.
        """
        plan = {"pk": order_key(session_id), "sk": "PLAN", "texts": list(planned), **self.fresh()}
        return self._update_live(
            session_id,
            "SET #status = :now, tasks_total = :tasks, updated_ms = :moved",
            {":now": Status.RUNNING, ":tasks": tasks, ":moved": self.now_ms()},
            *([self.put(plan)] if planned else []),
        )

    def texts(self, order: Order) -> list[str]:
        """The tasks, in their order: those that were given, or what the goal was split into; none before that."""
        planned = None if order.tasks else self.find(order_key(order.session_id), "PLAN")
        return list(planned["texts"]) if planned else list(order.tasks)

    def end(self, session_id: str, status: Status, *, reason: str) -> bool:
        """The session's final state. False when it has one already, which then stands."""
        return self._update_live(
            session_id,
            "SET #status = :status, reason = :reason, ended_ms = :now",
            {":status": status, ":reason": reason, ":now": self.now_ms()},
        )

    def note_execution(self, session_id: str, execution_arn: str) -> None:
        """Remember which durable execution serves the session: its history is found by it."""
        arn = {":arn": execution_arn}
        self.transact([self.change(session_id, "SESSION", "SET execution_arn = :arn", arn, condition=_EXISTS)])

    def task_failed(self, session_id: str, result: TaskResult) -> None:
        """A task that no agent could do: counted once, whatever is said again; one that was done stays so."""
        row = {"pk": session_id, "sk": f"TASK#{result.task_id}", **asdict(result), **self.fresh()}
        self.transact([self.put(row, condition="attribute_not_exists(sk)"), self.add(session_id, {"tasks_failed": 1})])

    def task(self, session_id: str, task_id: str) -> TaskResult | None:
        """How a task has ended, or None when it has not."""
        found = self.find(session_id, f"TASK#{task_id}")
        return task_of(found) if found else None

    def tasks(self, session_id: str) -> Iterator[TaskResult]:
        """The tasks that have ended, in their order."""
        pages = self.dynamodb.get_paginator("query").paginate(
            TableName=self.table,
            KeyConditionExpression="pk = :id AND begins_with(sk, :task)",
            ExpressionAttributeValues=encoded({":id": session_id, ":task": "TASK#"}),
            ConsistentRead=True,  # a task that was answered a moment ago belongs in the report
        )
        for page in pages:
            for found in page["Items"]:
                yield task_of(plain(found))

    def _update_live(
        self, session_id: str, expression: str, values: Mapping[str, Any], *with_it: dict[str, Any]
    ) -> bool:
        """Change a session that has not ended, and write ``with_it``. False when it has, or was never there."""
        change = self.change(
            session_id,
            "SESSION",
            expression,
            {**values, **_LIVE},
            condition="#status IN (:pending, :running)",
            names={"#status": "status"},
        )
        return self.transact([change, *with_it]) is None


_LONGEST_MS = 2 * 86_400_000  # a deadline is a day at most (infrafabric/api/requests.py), and lost sessions are ended
_LIVE = {":pending": Status.PENDING, ":running": Status.RUNNING}
_EXISTS = "attribute_exists(pk)"
