"""Sessions, their orders, rounds and the coordinator's model calls, in the table that no agent's role reaches."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from infrafabric.aws_adapters.daily_caps import DailyCaps
from infrafabric.aws_adapters.dynamodb_table import Item, encoded, plain
from infrafabric.swarm import table_keys as keys
from infrafabric.swarm.daily_cap import CapUse, OverDailyCapError, cap_partition
from infrafabric.swarm.deps import Log
from infrafabric.swarm.session_errors import NoOrderError, SessionExistsError
from infrafabric.swarm.session_key import SessionKey
from infrafabric.swarm.shapes.model_call import ModelCall
from infrafabric.swarm.shapes.order import Order
from infrafabric.swarm.shapes.round import RoundPart
from infrafabric.swarm.shapes.session_item import KEEP_S, Progress, SessionItem
from infrafabric.swarm.shapes.shape import BadShapeError, OnUnreadable, Shape
from infrafabric.swarm.status import SessionStatus

S = TypeVar("S", bound=Shape)

_LONGEST_MS = 2 * 86_400_000  # a deadline is a day at most (infrafabric/api/requests.py), and lost sessions are ended
_PAGES_PER_LIST = 20  # pages that one filtered list reads at most before it returns a cursor
_PAGE = 100  # items per page of a filtered list
# Condition values and names: DynamoDB reserves the word "status".
_LIVE = {":pending": SessionStatus.PENDING, ":running": SessionStatus.RUNNING}
_IS_LIVE = "#status IN (:pending, :running)"
_GOES_ON = f"{_IS_LIVE} AND attribute_not_exists(cancelled_ms)"
_STATUS_NAME = {"#status": "status"}


@dataclass(frozen=True)
class _Listing:
    """Partition of an index that lists sessions by the time of their creation."""

    index: str
    partition_key: str
    partition: str


@dataclass(frozen=True, kw_only=True)
class SessionStore(DailyCaps):
    """What the API, the coordinator and the watchdog read and write of sessions."""

    on_unreadable: OnUnreadable  # is told of each round or call that does not parse

    # -- the session ---------------------------------------------------------------------------------------------------

    def create(self, order: Order, *, digest: str, model: str, cap_nusd: int | None = None) -> SessionItem:
        """Write a session and its order, and reserve the budget in the owner's daily cap: all or nothing.

        The session id is the idempotency key.

        Args:
            cap_nusd: the owner's daily cap; None for a session that counts against no cap.

        Raises:
            SessionExistsError: a session with this id exists; the error holds its item.
            OverDailyCapError: the budget does not fit into the cap.
        """
        partition = "" if cap_nusd is None else cap_partition(order.owner, order.created_ms, self.home)
        session = SessionItem.of(order, digest=digest, model=model, cap_partition=partition)
        item = session.as_item()
        stored_order = {
            keys.PARTITION_KEY: order.key.partition,
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

    def get(self, key: SessionKey) -> SessionItem | None:
        """Return a session's item, or None if the session does not exist.

        Raises:
            BadShapeError: the item does not have the shape of a session.
        """
        item = self.find(key.partition, keys.SESSION)
        return SessionItem.read(item) if item else None

    def order(self, key: SessionKey) -> Order:
        """Return a session's order.

        Raises:
            NoOrderError: the session has no order; the API did not create the session.
            BadShapeError: the order is from a release with another version of orders, or is no order.
        """
        item = self.find(key.partition, keys.ORDER)
        if item is None:
            raise NoOrderError(key.session_id)
        try:
            event = json.loads(item["event"])
        except (KeyError, TypeError, ValueError):
            raise BadShapeError("Order", "event is not JSON") from None
        return Order.from_event(event)

    def begin(self, key: SessionKey, *, tasks: int, planned: Sequence[str] = ()) -> bool:
        """Set a session RUNNING with this number of tasks. Returns False if the session has ended or was cancelled.

        Args:
            planned: texts of the tasks if the order has none: a second execution could not plan the same ones.
        """
        plan = {
            keys.PARTITION_KEY: key.partition,
            keys.SORT_KEY: keys.PLAN,
            "texts": list(planned),
            **self._write_times(),
        }
        return self._update(
            key,
            "SET #status = :now, tasks_total = :tasks, updated_ms = :moved",
            {":now": SessionStatus.RUNNING, ":tasks": tasks, ":moved": self.now_ms()},
            _GOES_ON,
            *([self.put_request(plan)] if planned else []),
        )

    def task_texts(self, order: Order) -> list[str]:
        """Return the texts of the order's tasks, or of the plan's; an empty list before the plan was made."""
        plan = None if order.tasks else self.find(order.key.partition, keys.PLAN)
        return list(plan["texts"]) if plan else list(order.tasks)

    def advance(self, key: SessionKey, number: int, *, spent: int, committed: int, done: int, failed: int) -> bool:
        """Store where a session stands before round ``number``. Returns False if it has ended or was cancelled."""
        values = {":number": number, ":spent": spent, ":committed": committed, ":done": done, ":failed": failed}
        return self._update(
            key,
            "SET spent_nusd = :spent, committed_nusd = :committed, tasks_done = :done, tasks_failed = :failed, "
            "round_number = :number, progress = :none, updated_ms = :now",
            {**values, ":none": {}, ":now": self.now_ms()},
            _GOES_ON,
        )

    def note_progress(self, key: SessionKey, number: int, part: int, progress: Progress) -> None:
        """Store what a part of round ``number`` has brought so far, unless the next round has begun."""
        expression = "SET progress.#part = :progress, updated_ms = :now"
        values = {":progress": progress.write(), ":now": self.now_ms(), ":number": number}
        condition = f"{_IS_LIVE} AND round_number = :number"
        self._update(key, expression, values, condition, names={"#part": f"p{part}"})

    def cancel(self, key: SessionKey, *, reason: str) -> bool:
        """Note that a caller cancelled a session; the coordinator ends it. Returns False if the session has ended."""
        first = (
            "SET cancelled_ms = if_not_exists(cancelled_ms, :now), cancel_reason = if_not_exists(cancel_reason, :why)"
        )
        return self._update(key, first, {":now": self.now_ms(), ":why": reason}, _IS_LIVE)

    def end(self, session: SessionItem) -> bool:
        """End a session with its final status and numbers, and give its daily cap back what it cannot cost any more.

        Both or neither. Returns False if the session has ended before, which then stays.
        """
        final = (
            "status",
            "reason",
            "ended_ms",
            "spent_nusd",
            "committed_nusd",
            "tasks_done",
            "tasks_failed",
            "progress",
        )
        written = session.write()
        names = {f"#{name}": name for name in final}
        values = {f":{name}": written[name] for name in final}
        expression = "SET " + ", ".join(f"#{name} = :{name}" for name in final)
        refund = self.refund_to_cap_requests(session)
        end = self._update_request(session.key, expression, values, _IS_LIVE, names=names)
        if refund:
            failures = self.transact([end, *refund])
            if failures is None or failures[0] is not None:
                return failures is None
        return self._write(end)  # the session has no cap here, or the cap's item has expired

    def note_execution(self, key: SessionKey, execution_arn: str) -> None:
        """Store the ARN of the durable execution that serves a session."""
        self._update(key, "SET execution_arn = :arn", {":arn": execution_arn}, "attribute_exists(pk)")

    # -- rounds and model calls ----------------------------------------------------------------------------------------

    def put_round(self, key: SessionKey, part: RoundPart) -> None:
        """Store a part of a round; a repeat stores the same."""
        self._put(part.as_item(key, now_ms=self.now_ms()))

    def rounds(self, key: SessionKey) -> list[RoundPart]:
        """Return the parts of a session's rounds, in order. A part that does not parse is left out and reported."""
        return list(self._readable(self._items(key, keys.ROUND_PREFIX), RoundPart.read))

    def put_call(self, key: SessionKey, call: ModelCall) -> None:
        """Store a model call of the coordinator, before the call and again with its cost."""
        item = {name: value for name, value in call.write().items() if value is not None}
        place = {keys.PARTITION_KEY: key.partition, keys.SORT_KEY: keys.call_sort_key(call.name, call.number)}
        self._put({**item, **place, **self._write_times()})

    def calls(self, key: SessionKey, name: str) -> list[ModelCall]:
        """Return the coordinator's model calls of one name, in order."""
        return list(self._readable(self._items(key, f"{keys.CALL_PREFIX}{name}#"), ModelCall.read))

    # -- lists ---------------------------------------------------------------------------------------------------------

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
            owner: only sessions of this owner, in all regions; None for the sessions of all owners in this region.
            label: only sessions with this label. A rare label may give a short page, even an empty one, whose key still
                leads on.
        """
        listing = _Listing(keys.INDEX, keys.INDEX_PARTITION_KEY, keys.index_partition(self.home))
        if owner is not None:
            listing = _Listing(keys.OWNER_INDEX, keys.OWNER_KEY, owner)
        if label is None:
            items, after = self._page(listing, limit, after)
        else:
            items, after = self._labelled(listing, label, limit, after)
        return list(_sessions(items, unreadable)), after

    def live_sessions(self, unreadable: OnUnreadable) -> Iterator[SessionItem]:
        """Yield the sessions that have not ended; call ``unreadable`` for each item without the shape of a session."""
        since = f"{self.now_ms() - _LONGEST_MS:015}"
        pages = self.dynamodb.get_paginator("query").paginate(
            TableName=self.table,
            IndexName=keys.INDEX,
            KeyConditionExpression="listing = :all AND created > :since",
            FilterExpression=_IS_LIVE,
            ExpressionAttributeNames=_STATUS_NAME,
            ExpressionAttributeValues=encoded({":all": keys.index_partition(self.home), ":since": since, **_LIVE}),
        )
        for page in pages:
            yield from _sessions(map(plain, page["Items"]), unreadable)

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

    # -- requests ------------------------------------------------------------------------------------------------------

    def _update(
        self,
        key: SessionKey,
        expression: str,
        values: Mapping[str, Any],
        condition: str,
        *more: dict[str, Any],
        names: Mapping[str, str] | None = None,
    ) -> bool:
        """Update a session's item, together with ``more``. Returns False if the condition does not hold."""
        update = self._update_request(key, expression, values, condition, names=names)
        return self.transact([update, *more]) is None if more else self._write(update)

    def _update_request(
        self,
        key: SessionKey,
        expression: str,
        values: Mapping[str, Any],
        condition: str,
        *,
        names: Mapping[str, str] | None,
    ) -> dict[str, Any]:
        of_status = "#status" in condition
        return self.update_request(
            key.partition,
            keys.SESSION,
            expression,
            {**values, **(_LIVE if of_status else {})},
            condition=condition,
            names={**(names or {}), **(_STATUS_NAME if of_status else {})} or None,
        )

    def _write(self, update: dict[str, Any]) -> bool:
        """Make one update. Returns False if its condition does not hold."""
        try:
            self.retry_on_contention(lambda: self.dynamodb.update_item(**update["Update"]))
        except self.dynamodb.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def _put(self, item: Item) -> None:
        self.retry_on_contention(lambda: self.dynamodb.put_item(TableName=self.table, Item=encoded(item)))

    def _items(self, key: SessionKey, prefix: str) -> Iterator[Item]:
        pages = self.dynamodb.get_paginator("query").paginate(
            TableName=self.table,
            KeyConditionExpression="pk = :id AND begins_with(sk, :prefix)",
            ExpressionAttributeValues=encoded({":id": key.partition, ":prefix": prefix}),
            ConsistentRead=True,  # what was settled a moment ago belongs in the report
        )
        for page in pages:
            yield from map(plain, page["Items"])

    def _readable(self, items: Iterable[Item], read: Callable[[Item], S]) -> Iterator[S]:
        for item in items:
            try:
                yield read(item)
            except BadShapeError as error:
                self.on_unreadable(f"{item[keys.PARTITION_KEY]} {item[keys.SORT_KEY]}", error)

    def _write_times(self) -> dict[str, Any]:
        """Return the time of a write, and the time (in seconds) at which the table may drop the item."""
        now_ms = self.now_ms()
        return {"at_ms": now_ms, "expires_at": now_ms // 1000 + KEEP_S}


def _place(item: Item) -> Item:
    """Return the place of an item in a listing: the key of the index without the partition, which the listing knows."""
    return {name: item[name] for name in (keys.PARTITION_KEY, keys.SORT_KEY, keys.INDEX_SORT_KEY)}


def log_unreadable(log: Log) -> OnUnreadable:
    """Return a function that logs each stored row that does not parse."""
    return lambda where, error: log.warning("stored row not readable", where=where, why=str(error))


def _sessions(items: Iterable[Item], unreadable: OnUnreadable) -> Iterator[SessionItem]:
    for item in items:
        try:
            session = SessionItem.read(item)
        except BadShapeError as error:
            unreadable(str(item[keys.PARTITION_KEY]), error)
        else:
            yield session
