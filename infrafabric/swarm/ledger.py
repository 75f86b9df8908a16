"""Money and messages: who works which message, and what it may cost. What an agent does to the sessions table.

Money is nano-USD. ``committed`` is what was spent plus what running model calls may still cost: a claim adds to it only
while it stays within the budget, in the same transaction that makes the message ours, so any number of agents together
can never overspend. A holder that dies leaves what it had set aside committed: nobody knows what its call did cost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from infrafabric.swarm.session import Status, TaskResult
from infrafabric.swarm.table import KEEP_S, Found, Table

_LIVE = {":pending": Status.PENDING, ":running": Status.RUNNING}
_STATE, _STATUS = {"#state": "state"}, {"#status": "status"}  # words that DynamoDB reserves
_NUMBERS = ("attempt", "tokens_in", "tokens_out", "cost_nusd")


class LedgerError(Exception):
    """A claim or reservation that was not granted.

    ├── AlreadyDone     the message's work is done: answer it, do not redo it
    ├── BeingWorked     another invocation holds it
    ├── SessionOver     the session has ended or was cancelled
    └── OverBudget      the reservation would exceed the budget
    """


class AlreadyDoneError(LedgerError):
    """``carrier`` is the id of the SQS message that brought the work that was done."""

    def __init__(self, result: TaskResult, carrier: str) -> None:
        super().__init__(f"task {result.task_id} was already answered")
        self.result, self.carrier = result, carrier


class BeingWorkedError(LedgerError):
    """``until_ms`` is when the holder's lease ends."""

    def __init__(self, text: str, *, until_ms: int) -> None:
        super().__init__(text)
        self.until_ms = until_ms


class SessionOverError(LedgerError):
    pass


