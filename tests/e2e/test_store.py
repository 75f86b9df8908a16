"""Sessions table of the emulator: money is never overspent, work is never done twice."""

from __future__ import annotations

import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from infrafabric.aws_adapters.session_store import SessionStore
from infrafabric.swarm.leases import AlreadyDoneError, Lease, LeaseHeldError, OverBudgetError, SessionOverError
from infrafabric.swarm.session_errors import SessionExistsError
from infrafabric.swarm.shapes.order import Order
from infrafabric.swarm.shapes.result import TaskResult
from infrafabric.swarm.shapes.shape import BadShapeError
from infrafabric.swarm.status import SessionStatus, TaskStatus
from tests.e2e.conftest import Stage

BUDGET = 1_000


def _refuse(session_id: str, error: BadShapeError) -> None:
    raise AssertionError(f"{session_id}: {error}")


@pytest.fixture(scope="module")
def store(stage: Stage) -> SessionStore:
    return SessionStore(dynamodb=stage.platform.client("dynamodb"), table=stage.outputs["sessions_table"])


@pytest.fixture
def session(store: SessionStore) -> str:
    now = time.time_ns() // 1_000_000
    order = Order(
        session_id=f"store-{uuid.uuid4().hex[:8]}",
        goal=None,
        tasks=("one",),
        agents=1,
        created_ms=now,
        deadline_ms=now + 60_000,
        budget_nusd=BUDGET,
        quorum=1.0,
    )
    store.create(order, digest="d", model="m")
    store.begin(order.session_id, tasks=1)
    return order.session_id


def lease(store: SessionStore, session: str, message: str, nusd: int = 10, **changes: Any) -> Lease:
    arguments = {
        "reserve_nusd": nusd,
        "budget_nusd": BUDGET,
        "lease_ms": 60_000,
        "token": "a",
        "sqs_message_id": "sqs-1",
    }
    return store.lease(session, f"if://message/{message}", **{**arguments, **changes})


def done(task: str = "t0001", status: TaskStatus = TaskStatus.DONE, cost: int = 4) -> TaskResult:
    return TaskResult(task_id=task, agent="h01", attempt=0, status=status, s3_key="k", cost_nusd=cost)


def money(store: SessionStore, session: str) -> tuple[int, int]:
    item = store.get(session)
    assert item
    return item.committed_nusd, item.spent_nusd


def test_many_agents_at_once_never_overspend(store: SessionStore, session: str) -> None:
    def work(number: int) -> int:
        try:
            mine = lease(store, session, f"m{number}", 70)
        except OverBudgetError:
            return 0
        committed, _ = money(store, session)
        assert committed <= BUDGET
        store.finish(mine, done(f"t{number:04}", cost=50), spent_nusd=50)
        return 50

    with ThreadPoolExecutor(16) as pool:
        spent = sum(pool.map(work, range(40)))
    assert 0 < spent <= BUDGET
    assert money(store, session) == (spent, spent), "what was set aside is settled, to the last nano-dollar"


def test_a_message_is_worked_by_one(store: SessionStore, session: str) -> None:
    lease(store, session, "m")
    with pytest.raises(LeaseHeldError):
        lease(store, session, "m", token="b")
    assert money(store, session) == (10, 0), "a claim that was not granted sets nothing aside"


def test_work_that_is_done_is_answered_with_its_result(store: SessionStore, session: str) -> None:
    store.finish(lease(store, session, "m"), done(), spent_nusd=4)
    with pytest.raises(AlreadyDoneError) as repeated:
        lease(store, session, "m", sqs_message_id="sqs-2")
    assert (repeated.value.result, repeated.value.sqs_message_id) == (done(), "sqs-1")
    assert money(store, session) == (4, 4)


def test_a_message_given_back_is_free_and_so_is_its_money(store: SessionStore, session: str) -> None:
    store.release(lease(store, session, "m"))
    assert money(store, session) == (0, 0)
    lease(store, session, "m", token="b")


def test_a_silent_holder_loses_its_claim_but_its_money_stays_committed(store: SessionStore, session: str) -> None:
    lease(store, session, "m", lease_ms=-1)
    lease(store, session, "m", token="b")
    assert money(store, session) == (20, 0), "nobody knows what the first call did cost"


def test_a_task_done_by_two_counts_once_and_costs_twice(store: SessionStore, session: str) -> None:
    for message in ("first", "second"):
        store.finish(lease(store, session, message), done(), spent_nusd=4)
    item = store.get(session)
    assert item
    assert (item.tasks_done, item.spent_nusd) == (1, 8)
    assert [result.task_id for result in store.tasks(session)] == ["t0001"]


def test_a_task_given_up_is_counted_once(store: SessionStore, session: str) -> None:
    for _ in range(2):
        store.record_failed_task(session, done(status=TaskStatus.FAILED))
    item = store.get(session)
    assert item
    assert item.tasks_failed == 1


def test_a_session_that_has_ended_gives_no_more_money(store: SessionStore, session: str) -> None:
    assert store.end(session, SessionStatus.CANCELLED, reason="enough")
    assert not store.end(session, SessionStatus.COMPLETE, reason=""), "the first end stands"
    with pytest.raises(SessionOverError, match="is CANCELLED"):
        lease(store, session, "m")


