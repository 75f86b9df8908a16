"""Task board: who tries which task next, under which message id."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from infrafabric.bus.uris import last_segment
from infrafabric.swarm.assignment import SECOND_EXECUTION
from infrafabric.swarm.failure_reasons import DEADLINE, NOT_NEEDED, SILENT
from infrafabric.swarm.limits import MAX_TOKENS
from infrafabric.swarm.session_key import SessionKey
from infrafabric.swarm.task_board import TaskBoard, message_id_of
from tests.unit.swarm.orders import KEY

SECRET = "5f2d8a1c9b7e4f3066aa17c0de94b2e8"
KEYS = st.builds(
    SessionKey, st.sampled_from(["s1", "s2"]), st.sampled_from(["us-east-1", "us-west-2"]), st.integers(1, 2)
)
IDS = st.tuples(KEYS, st.sampled_from(["t0001", "t0002", "t0010"]), st.integers(0, 102))


def board(tasks: int = 3, *, agents: int = 3, most_tries: int = 3, first_number: int = 0) -> TaskBoard:
    return TaskBoard([f"task {number}" for number in range(tasks)], agents, most_tries, first_number)


def fail(board: TaskBoard, index: int, reason: str = SILENT) -> None:
    """Note an attempt that was sent and brought nothing."""
    board.tried(index)
    board.ended(index, done=False, reason=reason)


@given(IDS, IDS)
def test_each_attempt_has_a_message_id_of_its_own_which_is_the_same_in_every_replay(
    one: tuple[SessionKey, str, int], other: tuple[SessionKey, str, int]
) -> None:
    assert (message_id_of(SECRET, *one) == message_id_of(SECRET, *other)) is (one == other)


@given(IDS, st.text(min_size=1, max_size=40))
def test_nobody_computes_a_message_id_without_the_sessions_secret(
    attempt: tuple[SessionKey, str, int], guess: str
) -> None:
    """An agent that knew the ids of others could answer requests before they are sent."""
    assume(guess != SECRET)
    assert message_id_of(guess, *attempt) != message_id_of(SECRET, *attempt)


@given(IDS)
def test_a_message_id_is_a_uuid_of_version_4(attempt: tuple[SessionKey, str, int]) -> None:
    text = last_segment(message_id_of(SECRET, *attempt))
    assert uuid.UUID(text).version == 4
    assert str(uuid.UUID(text)) == text


@given(st.integers(2, 99), st.integers(0, 50), st.integers(1, 5))
def test_the_agent_of_the_next_try_is_another_one(agents: int, index: int, tries: int) -> None:
    tasks = board(index + 1, agents=agents, most_tries=tries + 1)
    before = ""
    for _ in range(tries):
        attempt = tasks.next_attempt(index, 1, KEY, SECRET, max_tokens=MAX_TOKENS)
        assert attempt.agent == tasks.agent_of_next(index) != before
        before = attempt.agent
        fail(tasks, index)


def test_attempts_of_a_second_execution_count_from_a_hundred_and_go_to_another_agent_than_the_first_ones() -> None:
    first, second = board(1), board(1, first_number=SECOND_EXECUTION)
    earlier = [first.next_attempt(0, 1, KEY, SECRET, max_tokens=MAX_TOKENS)]
    fail(first, 0)
    second.states[0].tries = first.states[0].tries
    later = []
    for _ in range(2):
        later.append(second.next_attempt(0, 1, KEY, SECRET, max_tokens=MAX_TOKENS))
        fail(second, 0)
    assert [attempt.number for attempt in (*earlier, *later)] == [0, 100, 101]
    assert [attempt.agent for attempt in (*earlier, *later)] == ["h01", "h02", "h03"]
    assert len({attempt.place(KEY) for attempt in (*earlier, *later)}) == 3, "no attempt finds another one's result"


def test_a_second_execution_has_tries_of_its_own() -> None:
    second = board(1, most_tries=1, first_number=SECOND_EXECUTION)
    second.states[0].tries = 5
    assert second.open() == [0]
    fail(second, 0)
    assert second.open() == []


@pytest.mark.parametrize(
    "reason", ["model-refusal", "model-prompt-too-large", "model-bad-request", "model-out-of-credit"]
)
def test_a_task_that_another_agent_would_do_no_better_is_not_tried_again(reason: str) -> None:
    tasks = board(2)
    tasks.tried(0)
    tasks.ended(0, done=False, reason=reason)
    assert (tasks.open(), tasks.failed, tasks.missing()) == ([1], 1, {"t0001": reason})


def test_the_tasks_with_the_fewest_tries_come_first() -> None:
    tasks = board(3)
    fail(tasks, 0)
    fail(tasks, 0)
    fail(tasks, 1)
    assert tasks.open() == [2, 1, 0]


def test_a_done_task_is_not_tried_again_and_stays_done() -> None:
    tasks = board(2)
    tasks.tried(0)
    tasks.ended(0, done=True)
    tasks.ended(0, done=False, reason=SILENT)  # a slower attempt at the same task
    assert (tasks.done, tasks.failed, tasks.open(), tasks.missing()) == (1, 0, [1], {})


def test_a_task_that_was_given_up_is_done_if_its_result_is_found_later() -> None:
    tasks = board(1, most_tries=1)
    fail(tasks, 0)
    assert (tasks.failed, tasks.missing()) == (1, {"t0001": SILENT})
    tasks.ended(0, done=True)
    assert (tasks.done, tasks.failed, tasks.missing()) == (1, 0, {})


def test_a_task_that_was_not_answered_by_the_deadline_is_tried_no_more() -> None:
    tasks = board(1)
    tasks.tried(0)
    tasks.ended(0, done=False, reason=DEADLINE, late=True)
    assert (tasks.open(), tasks.failed) == ([], 1)


def test_a_task_that_was_not_needed_any_more_has_not_failed() -> None:
    tasks = board(1, most_tries=1)
    fail(tasks, 0, NOT_NEEDED)
    assert (tasks.open(), tasks.failed, tasks.missing()) == ([], 0, {"t0001": NOT_NEEDED})


def test_a_task_that_was_not_tried_is_not_missing() -> None:
    tasks = board(2)
    fail(tasks, 1, "model-refusal")
    assert tasks.missing() == {"t0002": "model-refusal"}
