"""Tables of the emulator: state that only moves forward, and messages that one invocation works at a time."""

from __future__ import annotations

import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from infrafabric.aws_adapters.lease_table import LeaseTable
from infrafabric.aws_adapters.session_store import SessionStore
from infrafabric.swarm.leases import CopyId, Lease, LeaseState
from infrafabric.swarm.session_errors import SessionExistsError
from infrafabric.swarm.session_key import SessionKey
from infrafabric.swarm.shapes.attempt import Attempt
from infrafabric.swarm.shapes.model_call import ModelCall
from infrafabric.swarm.shapes.order import Order
from infrafabric.swarm.shapes.result import TaskResult
from infrafabric.swarm.shapes.round import RoundPart
from infrafabric.swarm.shapes.session_item import Progress
from infrafabric.swarm.status import SessionStatus, TaskStatus
from tests.e2e.conftest import Stage


@pytest.fixture(scope="module")
def store(stage: Stage) -> SessionStore:
    return stage.store()


@pytest.fixture
def order(store: SessionStore) -> Order:
    now = time.time_ns() // 1_000_000
    order = Order(
        session_id=f"store-{uuid.uuid4().hex[:8]}",
        owner="default",
        home="us-east-1",
        goal=None,
        tasks=("describe the move",),
        agents=1,
        created_ms=now,
        deadline_ms=now + 60_000,
        budget_nusd=1_000,
        quorum=1.0,
    )
    store.create(order, digest="d", model="m")
    return order


@pytest.fixture
def key(store: SessionStore, order: Order) -> SessionKey:
    """A session that runs."""
    store.begin(order.key, tasks=1)
    return order.key


def end(store: SessionStore, key: SessionKey, status: SessionStatus, spent: int) -> bool:
    session = store.get(key)
    assert session
    return store.end(session.model_copy(update={"status": status, "spent_nusd": spent, "ended_ms": 1}))


def test_what_has_ended_stays_as_it_ended(store: SessionStore, key: SessionKey) -> None:
    assert end(store, key, SessionStatus.PARTIAL, 7)
    assert not end(store, key, SessionStatus.COMPLETE, 8)
    assert not store.advance(key, 0, spent=1, committed=1, done=1, failed=1)
    assert not store.begin(key, tasks=2)
    assert not store.cancel(key, reason="enough")
    store.note_progress(key, 0, 0, Progress(done=5, spent_nusd=5))
    session = store.get(key)
    assert session
    assert (session.status, session.spent_nusd, session.done_so_far) == ("PARTIAL", 7, 0)


def test_a_cancelled_session_sends_no_round_and_is_ended_by_its_coordinator(
    store: SessionStore, key: SessionKey
) -> None:
    assert store.cancel(key, reason="enough")
    assert store.cancel(key, reason="enough"), "cancelling is idempotent"
    session = store.get(key)
    assert session
    assert (session.status, session.shown_status) == ("RUNNING", "CANCELLING")
    assert not store.advance(key, 0, spent=0, committed=0, done=0, failed=0)
    assert end(store, key, SessionStatus.CANCELLED, 0)


def test_progress_of_the_parts_of_a_round_is_shown_until_the_round_is_settled(
    store: SessionStore, key: SessionKey
) -> None:
    store.advance(key, 0, spent=0, committed=100, done=0, failed=0)
    store.note_progress(key, 0, 0, Progress(done=3, spent_nusd=30, freed_nusd=45))
    store.note_progress(key, 0, 1, Progress(done=2, spent_nusd=20, freed_nusd=25))
    store.note_progress(key, 0, 0, Progress(done=4, spent_nusd=40, freed_nusd=60))
    session = store.get(key)
    assert session
    assert (session.done_so_far, session.spent_so_far, session.committed_so_far) == (6, 60, 15)
    store.advance(key, 1, spent=61, committed=5, done=6, failed=1)
    store.note_progress(key, 0, 1, Progress(done=3, spent_nusd=30))  # of an invocation that is late
    session = store.get(key)
    assert session
    assert (session.done_so_far, session.spent_so_far, session.committed_nusd) == (6, 61, 5)


def test_rounds_are_read_as_they_were_written_in_order(store: SessionStore, key: SessionKey) -> None:
    attempt = Attempt(index=0, number=0, agent="h01", allowance_nusd=5, message_id="if://message/m")
    parts = [RoundPart(number=n, part=p, attempts=(attempt,)) for n in (0, 1, 10) for p in (0, 1)]
    for part in reversed(parts):
        store.put_round(key, part)
    assert store.rounds(key) == parts
    result = TaskResult(task_id="t0001", agent="h01", attempt=0, status=TaskStatus.DONE, cost_nusd=4)
    settled = parts[0].model_copy(update={"settled": True, "results": (result,)})
    store.put_round(key, settled)
    assert store.rounds(key)[0] == settled
    assert settled.open_attempts() == []


