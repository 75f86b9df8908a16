"""Leases and budgets in the sessions table: who works on which message, and what the work may cost.

Money is nano-USD. ``committed`` is the money spent plus the money that running model calls may still cost. A lease adds
to ``committed`` only while the sum stays within the budget, in the transaction that grants the lease, so any number of
concurrent agents never overspends. Money reserved by a holder that died stays committed, because the cost of its call
is unknown.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from infrafabric.aws_adapters.dynamodb_table import Item
from infrafabric.aws_adapters.sessions_table import IS_LIVE, LIVE, STATUS_NAME, SessionsTable
from infrafabric.swarm.leases import (
    AlreadyDoneError,
    Lease,
    LeaseError,
    LeaseHeldError,
    OverBudgetError,
    SessionOverError,
)
from infrafabric.swarm.shapes.result import TaskResult
from infrafabric.swarm.shapes.session_item import SessionItem
from infrafabric.swarm.status import TaskStatus
from infrafabric.swarm.table_keys import PARTITION_KEY, SESSION, SORT_KEY, message_sort_key, task_sort_key

_STATE_NAME = {"#state": "state"}  # a word that DynamoDB reserves
_WORKING, _DONE = "WORKING", "DONE"
_HELD_BY_US = "holder = :token AND #state = :working"
_SQS_MESSAGE_ID = "carrier"  # name that items of the first release have it under


class LeaseStore(SessionsTable):
    """Leases of messages, and reservations of a session's budget."""

    def reserve(self, session_id: str, nusd: int, *, budget_nusd: int) -> None:
        """Reserve money for a call that no message stands for (plan, report).

        Raises:
            OverBudgetError, SessionOverError
        """
        failures = self.transact([self._reservation_request(session_id, nusd, budget_nusd)])
        if failures:
            raise _reservation_error(session_id, failures[0], nusd, budget_nusd)

    def settle(self, session_id: str, *, reserved_nusd: int, spent_nusd: int) -> None:
        """Replace a reservation by the cost of the call."""
        self.transact([self.add_request(session_id, _settlement(reserved_nusd, spent_nusd))])

    def lease(
        self,
        session_id: str,
        message_id: str,
        *,
        reserve_nusd: int,
        budget_nusd: int,
        lease_ms: int,
        token: str,
        sqs_message_id: str,
    ) -> Lease:
        """Lease a message for ``lease_ms`` and reserve money for it, both or neither.

        An expired lease without a result passes to the next invocation that asks for it.

        Args:
            token: unique per lease.

        Raises:
            AlreadyDoneError, LeaseHeldError, SessionOverError, OverBudgetError
        """
        now_ms = self.now_ms()
        take = self.update_request(
            session_id,
            message_sort_key(message_id),
            "SET #state = :working, holder = :token, lease_ms = :until, expires_at = :expires",
            {
                ":working": _WORKING,
                ":token": token,
                ":until": now_ms + lease_ms,
                ":expires": self.write_times()["expires_at"],
                ":now": now_ms,
            },
            condition="attribute_not_exists(sk) OR (#state = :working AND lease_ms < :now)",
            names=_STATE_NAME,
        )
        failures = self.transact([take, self._reservation_request(session_id, reserve_nusd, budget_nusd)])
        if failures and failures[0] is not None:
            existing = failures[0]
            if existing.get("state") == _DONE:
                raise AlreadyDoneError(TaskResult.read(existing), existing[_SQS_MESSAGE_ID])
            raise LeaseHeldError(message_id, until_ms=existing["lease_ms"])
        if failures:
            raise _reservation_error(session_id, failures[1], reserve_nusd, budget_nusd)
        return Lease(
            session_id=session_id,
            message_id=message_id,
            reserved_nusd=reserve_nusd,
            token=token,
            sqs_message_id=sqs_message_id,
        )

    def finished_work(self, session_id: str, message_id: str) -> AlreadyDoneError | None:
        """Return the result of a message whose work is done, else None."""
        item = self.find(session_id, message_sort_key(message_id))
        if item is None or item.get("state") != _DONE:
            return None
        return AlreadyDoneError(TaskResult.read(item), item[_SQS_MESSAGE_ID])

    def finish(self, lease: Lease, result: TaskResult, *, spent_nusd: int) -> None:
        """Store the result of a leased message, the money and the task's row in one transaction.

        Finishing twice counts once (idempotency). If another invocation has taken the lease over, only the money is
        counted. If another attempt has done the task before, its row stays.
        """
        money = _settlement(lease.reserved_nusd, spent_nusd)
        message = {
            PARTITION_KEY: lease.session_id,
            SORT_KEY: message_sort_key(lease.message_id),
            "state": _DONE,
            "holder": lease.token,
            _SQS_MESSAGE_ID: lease.sqs_message_id,
        }
        done = self.put_request(
            {**message, **result.write(), **self.write_times()},
            condition=_HELD_BY_US,
            values={":token": lease.token, ":working": _WORKING},
            names=_STATE_NAME,
        )
        for row, counters in self._row_requests(lease.session_id, result):
            failures = self.transact([done, self.add_request(lease.session_id, {**money, **counters}), *row])
            if not failures:
                return
            if failures[0] is not None:
                if failures[0].get("holder") != lease.token:
                    self.transact([self.add_request(lease.session_id, money)])
                return

    def release(self, lease: Lease) -> None:
        """Give a lease and its money back; only for a message about which no model was asked."""
        free = self.update_request(
            lease.session_id,
            message_sort_key(lease.message_id),
            "SET lease_ms = :over REMOVE holder",
            {":token": lease.token, ":working": _WORKING, ":over": 0},
            condition=_HELD_BY_US,
            names=_STATE_NAME,
        )
        self.transact([free, self.add_request(lease.session_id, _settlement(lease.reserved_nusd, 0))])

    def _row_requests(
        self, session_id: str, result: TaskResult
    ) -> Iterator[tuple[list[dict[str, Any]], dict[str, int]]]:
        """Yield ways to write the task's row, each with its additions to the counters; the first that holds counts."""
        key = {PARTITION_KEY: session_id, SORT_KEY: task_sort_key(result.task_id)}
        row = {**key, **result.write(), **self.write_times()}
        if result.done:
            yield [self.put_request(row, condition="attribute_not_exists(sk)")], {"tasks_done": 1}
            # The coordinator gave the task up, and the agent was only late.
            replacement = self.put_request(
                row, condition="#status = :failed", values={":failed": TaskStatus.FAILED}, names=STATUS_NAME
            )
            yield [replacement], {"tasks_done": 1, "tasks_failed": -1}
        yield [], {}

    def _reservation_request(self, session_id: str, nusd: int, budget_nusd: int) -> dict[str, Any]:
        return self.update_request(
            session_id,
            SESSION,
            "SET updated_ms = :now ADD committed :cost",
            {":now": self.now_ms(), ":cost": nusd, ":room": budget_nusd - nusd, **LIVE},
            condition=f"{IS_LIVE} AND committed <= :room",
            names=STATUS_NAME,
        )


def _settlement(reserved_nusd: int, spent_nusd: int) -> dict[str, int]:
    return {"spent": spent_nusd, "committed": spent_nusd - reserved_nusd}


def _reservation_error(session_id: str, item: Item | None, nusd: int, budget_nusd: int) -> LeaseError:
    if not item:
        return SessionOverError(f"session {session_id} does not exist")
    session = SessionItem.read(item)
    if session.status.final:
        return SessionOverError(f"session {session_id} is {session.status}")
    return OverBudgetError.of(
        reserve_nusd=nusd,
        budget_nusd=budget_nusd,
        committed_nusd=session.committed_nusd,
        spent_nusd=session.spent_nusd,
    )
