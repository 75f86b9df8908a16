"""A session's rules: outcome, quorum, who gets which task, where objects lie."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from infrafabric.bus.envelope import Citation, compose
from infrafabric.bus.structure import Performative, check_unsigned
from infrafabric.bus.uris import COORDINATOR, conversation_uri, new_message_id
from infrafabric.swarm.assignment import agent_for, task_id
from infrafabric.swarm.object_keys import findings_key, report_key, result_key, session_prefix
from infrafabric.swarm.quorum import outcome, required_tasks
from infrafabric.swarm.session_ids import CLIENT_ID, INTERNAL_ID, client_id, internal_id
from infrafabric.swarm.session_key import SessionKey
from infrafabric.swarm.status import SessionStatus
from tests.unit.swarm.orders import an_order

SESSION_IDS = st.from_regex(CLIENT_ID, fullmatch=True)
TASKS = st.integers(1, 1000)
QUORUM = st.one_of(st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0]), st.floats(0, 1))


@given(QUORUM, TASKS)
def test_a_quorum_asks_for_at_least_one_task_and_at_most_all(quorum: float, tasks: int) -> None:
    assert 1 <= required_tasks(quorum, tasks) <= tasks
    assert required_tasks(quorum, tasks) >= quorum * tasks - 1e-6


def test_a_quorum_is_not_raised_by_binary_fractions() -> None:
    assert math.ceil(0.1 * 3 * 10) == 4, "what the guard is for"
    assert required_tasks(0.1 * 3, 10) == 3


@given(QUORUM, TASKS, st.data())
def test_the_outcome_follows_from_what_was_done(quorum: float, tasks: int, data: st.DataObject) -> None:
    done = data.draw(st.integers(0, tasks))
    found = outcome(done, tasks, quorum)
    assert (found is SessionStatus.FAILED) == (done == 0)
    assert (found is SessionStatus.COMPLETE) == (done >= required_tasks(quorum, tasks))


def test_a_session_without_tasks_has_failed() -> None:
    assert outcome(0, 0, 1.0) is SessionStatus.FAILED


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
    key = SessionKey("one", "us-east-1", 2)
    assert session_prefix(key) == "sessions/76/one/us-east-1/e2"
    assert result_key(key, "h01", "t0001", 2) == "sessions/76/one/us-east-1/e2/agents/h01/t0001/2/result.json"
    assert findings_key(key, 1, 3) == "sessions/76/one/us-east-1/e2/rounds/1/3.json"
    assert report_key(key) == "sessions/76/one/us-east-1/e2/report.json"


KEYS = st.builds(
    SessionKey,
    st.from_regex(INTERNAL_ID, fullmatch=True),
    st.sampled_from(["us-east-1", "us-west-2", "eu-west-1"]),
    st.integers(1, 20),
)


@given(KEYS, KEYS)
def test_no_two_sessions_regions_or_epochs_share_an_item_or_an_object(one: SessionKey, other: SessionKey) -> None:
    assert (one.partition == other.partition) == (one == other)
    assert (report_key(one) == report_key(other)) == (one == other)


OWNERS = st.text(min_size=1, max_size=20)


@given(SESSION_IDS, OWNERS, OWNERS)
def test_two_owners_may_use_the_same_session_id_and_each_sees_it_as_its_own(name: str, one: str, other: str) -> None:
    ids = internal_id(name, one), internal_id(name, other)
    assert (ids[0] == ids[1]) == (one == other)
    assert [client_id(each) for each in ids] == [name, name]
    assert all(INTERNAL_ID.fullmatch(each) for each in ids)


@given(SESSION_IDS)
def test_a_session_of_a_release_before_owners_keeps_its_id(name: str) -> None:
    assert client_id(name) == name


@given(SESSION_IDS, SESSION_IDS)
def test_every_session_has_a_conversation_of_its_own_that_the_bus_takes(one: str, other: str) -> None:
    draft = compose(
        performative=Performative.REQUEST,
        sender=COORDINATOR,
        receiver="if://agent/h01",
        conversation_id=conversation_uri(one),
        message_id=new_message_id(),
        timestamp=1,
        content={},
        citation=Citation("if://test/x", f"sha256:{'0' * 64}"),
    )
    check_unsigned(draft)
    assert (conversation_uri(one) == conversation_uri(other)) == (one == other)


@given(st.integers(30, 86_400))
def test_time_is_kept_for_the_report(deadline_s: int) -> None:
    order = an_order(deadline_ms=1_000_000 + deadline_s * 1000)
    kept_s = (order.deadline_ms - order.tasks_deadline_ms) / 1000
    assert min(60, deadline_s // 10) <= kept_s <= 60