def test_a_round_that_does_not_parse_is_left_out_and_told(stage: Stage, key: SessionKey) -> None:
    told: list[str] = []
    store = SessionStore(
        dynamodb=stage.platform.client("dynamodb"),
        table=stage.outputs["sessions_table"],
        home="us-east-1",
        on_unreadable=lambda where, error: told.append(f"{where}: {error}"),
    )
    store.put_round(key, RoundPart(number=0, part=0, attempts=()))
    broken = {"pk": {"S": key.partition}, "sk": {"S": "ROUND#0000#0001"}, "number": {"S": "many"}}
    store.dynamodb.put_item(TableName=store.table, Item=broken)
    assert [part.part for part in store.rounds(key)] == [0]
    (one,) = told
    assert one.startswith(f"{key.partition} ROUND#0000#0001: RoundPart: ")


def test_a_call_of_unknown_cost_counts_in_full(store: SessionStore, key: SessionKey) -> None:
    store.put_call(key, ModelCall(name="plan", number=0, reserved_nusd=10))
    store.put_call(key, ModelCall(name="plan", number=1, reserved_nusd=10, spent_nusd=3))
    store.put_call(key, ModelCall(name="report", number=0, reserved_nusd=9))
    assert [(call.spent_nusd, call.committed_nusd) for call in store.calls(key, "plan")] == [(None, 10), (3, 0)]


def test_an_id_is_given_once(store: SessionStore, order: Order) -> None:
    with pytest.raises(SessionExistsError) as error:
        store.create(order, digest="other", model="m")
    assert error.value.session.digest == "d"


def test_the_item_that_is_written_often_does_not_carry_the_order(store: SessionStore, order: Order) -> None:
    item = store.find(order.key.partition, "SESSION")
    assert item
    assert "describe the move" not in json.dumps(item, default=str)
    assert store.order(order.key) == order


def test_what_a_goal_was_split_into_is_kept_for_a_second_execution(store: SessionStore, order: Order) -> None:
    goal = order.model_copy(update={"session_id": f"{order.session_id}-g", "goal": "know", "tasks": ()})
    store.create(goal, digest="d", model="m")
    assert store.task_texts(goal) == []
    store.begin(goal.key, tasks=2, planned=["a", "b"])
    assert store.task_texts(goal) == ["a", "b"]


# -- leases of an agent's messages -------------------------------------------------------------------------------------


@pytest.fixture
def leases(stage: Stage) -> LeaseTable:
    return LeaseTable(dynamodb=stage.platform.client("dynamodb"), table="infrafabric-dev-leases-h02")


@pytest.fixture
def message() -> str:
    return f"if://message/{uuid.uuid4()}"


D1, C1, TWIN = CopyId("d1", "d1"), CopyId("c1", "d1", 1), CopyId("c2", "d1", 1)


def take(leases: LeaseTable, message: str, *, lease_ms: int = 60_000, copy: CopyId = D1) -> Lease:
    return leases.take(message, lease_ms=lease_ms, copy=copy, sent_ms=1)


def test_a_message_is_worked_by_one_invocation(leases: LeaseTable, message: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        states = [lease.state for lease in pool.map(lambda _: take(leases, message), range(8))]
    assert sorted(states) == [LeaseState.GRANTED, *[LeaseState.HELD] * 7]


def test_a_lease_that_ran_out_is_used_and_granted_to_nobody(leases: LeaseTable, message: str) -> None:
    assert take(leases, message, lease_ms=-1).state is LeaseState.GRANTED
    assert take(leases, message).state is LeaseState.USED


def test_a_message_that_was_put_back_is_free_for_one_of_its_copies_alone(leases: LeaseTable, message: str) -> None:
    """SQS delivered it twice, and twins came of it."""
    first = take(leases, message)
    assert leases.put_back(message, first)
    repeated = take(leases, message)
    assert (repeated.state, repeated.copy.put_backs) == (LeaseState.PUT_BACK, 1), "its copy may not have been sent"
    assert take(leases, message, copy=CopyId("replayed", "replayed")).state is LeaseState.PUT_BACK
    second = take(leases, message, copy=C1)
    assert (second.state, second.copy) == (LeaseState.GRANTED, C1)
    assert take(leases, message, copy=TWIN).copy == C1
    assert not leases.put_back(message, first), "its lease has passed on"
    assert leases.put_back(message, second)
    assert take(leases, message, copy=TWIN).state is LeaseState.PUT_BACK, "the second copy is stale"
    assert take(leases, message, copy=CopyId("c3", "d1", 2)).state is LeaseState.GRANTED


def test_failures_of_a_message_are_counted(leases: LeaseTable) -> None:
    assert [leases.note_failure("d9") for _ in range(3)] == [1, 2, 3]
    assert leases.note_failure("d8") == 1


def test_a_cancelled_message_is_begun_by_nobody_whether_it_arrives_before_or_after(
    leases: LeaseTable, message: str
) -> None:
    leases.cancel(message)
    assert take(leases, message).state is LeaseState.CANCELLED
    other = f"{message[:-1]}{'0' if message[-1] != '0' else '1'}"
    held = take(leases, other)
    leases.cancel(other)
    assert take(leases, other).state is LeaseState.HELD, "whoever works on it is not disturbed"
    assert leases.put_back(other, held)
    assert take(leases, other).state is LeaseState.CANCELLED