def test_money_of_a_call_that_ends_after_the_session_is_counted(store: SessionStore, session: str) -> None:
    mine = lease(store, session, "m")
    store.end(session, SessionStatus.CANCELLED, reason="enough")
    store.finish(mine, done(), spent_nusd=4)
    assert money(store, session) == (4, 4)


def test_an_id_is_given_once(store: SessionStore, session: str) -> None:
    item = store.get(session)
    assert item
    with pytest.raises(SessionExistsError) as taken:
        store.create(
            Order(
                session_id=session, goal="x", tasks=(), agents=1, created_ms=0, deadline_ms=1, budget_nusd=1, quorum=1
            ),
            digest="other",
            model="m",
        )
    assert taken.value.session.digest == "d"


def test_finishing_twice_counts_once(store: SessionStore, session: str) -> None:
    mine = lease(store, session, "m")
    for _ in range(2):
        store.finish(mine, done(), spent_nusd=4)
    item = store.get(session)
    assert item
    assert (item.tasks_done, item.committed_nusd, item.spent_nusd) == (1, 4, 4)


def test_giving_back_twice_frees_the_money_once(store: SessionStore, session: str) -> None:
    lease(store, session, "other", 30)
    mine = lease(store, session, "m")
    for _ in range(2):
        store.release(mine)
    assert money(store, session) == (30, 0)


def test_a_holder_that_was_replaced_pays_but_answers_no_more(store: SessionStore, session: str) -> None:
    slow = lease(store, session, "m", lease_ms=-1)
    quick = lease(store, session, "m", token="b", sqs_message_id="sqs-2")
    store.finish(slow, done(status=TaskStatus.FAILED), spent_nusd=3)
    store.finish(quick, done(), spent_nusd=4)
    with pytest.raises(AlreadyDoneError) as repeated:
        lease(store, session, "m", token="c")
    assert repeated.value.sqs_message_id == "sqs-2"
    assert money(store, session) == (7, 7)


def test_an_agent_that_was_only_late_still_does_its_task(store: SessionStore, session: str) -> None:
    mine = lease(store, session, "m")
    store.record_failed_task(session, done(status=TaskStatus.FAILED))
    store.finish(mine, done(), spent_nusd=4)
    item = store.get(session)
    assert item
    assert (item.tasks_done, item.tasks_failed) == (1, 0)
    assert store.task(session, "t0001") == done()


def test_a_task_that_was_done_is_not_given_up(store: SessionStore, session: str) -> None:
    store.finish(lease(store, session, "m"), done(), spent_nusd=4)
    store.record_failed_task(session, done(status=TaskStatus.FAILED))
    item = store.get(session)
    assert item
    assert (item.tasks_done, item.tasks_failed) == (1, 0)


@pytest.mark.parametrize(("spent", "later"), [(900, False), (100, True)])
def test_what_does_not_fit_says_whether_it_may_later(
    store: SessionStore, session: str, spent: int, later: bool
) -> None:
    store.finish(lease(store, session, "spent", spent), done(cost=spent), spent_nusd=spent)
    lease(store, session, "running", BUDGET - spent)
    with pytest.raises(OverBudgetError) as refused:
        lease(store, session, "m", 200)
    assert refused.value.later is later


def test_the_plans_and_the_reports_money_is_settled_too(store: SessionStore, session: str) -> None:
    store.reserve(session, 600, budget_nusd=BUDGET)
    with pytest.raises(OverBudgetError):
        store.reserve(session, 600, budget_nusd=BUDGET)
    store.settle(session, reserved_nusd=600, spent_nusd=50)
    assert money(store, session) == (50, 50)


def test_the_counters_do_not_carry_the_order(store: SessionStore, session: str) -> None:
    item = store.get(session)
    assert item
    assert len(json.dumps(item.as_item())) < 1_000, "each lease and each answer pays for the size of this item"
    assert store.order(session).tasks == ("one",)


def test_the_watchdog_sees_sessions_that_have_not_ended_and_when_they_last_moved(
    store: SessionStore, session: str
) -> None:
    def live() -> dict[str, int]:
        return {
            item.session_id: item.updated_ms for item in store.live_sessions(_refuse) if item.updated_ms is not None
        }

    begun = live()[session]
    time.sleep(0.01)
    store.finish(lease(store, session, "m"), done(), spent_nusd=4)
    assert live()[session] > begun
    store.end(session, SessionStatus.COMPLETE, reason="")
    assert session not in live()


def test_what_a_goal_was_split_into_is_kept_beside_the_order_of_a_session_that_begins(store: SessionStore) -> None:
    now = time.time_ns() // 1_000_000
    order = Order(
        session_id=f"store-{uuid.uuid4().hex[:8]}",
        goal="g",
        tasks=(),
        agents=2,
        created_ms=now,
        deadline_ms=now + 60_000,
        budget_nusd=BUDGET,
        quorum=1.0,
    )
    store.create(order, digest="d", model="m")
    assert store.task_texts(order) == []
    assert store.begin(order.session_id, tasks=2, planned=["one", "two"])
    assert store.task_texts(order) == ["one", "two"]
    store.end(order.session_id, SessionStatus.CANCELLED, reason="")
    assert not store.begin(order.session_id, tasks=1, planned=["other"])
    assert store.task_texts(order) == ["one", "two"]
