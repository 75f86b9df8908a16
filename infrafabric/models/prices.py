"""What tokens cost. One table, with its date; nano-USD, because one cached Haiku token costs 10 of them.

Source: the model pages of platform.claude.com, read in November 2026. An override (variable ``PRICE_TABLE``) is JSON,
``{"<model id>": {"input": 0.1, "output": 0.5, "cache_read": 0.01, "cache_write": 0.125}}`` in USD per million tokens.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Self

from infrafabric.models.usage import Usage

AS_OF = "2026-11"
_REGION = re.compile(r"^(?:[a-z]{2,6}\.)?anthropic\.")  # Bedrock: anthropic.<model>, eu.anthropic.<model>
_VERSION = re.compile(r"-v\d+(:\d+)?$")


class BadPricesError(ValueError):
    """A price table that cannot be used, or a model that it lacks. One line."""


@dataclass(frozen=True, kw_only=True)
class Price:
    """nano-USD a token. A prompt of more than ``long_from`` tokens costs ``long_input`` and ``long_output`` instead."""

    input: int
    output: int
    cache_read: int
    cache_write: int
    long_from: int | None = None
    long_input: int = 0
    long_output: int = 0


_TABLE = {
    # 0.10 / 0.50 USD a million up to 100,000 tokens of prompt, 0.50 / 2.50 above
    "claude-haiku-5-5": Price(
        input=100, output=500, cache_read=10, cache_write=125, long_from=100_000, long_input=500, long_output=2500
    ),
    "claude-sonnet-5-5": Price(input=2000, output=10_000, cache_read=200, cache_write=2500),
}


@dataclass(frozen=True)
class Prices:
    """The table in force."""

    table: Mapping[str, Price]

    @classmethod
    def load(cls, override: str | None = None) -> Self:
        """The built-in table with ``override`` (JSON) laid over it.

        Raises:
            BadPricesError: the override is no such JSON.
        """
        return cls({**_TABLE, **(_read(override) if override else {})})

    def of(self, model_id: str) -> Price:
        """Raises ``BadPricesError`` for a model without a price: its budget could not be kept."""
        bare = _VERSION.sub("", _REGION.sub("", model_id))
        price = self.table.get(model_id) or self.table.get(bare)
        if price is None:
            known = ", ".join(sorted(self.table))
            raise BadPricesError(
                f"model {model_id!r} has no price, so no budget could be kept: known are {known}; "
                "add it with PRICE_TABLE (JSON, USD per million tokens)"
            )
        return price

    def cost_nusd(self, model_id: str, usage: Usage) -> int:
        """What ``usage`` costs."""
        price = self.of(model_id)
        is_long = price.long_from is not None and usage.prompt > price.long_from
        rate_in, rate_out = (price.long_input, price.long_output) if is_long else (price.input, price.output)
        scale = rate_in / price.input if is_long else 1  # the cache's prices follow the input's
        cached = usage.cache_read_tokens * price.cache_read + usage.cache_write_tokens * price.cache_write
        return usage.input_tokens * rate_in + usage.output_tokens * rate_out + round(cached * scale)

    def worst_nusd(self, model_id: str, input_tokens: int, max_tokens: int) -> int:
        """The most that a call with so many tokens can cost, whatever of it is cached."""
        used = (
            Usage(input_tokens=input_tokens, output_tokens=max_tokens),
            Usage(input_tokens=0, output_tokens=max_tokens, cache_write_tokens=input_tokens),
        )
        return max(self.cost_nusd(model_id, usage) for usage in used)


def _read(override: str) -> dict[str, Price]:
    try:
        rows = json.loads(override, parse_float=Decimal, parse_int=Decimal)
        return {str(model): _price(row) for model, row in rows.items()}
    except (ValueError, AttributeError, KeyError, TypeError, InvalidOperation) as error:
        raise BadPricesError(
            f"PRICE_TABLE cannot be used ({type(error).__name__}: {error}): it is JSON of model id to input, output, "
            "cache_read and cache_write in USD per million tokens"
        ) from None


def _price(row: Mapping[str, Any]) -> Price:
    nano = {name: row[name] * 1000 for name in ("input", "output", "cache_read", "cache_write")}
    for name, value in nano.items():
        if not isinstance(value, Decimal) or value < 0 or value != value.to_integral_value():
            raise ValueError(f"{name} = {row[name]}: at least 0, in steps of 0.001")
    if nano["input"] == 0:
        raise ValueError("input = 0: a model without a price cannot be kept within a budget")
    return Price(**{name: int(value) for name, value in nano.items()})