class OverBudgetError(LedgerError):
    """``later`` is true when it would fit once the calls that run now turn out to cost less than they might."""

    def __init__(self, text: str, *, later: bool = False) -> None:
        super().__init__(text)
        self.later = later


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A message that is ours to work, and the money set aside for it."""

    session_id: str
    message_id: str
    reserved_nusd: int
    token: str
    carrier: str


class Ledger(Table):
    """Claims of messages, and the money of sessions."""

    def reserve(self, session_id: str, nusd: int, *, budget_nusd: int) -> None:
        """Set money aside for a call that no message stands for (plan, report).

        Raises:
            OverBudgetError, SessionOverError
        """
        refused = self.transact([self._reservation(session_id, nusd, budget_nusd)])
        if refused:
            raise _why(session_id, refused[0], nusd, budget_nusd)

    def settle(self, session_id: str, *, reserved_nusd: int, spent_nusd: int) -> None:
        """Turn a reservation into what the call did cost."""
        self.transact([self.add(session_id, _settled(reserved_nusd, spent_nusd))])

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

        A claim whose holder went silent may be taken over when its lease has ended.

        Args:
            token: tells this claim from all others.

        Raises:
            AlreadyDoneError, BeingWorkedError, SessionOverError, OverBudgetError
        """
        now = self.now_ms()
        take = self.change(
            session_id,
            _message(message_id),
            "SET #state = :working, lease_ms = :lease, holder = :token, expires_at = :ttl",
            {
                ":working": "WORKING",
                ":lease": now + lease_ms,
                ":token": token,
                ":now": now,
                ":ttl": now // 1000 + KEEP_S,
            },
            condition="attribute_not_exists(sk) OR (#state = :working AND lease_ms < :now)",
            names=_STATE,
        )
        refused = self.transact([take, self._reservation(session_id, reserve_nusd, budget_nusd)])
        if refused and refused[0] is not None:
            if refused[0].get("state") == "DONE":
                raise AlreadyDoneError(task_of(refused[0]), refused[0]["carrier"])
            until_ms = int(refused[0]["lease_ms"])
            raise BeingWorkedError(f"message {message_id} is being worked until {until_ms}", until_ms=until_ms)
        if refused:
            raise _why(session_id, refused[1], reserve_nusd, budget_nusd)
        return Claim(
            session_id=session_id, message_id=message_id, reserved_nusd=reserve_nusd, token=token, carrier=carrier
        )

    def answer(self, session_id: str, message_id: str) -> AlreadyDoneError | None:
        """What a message's work came to, when it is done."""
        found = self.find(session_id, _message(message_id))
        return AlreadyDoneError(task_of(found), found["carrier"]) if found and found.get("state") == "DONE" else None

    def finish(self, claim: Claim, result: TaskResult, *, spent_nusd: int) -> None:
        """The message's work is done: its answer, the money and the task's row, in one transaction.

        Finishing twice counts once. When another has taken the claim over, only the money is counted. When another
        attempt has done the task before, its row stays.
        """
        money = _settled(claim.reserved_nusd, spent_nusd)
        answer = {"pk": claim.session_id, "sk": _message(claim.message_id), "state": "DONE", "holder": claim.token}
        done = self.put(
            {**answer, "carrier": claim.carrier, **asdict(result), **self.fresh()},
            condition="holder = :token AND #state = :working",
            values={":token": claim.token, ":working": "WORKING"},
            names=_STATE,
        )
        for row, counts in self._rows(claim.session_id, result):
            refused = self.transact([done, self.add(claim.session_id, {**money, **counts}), *row])
            if not refused:
                return
            if refused[0] is not None:
                if refused[0].get("holder") != claim.token:
                    self.transact([self.add(claim.session_id, money)])
                return

    def release(self, claim: Claim) -> None:
        """Give the message back undone, and the money with it: nothing was asked of the model."""
        free = self.change(
            claim.session_id,
            _message(claim.message_id),
            "SET lease_ms = :over REMOVE holder",
            {":token": claim.token, ":working": "WORKING", ":over": 0},
            condition="holder = :token AND #state = :working",
            names=_STATE,
        )
        self.transact([free, self.add(claim.session_id, _settled(claim.reserved_nusd, 0))])

    def _rows(self, session_id: str, result: TaskResult) -> Iterator[tuple[list[dict[str, Any]], dict[str, int]]]:
        """Ways to enter the result into the task's row, with what each adds to the counters; the first that holds."""
        row = {"pk": session_id, "sk": f"TASK#{result.task_id}", **asdict(result), **self.fresh()}
        if result.status == "DONE":
            yield [self.put(row, condition="attribute_not_exists(sk)")], {"tasks_done": 1}
            # The coordinator gave the task up, and an agent was only late.
            replaced = self.put(row, condition="#status = :failed", values={":failed": "FAILED"}, names=_STATUS)
            yield [replaced], {"tasks_done": 1, "tasks_failed": -1}
        yield [], {}

    def _reservation(self, session_id: str, nusd: int, budget_nusd: int) -> dict[str, Any]:
        return self.change(
            session_id,
            "SESSION",
            "SET updated_ms = :moved ADD committed :cost",
            {":moved": self.now_ms(), ":cost": nusd, ":room": budget_nusd - nusd, **_LIVE},
            condition="#status IN (:pending, :running) AND committed <= :room",
            names=_STATUS,
        )


def task_of(item: Mapping[str, Any]) -> TaskResult:
    """The result that an item holds."""
    fields: dict[str, Any] = {name: item[name] for name in TaskResult.__dataclass_fields__}
    return TaskResult(**{**fields, **{name: int(item[name]) for name in _NUMBERS}})


def _settled(reserved_nusd: int, spent_nusd: int) -> dict[str, int]:
    return {"spent": spent_nusd, "committed": spent_nusd - reserved_nusd}


def _message(message_id: str) -> str:
    return f"MSG#{message_id.rsplit('/', 1)[-1]}"


def _why(session_id: str, item: Found | None, nusd: int, budget_nusd: int) -> LedgerError:
    if not item:
        return SessionOverError(f"session {session_id} does not exist")
    if item["status"] not in _LIVE.values():
        return SessionOverError(f"session {session_id} is {item['status']}")
    free = max(0, budget_nusd - int(item["committed"]))
    return OverBudgetError(
        f"the next model call may cost {nusd / 1e9:.6f} USD and {free / 1e9:.6f} USD of the budget of "
        f"{budget_nusd / 1e9:.6f} USD are free: start the session again with a larger budget_usd",
        later=nusd <= budget_nusd - int(item["spent"]),
    )
