"""Cost of a model's calls at worst: what the money buys costs no more, and a token more would."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from infrafabric.models.prices import BadPricesError, Prices
from infrafabric.models.pricing import PricedModel
from infrafabric.models.prompts import Prompt

ODD = {"claude-odd": {"input": 0.000333, "output": 0.000777, "cache_read": 0, "cache_write": 0}}
FREE = {"claude-free": {"input": 1, "output": 0, "cache_read": 0, "cache_write": 0}}
PRICES = Prices.load(json.dumps({**ODD, **FREE}))
MODELS = st.sampled_from(
    [
        PricedModel(model_id, PRICES)
        for model_id in ("claude-haiku-5-5", "claude-sonnet-5-5", "eu.anthropic.claude-haiku-5-5-v1:0", "claude-odd")
    ]
)
LONG = 100_000  # tokens, from where Haiku's price is another one
PROMPTS = st.builds(
    lambda system, user, times: Prompt(name="p", system=system, user=user * times),
    st.text(max_size=50),
    st.text(max_size=50),
    st.sampled_from([0, 1, 7, LONG // 50, LONG]),
)
TOKENS = st.integers(0, 5_000)


@given(MODELS, PROMPTS, TOKENS)
def test_the_worst_cost_of_a_call_pays_just_its_tokens(model: PricedModel, prompt: Prompt, tokens: int) -> None:
    affordable = model.affordable_tokens(prompt, model.worst_nusd(prompt, tokens))
    assert affordable >= tokens
    assert model.worst_nusd(prompt, affordable) == model.worst_nusd(prompt, tokens)


@given(MODELS, PROMPTS, st.integers(0, 100_000_000))
@example(PricedModel("claude-odd", PRICES), Prompt(name="p", system="", user=""), 2)
def test_the_affordable_tokens_cost_no_more_than_the_money_and_a_token_more_does(
    model: PricedModel, prompt: Prompt, nusd: int
) -> None:
    tokens = model.affordable_tokens(prompt, nusd)
    assert model.worst_nusd(prompt, tokens + 1) > nusd
    if tokens:
        assert model.worst_nusd(prompt, tokens) <= nusd


@given(MODELS, PROMPTS, st.integers(-1_000_000, -1))
def test_a_debt_affords_nothing(model: PricedModel, prompt: Prompt, nusd: int) -> None:
    assert model.affordable_tokens(prompt, nusd) == 0


def test_a_model_without_a_price_cannot_be_budgeted() -> None:
    with pytest.raises(BadPricesError, match="'claude-unknown' has no price"):
        PricedModel("claude-unknown", PRICES)


def test_answers_that_cost_nothing_are_as_long_as_any_once_the_prompt_is_paid() -> None:
    prompt = Prompt(name="p", system="", user="")
    model = PricedModel("claude-free", PRICES)
    of_prompt = model.worst_nusd(prompt, 0)
    assert model.worst_nusd(prompt, 1_000_000) == of_prompt
    assert model.affordable_tokens(prompt, of_prompt) >= 4_096
    assert model.affordable_tokens(prompt, of_prompt - 1) == 0
