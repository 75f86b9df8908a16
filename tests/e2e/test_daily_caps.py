"""Daily caps in the emulator's sessions table: never exceeded, and given back to the last nano-dollar."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infrafabric.aws_adapters.session_store import SessionStore
from infrafabric.swarm.daily_cap import CapUse, OverDailyCapError, cap_partition
from infrafabric.swarm.session_errors import SessionExistsError
from infrafabric.swarm.session_key import SessionKey
from infrafabric.swarm.shapes.order import Order
from infrafabric.swarm.status import SessionStatus
from infrafabric.swarm.table_keys import CAP
from local.platform import REGION
from tests.e2e.conftest import Stage

CAP_NUSD = 1_000
DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def store(stage: Stage) -> SessionStore:
    return stage.store()


@pytest.fixture
def owner() -> str:
    return new_owner()


def new_owner() -> str:
    return f"capped-{uuid.uuid4().hex[:8]}"


def an_order(owner: str, budget_nusd: int, *, created_ms: int | None = None) -> Order:
    now_ms = time.time_ns() // 1_000_000 if created_ms is None else created_ms
    return Order(
        session_id=f"store-{uuid.uuid4().hex[:8]}",
        home=REGION,
        goal=None,
        tasks=("one",),
        agents=1,
        created_ms=now_ms,
        deadline_ms=now_ms + 60_000,
        budget_nusd=budget_nusd,
        quorum=1.0,
        owner=owner,
    )


def create(store: SessionStore, order: Order) -> SessionKey:
    return store.create(order, digest="d", model="m", cap_nusd=CAP_NUSD).key


def use(store: SessionStore, order: Order) -> tuple[int, int]:
    """What the cap of an order has: in total, and reserved by running sessions."""
    found = CapUse.read(store.find(cap_partition(order.owner, order.created_ms, REGION), CAP) or {})
    return found.total_nusd, found.running_nusd


def end(store: SessionStore, key: SessionKey, *, spent: int = 0, committed: int = 0) -> bool:
    session = store.get(key)
    assert session
    numbers = {"status": SessionStatus.CANCELLED, "spent_nusd": spent, "committed_nusd": committed, "ended_ms": 1}
    return store.end(session.model_copy(update=numbers))


@pytest.fixture(scope="module", autouse=True)
def no_session_left(store: SessionStore) -> Iterator[None]:
    """Sessions without a coordinator would be repaired by the watchdog's round of another test."""
    yield
    for session in list(store.live_sessions(lambda *_: None)):
        if session.owner.startswith("capped-"):
            end(store, session.key)


def test_a_session_reserves_its_budget_and_gives_back_what_it_did_not_spend(store: SessionStore, owner: str) -> None:
    order = an_order(owner, 600)
    create(store, order)
    assert use(store, order) == (600, 600)
    assert end(store, order.key, spent=50)
    assert use(store, order) == (50, 0)


def test_what_unanswered_attempts_may_spend_stays_counted_after_the_end(store: SessionStore, owner: str) -> None:
    order = an_order(owner, 600)
    create(store, order)
    end(store, order.key, spent=50, committed=200)
    assert use(store, order) == (250, 0)


def test_the_refund_is_given_once_whoever_ends_the_session_and_however_often(store: SessionStore, owner: str) -> None:
    order = an_order(owner, 600)
    create(store, order)
    with ThreadPoolExecutor(8) as pool:
        ended = Counter(pool.map(lambda _: end(store, order.key), range(8)))
    assert ended == {True: 1, False: 7}
    assert use(store, order) == (0, 0)


def test_what_does_not_fit_is_refused_with_what_is_taken_and_leaves_nothing(store: SessionStore, owner: str) -> None:
    first, ended, refused = an_order(owner, 500), an_order(owner, 300), an_order(owner, 401)
    create(store, first)
    create(store, ended)
    end(store, ended.key, spent=100)
    with pytest.raises(OverDailyCapError) as over:
        create(store, refused)
    assert (over.value.use.used_nusd, over.value.use.running_nusd) == (100, 500)
    assert store.get(refused.key) is None
    create(store, replace_budget(refused, 400))


def replace_budget(order: Order, budget_nusd: int) -> Order:
    return order.model_copy(update={"budget_nusd": budget_nusd})


def test_a_budget_above_the_cap_does_not_fit_into_an_untouched_day(store: SessionStore, owner: str) -> None:
    with pytest.raises(OverDailyCapError):
        create(store, an_order(owner, CAP_NUSD + 1))


