"""Prices: exact, rounded up, and never more than what was set aside."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infrafabric.models.prices import BadPricesError, Prices
from infrafabric.models.usage import Usage

HAIKU, SONNET = "claude-haiku-5-5", "claude-sonnet-5-5"
ROW = {"input": 1, "output": 5, "cache_read": 0.1, "cache_write": 1.25}
PRICES = Prices.load(json.dumps({"claude-odd": {**ROW, "cache_write": 0.3125, "input": 0.000001}}))
MODELS = st.sampled_from([HAIKU, SONNET, f"eu.anthropic.{HAIKU}-v1:0", f"global.anthropic.{SONNET}", "claude-odd"])
TOKENS = st.one_of(st.integers(0, 500), st.integers(99_990, 100_010), st.integers(0, 300_000))  # edges: 0 and 100,000
MILLION = 1_000_000


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    return Usage(
        input_tokens=draw(TOKENS),
        output_tokens=draw(TOKENS),
        cache_read_tokens=draw(TOKENS),
        cache_write_tokens=draw(TOKENS),
    )


@given(MODELS, usages(), st.integers(0, 1000), st.integers(0, 1000))
def test_no_call_costs_more_than_the_worst_that_was_set_aside(model: str, used: Usage, more: int, spare: int) -> None:
    worst = PRICES.worst_nusd(model, used.prompt + more, used.output_tokens + spare)
    assert PRICES.cost_nusd(model, used) <= worst


@given(MODELS, usages(), st.sampled_from(list(Usage.__dataclass_fields__)), st.integers(0, 2000))
def test_using_more_never_costs_less(model: str, used: Usage, name: str, more: int) -> None:
    fuller = Usage(**{**vars(used), name: getattr(used, name) + more})
    assert PRICES.cost_nusd(model, fuller) >= PRICES.cost_nusd(model, used)


@given(MODELS, usages())
def test_a_cost_is_a_whole_number_of_nano_usd(model: str, used: Usage) -> None:
    cost = PRICES.cost_nusd(model, used)
    assert isinstance(cost, int)
    assert cost >= (1 if used.total else 0)


@pytest.mark.parametrize(
    ("model", "usage", "usd"),
    [
        (HAIKU, Usage(input_tokens=MILLION // 10, output_tokens=MILLION), 0.01 + 0.50),
        (HAIKU, Usage(input_tokens=MILLION, output_tokens=MILLION), 0.50 + 2.50),  # beyond 100,000 tokens of prompt
        (HAIKU, Usage(input_tokens=0, output_tokens=0, cache_read_tokens=MILLION // 10), 0.001),
        (HAIKU, Usage(input_tokens=0, output_tokens=0, cache_write_tokens=MILLION // 10), 0.0125),
        (SONNET, Usage(input_tokens=MILLION, output_tokens=MILLION), 2 + 10),
        (SONNET, Usage(input_tokens=0, output_tokens=0, cache_read_tokens=MILLION, cache_write_tokens=MILLION), 2.7),
    ],
)
def test_the_table_has_the_prices_of_the_model_pages(model: str, usage: Usage, usd: float) -> None:
    assert PRICES.cost_nusd(model, usage) == round(usd * 1e9)


def test_a_long_prompt_costs_more_from_the_first_token_beyond_the_limit() -> None:
    short, long = (PRICES.cost_nusd(HAIKU, Usage(input_tokens=n, output_tokens=0)) for n in (100_000, 100_001))
    assert (short, long) == (100_000 * 100, 100_001 * 500)


def test_a_fraction_of_a_nano_usd_is_rounded_up() -> None:
    assert PRICES.cost_nusd("claude-odd", Usage(input_tokens=1, output_tokens=0)) == 1
    assert PRICES.cost_nusd("claude-odd", Usage(input_tokens=0, output_tokens=0, cache_write_tokens=2)) == 625


@pytest.mark.parametrize("geography", ["us", "eu", "apac", "us-gov", "jp"])
def test_a_bedrock_profile_of_one_geography_costs_the_regional_premium(geography: str) -> None:
    used = Usage(input_tokens=1000, output_tokens=1000)
    at_home = PRICES.cost_nusd(HAIKU, used)
    assert PRICES.cost_nusd(f"{geography}.anthropic.{HAIKU}-20260801-v1:0", used) * 10 == at_home * 11


def test_bedrock_in_one_region_costs_the_premium_and_globally_none() -> None:
    used = Usage(input_tokens=1000, output_tokens=1000)
    at_home = PRICES.cost_nusd(SONNET, used)
    assert PRICES.cost_nusd(f"anthropic.{SONNET}-v1:0", used) * 10 == at_home * 11
    assert PRICES.cost_nusd(f"global.anthropic.{SONNET}-v1:0", used) == at_home


def test_a_dated_snapshot_costs_what_its_model_costs() -> None:
    assert PRICES.of(f"{HAIKU}-20260801") == PRICES.of(HAIKU)


@pytest.mark.parametrize(
    "model", ["gpt-9", "claude-haiku-5", "xanthropic.claude-haiku-5-5", "meta.claude-haiku-5-5", ""]
)
def test_a_model_without_a_price_is_refused_with_what_to_do(model: str) -> None:
    with pytest.raises(BadPricesError) as refused:
        PRICES.of(model)
    assert "PRICE_TABLE" in str(refused.value)
    assert HAIKU in str(refused.value), "the known ones are named"


def test_an_override_replaces_a_row_and_leaves_the_others() -> None:
    prices = Prices.load(json.dumps({HAIKU: ROW}))
    assert prices.cost_nusd(HAIKU, Usage(input_tokens=MILLION, output_tokens=0)) == 10**9
    assert prices.of(SONNET) == PRICES.of(SONNET)


def test_an_override_for_an_exact_bedrock_id_is_what_it_costs() -> None:
    model = f"eu.anthropic.{HAIKU}-v1:0"
    prices = Prices.load(json.dumps({model: ROW}))
    assert prices.cost_nusd(model, Usage(input_tokens=MILLION, output_tokens=0)) == 10**9, "without the premium"


def test_an_override_can_say_what_long_prompts_cost() -> None:
    prices = Prices.load(json.dumps({"m": {**ROW, "long_from": 10, "long_input": 2, "long_output": 6}}))
    assert prices.cost_nusd("m", Usage(input_tokens=10, output_tokens=1)) == 10 * 1000 + 5000
    assert prices.cost_nusd("m", Usage(input_tokens=11, output_tokens=1)) == 11 * 2000 + 6000
    cached = Usage(input_tokens=0, output_tokens=0, cache_read_tokens=100)
    assert prices.cost_nusd("m", cached) == 100 * 200, "the cache's prices follow the input's"


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("{", "it is not JSON"),
        ("[1]", "it is not a JSON object"),
        ('{"m": 3}', "'m' is not an object"),
        (json.dumps({"m": {"input": 1}}), "'m': cache_read is missing, cache_write is missing, output is missing"),
        (json.dumps({"m": {**ROW, "inptu": 1}}), "'m': inptu is unknown"),
        (json.dumps({"m": {**ROW, "input": 0}}), "'m': input = 0"),
        (json.dumps({"m": {**ROW, "output": -1}}), "'m': output = -1"),
        (json.dumps({"m": {**ROW, "output": "5"}}), "'m': output = 5"),
        (json.dumps({"m": {**ROW, "output": True}}), "'m': output = True"),
        (json.dumps({"m": {**ROW, "output": 0.0000001}}), "at most 6 decimals"),
        ('{"m": {"input": NaN, "output": 1, "cache_read": 1, "cache_write": 1}}', "'m': input = nan"),
        ('{"m": {"input": 1e99999999, "output": 1, "cache_read": 1, "cache_write": 1}}', "'m': input = 1E+99999999"),
        (json.dumps({"m": {**ROW, "long_from": 9}}), "'m': long_input is missing, long_output is missing"),
        (json.dumps({"m": {**ROW, "long_from": 1.5, "long_input": 1, "long_output": 5}}), "long_from = 1.5"),
        (json.dumps({"m": {**ROW, "long_from": 9, "long_input": 0.5, "long_output": 5}}), "at least input and output"),
    ],
)
def test_a_bad_override_is_one_line_that_names_the_row_and_what_is_allowed(override: str, said: Any) -> None:
    with pytest.raises(BadPricesError) as refused:
        Prices.load(override)
    text = str(refused.value)
    assert text.startswith("PRICE_TABLE cannot be used: ")
    assert said in text
    assert "USD per million tokens" in text
    assert "\n" not in text
