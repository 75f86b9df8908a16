"""Plan of a round: what the free money pays, and what each execution runs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from infrafabric.models import Prompt, Usage
from infrafabric.swarm.allowances import Allowances
from infrafabric.swarm.assignment import TASKS_PER_EXECUTION
from infrafabric.swarm.failure_reasons import CUT_OFF
from infrafabric.swarm.limits import LEAST_TOKENS, MAX_TOKENS
from infrafabric.swarm.round_plan import next_attempts, report_reserve, round_orders
from infrafabric.swarm.shapes.attempt import Attempt
from infrafabric.swarm.task_board import TaskBoard
from tests.unit.swarm.orders import KEY, an_order

SECRET = "secret"
MONEY = st.integers(0, 100_000)


@dataclass
class ByLength:
    """Prices of a model: the user's part of a prompt and each token of the answer cost a nano-USD."""

    asked: int = 0

    def cost_nusd(self, usage: Usage) -> int:
        return usage.total

    def worst_nusd(self, prompt: Prompt, max_tokens: int) -> int:
        self.asked += 1
        return len(prompt.user) + max_tokens

    def affordable_tokens(self, prompt: Prompt, nusd: int) -> int:
        return max(0, nusd - len(prompt.user))


ALLOWANCES = Allowances(ByLength())
TEXTS = st.lists(st.integers(1, 3_000).map(lambda size: "x" * size), min_size=1, max_size=12)


def full(index: int, texts: list[str]) -> int:
    agent = board(texts).agent_of_next(index)
    return ALLOWANCES.full(agent=agent, session_id=KEY.session_id, goal="", text=texts[index], max_tokens=MAX_TOKENS)


def board(texts: list[str]) -> TaskBoard:
    return TaskBoard(texts, agents=3, most_tries=3)


def plan(texts: list[str], free: int) -> list[Attempt]:
    return attempts_of(board(texts), texts, free)


def attempts_of(tasks: TaskBoard, texts: list[str], free: int) -> list[Attempt]:
    order = an_order(tasks=tuple(texts))
    return next_attempts(tasks, order, ALLOWANCES, free=free, secret=SECRET, max_tokens=MAX_TOKENS)


# -- money -------------------------------------------------------------------------------------------------------------


@given(TEXTS, MONEY)
def test_a_round_costs_no_more_than_the_free_money(texts: list[str], free: int) -> None:
    assert sum(attempt.allowance_nusd for attempt in plan(texts, free)) <= free


@given(TEXTS, MONEY)
def test_a_round_has_as_many_tasks_as_the_money_pays_long_answers_for(texts: list[str], free: int) -> None:
    attempts, costs = plan(texts, free), [full(index, texts) for index in range(len(texts))]
    count = max((n for n in range(len(texts) + 1) if sum(costs[:n]) <= free), default=0)
    assert [attempt.index for attempt in attempts[:count]] == list(range(count))
    assert [attempt.allowance_nusd for attempt in attempts[:count]] == costs[:count]
    assert len(attempts) == count or (count, len(attempts)) == (0, 1)


def test_money_for_less_than_one_long_answer_buys_one_shorter_answer() -> None:
    texts = ["a", "b"]
    whole = full(0, texts)
    (attempt,) = plan(texts, whole - 1)
    assert (attempt.index, attempt.allowance_nusd) == (0, whole - 1)
    least = whole - MAX_TOKENS + LEAST_TOKENS
    assert [attempt.allowance_nusd for attempt in plan(texts, least)] == [least]
    assert plan(texts, least - 1) == [], "most answers of this length would be cut off"


def test_tasks_that_are_done_are_in_no_round() -> None:
    tasks = board(["a", "b", "c"])
    tasks.ended(1, done=True)
    attempts = attempts_of(tasks, ["a", "b", "c"], 100_000)
    assert [attempt.task_id for attempt in attempts] == ["t0001", "t0003"]


def test_an_answer_that_was_cut_off_is_asked_for_once_more_with_twice_the_room() -> None:
    tasks = board(["a", "b"])
    tasks.tried(0)
    tasks.ended(0, done=False, reason=CUT_OFF)
    first, again = attempts_of(tasks, ["a", "b"], 100_000)
    assert [(one.task_id, one.max_tokens) for one in (first, again)] == [("t0002", 8_192), ("t0001", 16_384)]
    assert again.allowance_nusd - first.allowance_nusd == MAX_TOKENS, "the longer answer is paid for"
    tasks.tried(0)
    tasks.ended(0, done=False, reason=CUT_OFF)
    assert tasks.open() == [1], "a third answer would be no shorter"


def test_no_answer_is_longer_than_the_longest_that_may_be_asked_for() -> None:
    tasks = board(["a"])
    tasks.ended(0, done=False, reason=CUT_OFF)
    assert tasks.tokens_of_next(0, 60_000) == 64_000


def test_an_attempt_that_is_planned_again_by_a_replay_is_the_same() -> None:
    assert plan(["a", "b"], 100_000) == plan(["a", "b"], 100_000)


@given(MONEY, MONEY, MONEY, st.integers(-100, 1_000) | MONEY)
def test_the_reports_reserve_leaves_money_for_a_task_or_is_nothing(least: int, more: int, task: int, rest: int) -> None:
    free = least + task + rest
    reserve = report_reserve(free, least=least, full=least + more, one_task=task)
    if rest < 0:
        assert reserve == 0, "without a task there is nothing to summarize"
    else:
        assert least <= reserve <= max(least, min(least + more, free // 4))
        assert free - reserve >= task


# -- parts -------------------------------------------------------------------------------------------------------------


@given(st.integers(1, 230), st.floats(0, 2))
def test_parts_wait_together_for_what_the_quorum_lacks_and_none_for_more_than_it_has(tasks: int, share: float) -> None:
    missing = max(1, math.ceil(share * tasks))
    reached = min(missing, tasks)  # the money may pay fewer attempts than the quorum lacks
    texts = ["x"] * tasks
    attempts = plan(texts, 10**9)
    orders = round_orders(3, attempts, texts, missing=missing, heartbeat_timeout_s=60, agents=3, tasks_at_once=10)
    assert [order.part for order in orders] == list(range(len(orders)))
    assert {order.number for order in orders} == {3}
    assert [attempt for order in orders for attempt in order.attempts] == attempts
    assert all(1 <= order.required <= len(order.attempts) <= TASKS_PER_EXECUTION for order in orders)
    assert sum(order.required for order in orders) >= reached
    assert len({order.silence_s for order in orders}) == 1


def test_a_part_has_the_texts_of_its_own_attempts() -> None:
    texts = [f"task {number}" for number in range(4)]
    attempts = [attempt for attempt in plan(texts, 10**9) if attempt.index % 2]
    (order,) = round_orders(0, attempts, texts, missing=1, heartbeat_timeout_s=60, agents=3, tasks_at_once=10)
    assert order.texts == ("task 1", "task 3")


def test_agents_with_more_tasks_than_they_do_at_once_are_waited_for_longer() -> None:
    def silence_s(tasks: int) -> int:
        texts = ["x"] * tasks
        attempts = plan(texts, 10**9)
        orders = round_orders(0, attempts, texts, missing=1, heartbeat_timeout_s=60, agents=1, tasks_at_once=10)
        return orders[0].silence_s

    assert silence_s(10) < silence_s(40)