def test_a_repeat_meets_its_session_also_when_the_cap_is_used_up(store: SessionStore, owner: str) -> None:
    order = an_order(owner, CAP_NUSD)
    create(store, order)
    with pytest.raises(SessionExistsError):
        create(store, order)
    assert use(store, order) == (CAP_NUSD, CAP_NUSD)


def test_owners_days_and_regions_have_caps_of_their_own(store: SessionStore, owner: str) -> None:
    now_ms = time.time_ns() // 1_000_000
    create(store, an_order(owner, CAP_NUSD, created_ms=now_ms))
    create(store, an_order(new_owner(), CAP_NUSD, created_ms=now_ms))
    create(store, an_order(owner, CAP_NUSD, created_ms=now_ms - DAY_MS))
    assert len({cap_partition(owner, now_ms, region) for region in ("us-east-1", "us-west-2")}) == 2


def test_a_session_that_ends_on_the_next_day_gives_back_to_the_day_of_its_creation(
    store: SessionStore, owner: str
) -> None:
    yesterday = an_order(owner, 700, created_ms=time.time_ns() // 1_000_000 - DAY_MS)
    create(store, yesterday)
    end(store, yesterday.key)
    assert use(store, yesterday) == (0, 0)
    assert store.find(cap_partition(owner, yesterday.created_ms + DAY_MS, REGION), CAP) is None


def test_a_session_that_another_region_ends_leaves_the_cap_to_the_region_that_writes_it(
    store: SessionStore, owner: str
) -> None:
    order = an_order(owner, 700)
    create(store, order)
    there = cap_partition(owner, order.created_ms, "us-west-2")
    cap = store.update_request(there, CAP, "SET total_nusd = :all, running_nusd = :all", {":all": 700})
    moved = store.update_request(order.key.partition, "SESSION", "SET cap_partition = :there", {":there": there})
    store.transact([cap, moved])
    assert end(store, order.key)
    assert CapUse.read(store.find(there, CAP) or {}) == CapUse(total_nusd=700, running_nusd=700)


def test_a_session_ends_also_without_its_caps_item(store: SessionStore, owner: str) -> None:
    order = an_order(owner, 700)
    create(store, order)
    key = {"pk": {"S": cap_partition(owner, order.created_ms, REGION)}, "sk": {"S": CAP}}
    store.dynamodb.delete_item(TableName=store.table, Key=key)
    assert end(store, order.key)
    assert use(store, order) == (0, 0), "a refund to nothing would be a larger cap"


def test_two_sessions_at_once_at_the_edge_of_the_cap_are_one_session(store: SessionStore) -> None:
    for _ in range(10):
        orders = [an_order(owner, 600) for owner in [new_owner()] for _ in range(2)]

        def admitted(order: Order) -> bool:
            try:
                create(store, order)
            except OverDailyCapError:
                return False
            return True

        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(admitted, orders)) == [False, True]
        assert use(store, orders[0]) == (600, 600)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("create"), st.integers(1, CAP_NUSD)),
        st.tuples(st.just("spend"), st.integers(0, CAP_NUSD)),
        st.tuples(st.just("end"), st.integers(0, 7)),
    ),
    min_size=3,
    max_size=20,
)


@settings(max_examples=40)
@given(STEPS)
def test_in_any_order_of_starts_and_ends_the_cap_holds_and_its_sums_are_exact(
    store: SessionStore, steps: list[tuple[str, int]]
) -> None:
    """A model of the sums in plain Python is compared after every step."""
    owner, running, ended_nusd = new_owner(), dict[SessionKey, tuple[int, int]](), 0
    order = an_order(owner, 1)
    for step, number in steps:
        if step == "create":
            order = replace_budget(an_order(owner, 1, created_ms=order.created_ms), number)
            fits = ended_nusd + sum(budget for budget, _ in running.values()) + number <= CAP_NUSD
            try:
                running[create(store, order)] = number, 0
                assert fits
            except OverDailyCapError:
                assert not fits
        elif running:
            name = sorted(running)[number % len(running)]
            budget, spent = running[name]
            if step == "spend":
                running[name] = budget, spent + min(number, budget - spent)
            else:
                assert end(store, name, spent=spent)
                del running[name]
                ended_nusd += spent
        reserved = sum(budget for budget, _ in running.values())
        assert use(store, order) == (ended_nusd + reserved, reserved)
        assert ended_nusd + reserved <= CAP_NUSD
    for name in running:
        end(store, name, spent=running[name][1])
        ended_nusd += running[name][1]
    assert use(store, order) == (ended_nusd, 0)
