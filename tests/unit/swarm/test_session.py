"""A session's rules: outcome, quorum, who gets which task, where objects lie."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infrafabric.bus.envelope import Citation, compose, new_message_id
from infrafabric.bus.structure import Performative, check_unsigned
from infrafabric.swarm.session import (
    COORDINATOR,
    Order,
    Status,
    agent_for,
    conversation,
    needed,
    outcome,
    prefix,
    result_key,
    task_id,
)

TASKS = st.integers(1, 1000)
QUORUM = st.one_of(st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0]), st.floats(0, 1))


@given(QUORUM, TASKS)
def test_a_quorum_asks_for_at_least_one_task_and_at_most_all(quorum: float, tasks: int) -> None:
    assert 1 <= needed(quorum, tasks) <= tasks
    assert needed(quorum, tasks) >= quorum * tasks - 1e-6


def test_a_quorum_is_not_raised_by_binary_fractions() -> None:
    assert math.ceil(0.1 * 3 * 10) == 4, "what the guard is for"
    assert needed(0.1 * 3, 10) == 3


@given(QUORUM, TASKS, st.data())
def test_the_outcome_follows_from_what_was_done(quorum: float, tasks: int, data: st.DataObject) -> None:
    done = data.draw(st.integers(0, tasks))
    found = outcome(done, tasks, quorum)
    assert (found is Status.FAILED) == (done == 0)
    assert (found is Status.COMPLETE) == (done >= needed(quorum, tasks))


def test_a_session_without_tasks_has_failed() -> None:
    assert outcome(0, 0, 1.0) is Status.FAILED


@given(st.integers(0, 999), st.integers(0, 10), st.integers(2, 99))
def test_a_task_is_never_given_to_the_same_agent_twice_in_a_row(index: int, attempt: int, agents: int) -> None:
    assert agent_for(index, attempt, agents) != agent_for(index, attempt + 1, agents)


@given(st.integers(1, 99))
def test_the_first_tasks_go_to_an_agent_each(agents: int) -> None:
    assert len({agent_for(index, 0, agents) for index in range(agents)}) == agents


@given(st.lists(st.integers(0, 999), unique=True))
def test_task_ids_sort_as_they_count(indexes: list[int]) -> None:
    assert sorted(map(task_id, indexes)) == [task_id(index) for index in sorted(indexes)]


def test_objects_of_a_session_lie_below_two_hex_digits_of_its_hash() -> None:
    assert prefix("one") == "sessions/76/one"
    assert result_key("one", "h01", "t0001", 2, failed=True) == "sessions/76/one/agents/h01/t0001/2/error.json"


SESSION_IDS = st.from_regex(r"[a-z0-9-]{1,64}", fullmatch=True)


@given(SESSION_IDS, SESSION_IDS)
def test_every_session_has_a_conversation_of_its_own_that_the_bus_takes(one: str, other: str) -> None:
    draft = compose(
        performative=Performative.REQUEST, sender=COORDINATOR, receiver="if://agent/h01",
        conversation_id=conversation(one), message_id=new_message_id(), timestamp=1, content={},
        citation=Citation("if://test/x", f"sha256:{'0' * 64}"),
    )  # fmt: skip
    check_unsigned(draft)
    assert (conversation(one) == conversation(other)) == (one == other)


@given(st.integers(30, 86_400))
def test_time_is_kept_for_the_report(deadline_s: int) -> None:
    order = an_order(deadline_ms=1_000_000 + deadline_s * 1000)
    kept_s = (order.deadline_ms - order.tasks_by_ms) / 1000
    assert min(60, deadline_s // 10) <= kept_s <= 60


@given(st.lists(st.text(min_size=1), max_size=5), st.floats(0, 1))
def test_an_order_survives_the_way_to_the_coordinator(tasks: list[str], quorum: float) -> None:
    order = an_order(tasks=tuple(tasks), quorum=quorum)
    assert Order.from_event(order.as_event()) == order


def test_an_order_of_another_version_is_refused() -> None:
    with pytest.raises(ValueError, match="not an order of version 1: order = 2"):
        Order.from_event({**an_order().as_event(), "order": 2})


def an_order(**changes: object) -> Order:
    given_: dict[str, object] = {
        "session_id": "s1", "goal": None, "tasks": ("a",), "agents": 3, "created_ms": 1_000_000,
        "deadline_ms": 1_600_000, "budget_nusd": 10**9, "quorum": 1.0,
    }  # fmt: skip
    return Order(**{**given_, **changes})  # type: ignore[arg-type]
