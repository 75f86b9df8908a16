"""Allowances: what an agent may spend on an attempt is what its own model client says the call costs at worst."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infrafabric.models import Prompt, Usage, prompts
from infrafabric.models.prices import Prices
from infrafabric.models.pricing import PricedModel
from infrafabric.swarm.allowances import Allowances
from infrafabric.swarm.limits import LEAST_TOKENS, MAX_TOKENS

MODEL = PricedModel("claude-haiku-5-5", Prices.load())
ALLOWANCES = Allowances(MODEL)
TEXTS = st.text(min_size=1, max_size=300)


def prompt_of(text: str, goal: str) -> Prompt:
    return prompts.agent(agent="h01", session_id="s1", goal=goal, task=text)


def full(text: str, goal: str = "") -> int:
    return ALLOWANCES.full(agent="h01", session_id="s1", goal=goal, text=text, max_tokens=MAX_TOKENS)


def within(room: int, text: str, goal: str = "") -> int | None:
    return ALLOWANCES.within(room, agent="h01", session_id="s1", goal=goal, text=text, max_tokens=MAX_TOKENS)


@given(TEXTS, TEXTS)
def test_a_full_allowance_pays_the_agent_the_longest_answer(text: str, goal: str) -> None:
    """The agent makes the same prompt and has the same prices, so it never declines for want of a nano-USD."""
    assert MODEL.affordable_tokens(prompt_of(text, goal), full(text, goal)) == MAX_TOKENS


@given(TEXTS, st.floats(0, 1.5))
def test_an_allowance_within_a_room_pays_an_answer_of_useful_length_or_there_is_none(text: str, share: float) -> None:
    room = int(full(text) * share)
    allowance = within(room, text)
    least = MODEL.worst_nusd(prompt_of(text, ""), LEAST_TOKENS)
    if room < least:
        assert allowance is None
    else:
        assert allowance is not None
        assert allowance <= min(room, full(text))
        assert LEAST_TOKENS <= MODEL.affordable_tokens(prompt_of(text, ""), allowance) <= MAX_TOKENS


@pytest.mark.parametrize("room", [-1, 0])
def test_no_room_makes_no_allowance(room: int) -> None:
    assert within(room, "a") is None


def test_a_longer_task_or_goal_has_a_larger_allowance() -> None:
    assert full("a") < full("a" * 1_000) < full("a" * 1_000, "g" * 1_000)


class Counting(PricedModel):
    """Model that counts how often a cost is computed."""

    calls = 0

    def worst_nusd(self, prompt: Prompt, max_tokens: int) -> int:
        self.calls += 1
        return super().worst_nusd(prompt, max_tokens)


def test_a_replay_computes_no_allowance_again() -> None:
    counting = Counting("claude-haiku-5-5", Prices.load())
    allowances = Allowances(counting)
    for _ in range(3):
        for index in range(1_000):
            allowances.full(agent="h01", session_id="s1", goal="", text=f"task {index}", max_tokens=MAX_TOKENS)
    assert counting.calls == 1_000


def test_no_answer_of_the_longest_length_costs_more_than_its_allowance() -> None:
    used = Usage(input_tokens=400, output_tokens=MAX_TOKENS)
    assert MODEL.cost_nusd(used) <= full("a task of about a hundred tokens" * 12)
