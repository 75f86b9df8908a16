"""Sessions, their orders and their tasks in the sessions table."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from infrafabric.aws_adapters.daily_caps import DailyCaps
from infrafabric.aws_adapters.dynamodb_table import MAX_TRIES, Item, encoded, plain
from infrafabric.aws_adapters.lease_store import LeaseStore
from infrafabric.aws_adapters.sessions_table import IS_LIVE, LIVE, STATUS_NAME
from infrafabric.swarm import table_keys as keys
from infrafabric.swarm.daily_cap import CapUse, OverDailyCapError, cap_partition
from infrafabric.swarm.failure_reasons import BAD_EVIDENCE
from infrafabric.swarm.session_errors import NoOrderError, SessionExistsError
from infrafabric.swarm.shapes.order import Order
from infrafabric.swarm.shapes.result import TaskResult
from infrafabric.swarm.shapes.session_item import SessionItem
from infrafabric.swarm.shapes.shape import BadShapeError, OnUnreadable
from infrafabric.swarm.status import SessionStatus, TaskStatus

_LONGEST_MS = 2 * 86_400_000  # a deadline is a day at most (infrafabric/api/requests.py), and lost sessions are ended
_PAGES_PER_LIST = 20  # pages that one filtered list reads at most before it returns a cursor
_PAGE = 100  # items per page of a filtered list


@dataclass(frozen=True)
class _Listing:
    """Partition of an index that lists sessions by the time of their creation."""

    index: str
    partition_key: str
    partition: str


class SessionStore(LeaseStore, DailyCaps):
    """What the API, the coordinator and the watchdog read and write of sessions."""

    def create(self, order: Order, *, digest: str, model: str, cap_nusd: int | None = None) -> SessionItem:
        """Write a session and its order, and reserve the budget in the owner's daily cap: all or nothing.

        The session id is the idempotency key.

        Args:
            cap_nusd: the owner's daily cap; None for a session that counts against no cap.

        Raises:
            SessionExistsError: a session with this id exists; the error holds its item.
            OverDailyCapError: the budget does not fit into the cap.
        """
        partition = "" if cap_nusd is None else cap_partition(order.owner, order.created_ms, self.region)
        session = SessionItem.of(order, digest=digest, model=model, cap_partition=partition)
        item = session.as_item()
        stored_order = {
            keys.PARTITION_KEY: keys.order_partition(order.session_id),
            keys.SORT_KEY: keys.ORDER,
            "event": json.dumps(order.as_event(), ensure_ascii=False),
            "expires_at": item["expires_at"],
        }
        requests = [self.put_request(item, condition="attribute_not_exists(pk)"), self.put_request(stored_order)]
        if cap_nusd is not None:
            requests.append(self.reserve_in_cap_request(session, cap_nusd))
        failures = self.transact(requests)
        if failures and failures[0] is not None:
            raise SessionExistsError(SessionItem.read(failures[0]))
        if failures:
            raise OverDailyCapError(CapUse.read(failures[-1] or {}))
        return session

    def get(self, session_id: str) -> SessionItem | None:
        """Return a session's item, or None if the session does not exist."""
        item = self.find(session_id, keys.SESSION)
        return SessionItem.read(item) if item else None

    def order(self, session_id: str) -> Order:
        """Return a session's order.

        Raises:
            NoOrderError: the session has no order; the API did not create the session.
            BadShapeError: the order is from a release with another version of orders, or is no order.
        """
        item = self.find(keys.order_partition(session_id), keys.ORDER)
        if item is None:
            raise NoOrderError(session_id)
        try:
            event = json.loads(item["event"])
        except (KeyError, TypeError, ValueError):
            raise BadShapeError("Order", "event is not JSON") from None
        return Order.from_event(event)

    def list_sessions(
        self,
        *,
        limit: int,
        after: Item | None,
        unreadable: OnUnreadable,
        owner: str | None = None,
        label: str | None = None,
    ) -> tuple[list[SessionItem], Item | None]:
        """Return up to ``limit`` sessions, newest first, and the key that the next page starts after.

        Args:
            after: key that the previous page returned.
            unreadable: called for each item without the shape of a session; the list leaves such items out.
            owner: only sessions of this owner; None for the sessions of all owners.
            label: only sessions with this label. A rare label may give a short page, even an empty one, whose key still
                leads on.
        """
        listing = _Listing(keys.INDEX, keys.INDEX_PARTITION_KEY, keys.INDEX_PARTITION)
        if owner is not None:
            listing = _Listing(keys.OWNER_INDEX, keys.OWNER_KEY, owner)
        if label is None:
            items, after = self._page(listing, limit, after)
        else:
            items, after = self._labelled(listing, label, limit, after)
        return list(_readable(items, unreadable)), after

    def live_sessions(self, unreadable: OnUnreadable) -> Iterator[SessionItem]:
        """Yield the sessions that have not ended; call ``unreadable`` for each item without the shape of a session."""
        since = f"{self.now_ms() - _LONGEST_MS:015}"
        pages = self.dynamodb.get_paginator("query").paginate(
            TableName=self.table,
            IndexName=keys.INDEX,
            KeyConditionExpression="listing = :all AND created > :since",
            FilterExpression=IS_LIVE,
            ExpressionAttributeNames=STATUS_NAME,
            ExpressionAttributeValues=encoded({":all": keys.INDEX_PARTITION, ":since": since, **LIVE}),
        )
        for page in pages:
            yield from _readable(map(plain, page["Items"]), unreadable)

    def begin(self, session_id: str, *, tasks: int, planned: Sequence[str] = ()) -> bool:
        """Set a session RUNNING with this number of tasks. Returns False if the session has ended (was cancelled).

        Args:
            planned: texts of the tasks if the order has none: a second execution could not plan the same ones.
        """
        plan = {
            keys.PARTITION_KEY: keys.order_partition(session_id),
            keys.SORT_KEY: keys.PLAN,
            "texts": list(planned),
            **self.write_times(),
        }
        return self._update_live(
            session_id,
            "SET #status = :now, tasks_total = :tasks, updated_ms = :moved",
            {":now": SessionStatus.RUNNING, ":tasks": tasks, ":moved": self.now_ms()},
            *([self.put_request(plan)] if planned else []),
        )

    def task_texts(self, order: Order) -> list[str]:
        """Return the texts of the order's tasks, or of the plan's; an empty list before the plan was made."""
        plan = None if order.tasks else self.find(keys.order_partition(order.session_id), keys.PLAN)
        return list(plan["texts"]) if plan else list(order.tasks)

    def end(self, session_id: str, status: SessionStatus, *, reason: str) -> bool:
        """Set a session's final status, and give its daily cap back what it cannot cost any more: both or neither.

        Returns:
            False if the session has a final status already, which then stays.
        """
        expression = "SET #status = :status, reason = :reason, ended_ms = :now"
        values = {":status": status, ":reason": reason, ":now": self.now_ms()}
        session = self.find(session_id, keys.SESSION) or {}
        for _ in range(MAX_TRIES):
            refund = self.refund_to_cap_requests(session)
            if not refund or session.get("status") not in LIVE.values():
                break
            # The refund is right only for the sum that was read: a model call may be reserved or settled meanwhile.
            end = self.update_request(
                session_id,
                keys.SESSION,
                expression,
                {**values, **LIVE, ":seen": session["committed"]},
                condition=f"{IS_LIVE} AND committed = :seen",
                names=STATUS_NAME,
            )
            failures = self.transact([end, *refund])
            if failures is None:
                return True
            if failures[0] is None:  # the cap's item is gone
                break
            session = failures[0]
        return self._update_live(session_id, expression, values)

    def note_execution(self, session_id: str, execution_arn: str) -> None:
        """Store the ARN of the durable execution that serves a session."""
        values = {":arn": execution_arn}
        expression, condition = "SET execution_arn = :arn", "attribute_exists(pk)"
        self.transact([self.update_request(session_id, keys.SESSION, expression, values, condition=condition)])

    def record_failed_task(self, session_id: str, result: TaskResult) -> None:
        """Store and count a task that no agent could do; a repeat changes nothing, and a done task stays done."""
        row = {
            keys.PARTITION_KEY: session_id,
            keys.SORT_KEY: keys.task_sort_key(result.task_id),
            **result.write(),
            **self.write_times(),
        }
        put = self.put_request(row, condition="attribute_not_exists(sk)")
        self.transact([put, self.add_request(session_id, {"tasks_failed": 1})])

    def task(self, session_id: str, task_id: str) -> TaskResult | None:
        """Return the result of an ended task, otherwise None; a row without a result's shape as ``tasks`` does."""
        item = self.find(session_id, keys.task_sort_key(task_id))
        return _result(item) if item else None

    def tasks(self, session_id: str) -> Iterator[TaskResult]:
        """Yield the results of tasks that have ended, in the order of their ids.

        Agents write rows. A row without the shape of a result proves nothing, so its task failed: ``bad-evidence``.
        """
        pages = self.dynamodb.get_paginator("query").paginate(
            TableName=self.table,
            KeyConditionExpression="pk = :id AND begins_with(sk, :task)",
            ExpressionAttributeValues=encoded({":id": session_id, ":task": keys.TASK_PREFIX}),
            ConsistentRead=True,  # a task that was answered a moment ago belongs in the report
        )
        for page in pages:
            yield from (_result(plain(item)) for item in page["Items"])

    def _labelled(
        self, listing: _Listing, label: str, limit: int, after: Item | None
    ) -> tuple[list[Item], Item | None]:
        """Return up to ``limit`` items with this label. DynamoDB filters after it has counted, so pages are large."""
        found: list[Item] = []
        for _ in range(_PAGES_PER_LIST):
            items, after = self._page(listing, _PAGE, after, label)
            found += items
            if len(found) > limit:
                return found[:limit], _place(found[limit - 1])
            if after is None or len(found) == limit:
                break
        return found, after

    def _page(
        self, listing: _Listing, limit: int, after: Item | None, label: str | None = None
    ) -> tuple[list[Item], Item | None]:
        filtered = {"FilterExpression": "contains(labels, :label)"} if label else {}
        start = {**after, listing.partition_key: listing.partition} if after else None
        response = self.dynamodb.query(
            TableName=self.table,
            IndexName=listing.index,
            KeyConditionExpression="#listing = :listing",
            ExpressionAttributeNames={"#listing": listing.partition_key},
            ExpressionAttributeValues=encoded({":listing": listing.partition, **({":label": label} if label else {})}),
            ScanIndexForward=False,
            Limit=limit,
            **filtered,
            **({"ExclusiveStartKey": encoded(start)} if start else {}),
        )
        last = response.get("LastEvaluatedKey")
        return [plain(item) for item in response["Items"]], _place(plain(last)) if last else None

    def _update_live(self, session_id: str, expression: str, values: Mapping[str, Any], *more: dict[str, Any]) -> bool:
        """Update a session that has not ended, together with ``more``. Returns False if it has, or does not exist."""
        update = self.update_request(
            session_id, keys.SESSION, expression, {**values, **LIVE}, condition=IS_LIVE, names=STATUS_NAME
        )
        return self.transact([update, *more]) is None


def _place(item: Item) -> Item:
    """Return the place of an item in a listing: the key of the index without the partition, which the listing knows."""
    return {name: item[name] for name in (keys.PARTITION_KEY, keys.SORT_KEY, keys.INDEX_SORT_KEY)}


def _readable(items: Iterable[Item], unreadable: OnUnreadable) -> Iterator[SessionItem]:
    for item in items:
        try:
            session = SessionItem.read(item)
        except BadShapeError as error:
            unreadable(str(item[keys.PARTITION_KEY]), error)
        else:
            yield session


def _result(row: Item) -> TaskResult:
    try:
        return TaskResult.read(row)
    except BadShapeError:
        task_id = str(row[keys.SORT_KEY]).removeprefix(keys.TASK_PREFIX)
        return TaskResult(task_id=task_id, agent="", attempt=0, status=TaskStatus.FAILED, reason=BAD_EVIDENCE)
