"""Prices of tokens: one table, with its date.

Money is nano-USD in whole numbers, rounded up; rates are pico-USD per token, because a cached Haiku token costs 10,000
and a token written to Sonnet's cache 2,500,000.

Source: the model pages of platform.claude.com, read in November 2026.

An override (variable ``PRICE_TABLE``) is JSON of model id to USD per million tokens: ``input``, ``output``,
``cache_read`` and ``cache_write``, and for a model with a surcharge on long prompts also ``long_from`` (tokens of the
prompt), ``long_input`` and ``long_output``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from decimal import Decimal
from typing import Any, NoReturn, Self

from infrafabric.models.usage import Usage

AS_OF = "2026-11"
# Bedrock: anthropic.<model> in one region, eu.anthropic.<model> in one geography, global.anthropic.<model> anywhere
_BEDROCK = re.compile(r"^(?:(?P<geography>[a-z]+(?:-[a-z]+)*)\.)?anthropic\.(?P<model>.+)$")
_VERSION = re.compile(r"(?:-\d{8})?(?:-v\d+(?::\d+)?)?$")  # a dated snapshot costs the same as its model
_PREMIUM_PERCENT = 10  # Bedrock, wherever a region or a geography is guaranteed (Anthropic's pricing page)
_PICO = 1_000_000  # pico-USD per token in one USD per million tokens
_DEAREST_USD = 10_000
_LONGEST_PROMPT = 100_000_000
_ANY_LENGTH = 100_000_000  # tokens of an answer that costs nothing
_NAMES = ("input", "output", "cache_read", "cache_write")
_LONG_NAMES = ("long_from", "long_input", "long_output")


class BadPricesError(ValueError):
    """Price table that cannot be used, or a model without a price. One line."""


@dataclass(frozen=True)
class Rates:
    """Rates in pico-USD per token."""

    input: int
    output: int
    cache_read: int
    cache_write: int

    def times(self, above: int, below: int) -> Rates:
        """Return the rates times ``above / below``, rounded up."""
        return Rates(*(-(-rate * above // below) for rate in astuple(self)))


@dataclass(frozen=True, kw_only=True)
class Price:
    """Price of a model; ``long`` applies to prompts of more than ``long_from`` tokens."""

    rates: Rates
    long_from: int | None = None
    long: Rates = Rates(0, 0, 0, 0)

    def for_prompt(self, tokens: int) -> Rates:
        """Return the rates for a prompt of this many tokens."""
        return self.long if self.long_from is not None and tokens > self.long_from else self.rates

    def times(self, above: int, below: int) -> Price:
        """Return the price times ``above / below``, rounded up."""
        return Price(rates=self.rates.times(above, below), long_from=self.long_from, long=self.long.times(above, below))


_TABLE = {
    # 0.10 / 0.50 USD a million up to 100,000 tokens of prompt, 0.50 / 2.50 above; the cache's prices follow the input's
    "claude-haiku-5-5": Price(
        rates=Rates(100_000, 500_000, 10_000, 125_000),
        long_from=100_000,
        long=Rates(500_000, 2_500_000, 50_000, 625_000),
    ),
    "claude-sonnet-5-5": Price(rates=Rates(2_000_000, 10_000_000, 200_000, 2_500_000)),
}


@dataclass(frozen=True)
class Prices:
    """Price table in force."""

    table: Mapping[str, Price]

    @classmethod
    def load(cls, override: str | None = None) -> Self:
        """Return the built-in table, updated by ``override`` (JSON).

        Raises:
            BadPricesError: the override is not such JSON.
        """
        return cls({**_TABLE, **(_read(override) if override else {})})

    def of(self, model_id: str) -> Price:
        """Return the price of a model id as Anthropic or Bedrock spell it.

        An id in the table has the table's price. Other Bedrock ids have the price of their model, and outside the
        global profiles the regional premium on top.

        Raises:
            BadPricesError: the model has no price, so no budget could be kept.
        """
        if model_id in self.table:
            return self.table[model_id]
        on_bedrock = _BEDROCK.match(model_id)
        price = self.table.get(_VERSION.sub("", on_bedrock["model"] if on_bedrock else model_id, count=1))
        if price is None:
            models = ", ".join(sorted(self.table))
            raise BadPricesError(
                f"model {model_id!r} has no price, so no budget could be kept: priced are {models}; "
                "add it with PRICE_TABLE (JSON, USD per million tokens)"
            )
        regional = on_bedrock and on_bedrock["geography"] != "global"
        return price.times(100 + _PREMIUM_PERCENT, 100) if regional else price

    def cost_nusd(self, model_id: str, usage: Usage) -> int:
        """Return the cost of ``usage`` in nano-USD, rounded up."""
        rates = self.of(model_id).for_prompt(usage.prompt)
        pico = usage.input_tokens * rates.input + usage.output_tokens * rates.output
        pico += usage.cache_read_tokens * rates.cache_read + usage.cache_write_tokens * rates.cache_write
        return -(-pico // 1000)

    def worst_nusd(self, model_id: str, input_tokens: int, max_tokens: int) -> int:
        """Return an upper bound of a call's cost in nano-USD, for any split between cached and uncached tokens."""
        rates = self.of(model_id).for_prompt(input_tokens)
        return -(-(_worst_of_prompt(rates, input_tokens) + max_tokens * rates.output) // 1000)

    def affordable_tokens(self, model_id: str, input_tokens: int, nusd: int) -> int:
        """Return the most ``max_tokens`` with which ``worst_nusd`` is at most ``nusd``; 0 if none is."""
        rates = self.of(model_id).for_prompt(input_tokens)
        left_pico = nusd * 1000 - _worst_of_prompt(rates, input_tokens)
        if left_pico < 0:
            return 0
        return left_pico // rates.output if rates.output else _ANY_LENGTH


def _worst_of_prompt(rates: Rates, input_tokens: int) -> int:
    """Return an upper bound of a prompt's cost in pico-USD."""
    return input_tokens * max(rates.input, rates.cache_read, rates.cache_write)


def _read(override: str) -> dict[str, Price]:
    try:
        rows = json.loads(override, parse_float=Decimal, parse_int=Decimal)
    except ValueError as error:
        _bad(f"it is not JSON ({error})")
    if not isinstance(rows, dict):
        _bad("it is not a JSON object")
    return {model: _price(model, row) for model, row in rows.items()}


def _price(model: str, row: Any) -> Price:
    if not isinstance(row, dict):
        _bad(f"{model!r} is not an object")
    has_long = any(name in row for name in _LONG_NAMES)
    required = {*_NAMES, *(_LONG_NAMES if has_long else ())}
    wrong = [f"{name} is missing" if name in required else f"{name} is unknown" for name in sorted(required ^ set(row))]
    if wrong:
        _bad(f"{model!r}: {', '.join(wrong)}")
    rates_by_name = {name: _pico(model, name, row[name]) for name in row if name != "long_from"}
    if rates_by_name["input"] == 0:
        _bad(f"{model!r}: input = 0: a model that costs nothing could not be kept within a budget")
    rates = Rates(*(rates_by_name[name] for name in _NAMES))
    if not has_long:
        return Price(rates=rates)
    long_from, long_input, long_output = row["long_from"], rates_by_name["long_input"], rates_by_name["long_output"]
    if not isinstance(long_from, Decimal) or not 0 < long_from <= _LONGEST_PROMPT or long_from % 1:
        _bad(f"{model!r}: long_from = {long_from}: a whole number of tokens, 1 to {_LONGEST_PROMPT:,}")
    if long_input < rates.input or long_output < rates.output:
        _bad(f"{model!r}: long_input and long_output: at least input and output")
    cache = rates.times(long_input, rates.input)  # the cache's prices follow the input's
    long = Rates(long_input, long_output, cache.cache_read, cache.cache_write)
    return Price(rates=rates, long_from=int(long_from), long=long)


def _pico(model: str, name: str, value: Any) -> int:
    """Return USD per million tokens as pico-USD per token."""
    if not isinstance(value, Decimal) or not 0 <= value <= _DEAREST_USD or value * _PICO % 1:
        _bad(f"{model!r}: {name} = {value}: a number from 0 to {_DEAREST_USD}, with at most 6 decimals")
    return int(value * _PICO)


def _bad(problem: str) -> NoReturn:
    allowed = f"it is JSON of model id to {', '.join(_NAMES)} in USD per million tokens"
    raise BadPricesError(f"PRICE_TABLE cannot be used: {problem}; {allowed}")
