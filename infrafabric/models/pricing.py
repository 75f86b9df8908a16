"""Cost of calls of one model, without the model's client."""

from __future__ import annotations

import json
import unicodedata

from infrafabric.models.prices import Prices
from infrafabric.models.prompts import Prompt
from infrafabric.models.usage import Usage

SCHEMA_BYTES = 1_024  # largest schema of an answer
_HIDDEN_TOKENS = 1_500  # tokens that the API adds for turns and structured output; a generous bound


class PricedModel:
    """Model id with its price."""

    def __init__(self, model_id: str, prices: Prices) -> None:
        """Check that the model has a price.

        Raises:
            BadPricesError: the model has no price.
        """
        prices.of(model_id)
        self._priced_as, self._prices = model_id, prices

    def cost_nusd(self, usage: Usage) -> int:
        """Return the cost of ``usage`` in nano-USD."""
        return self._prices.cost_nusd(self._priced_as, usage)

    def worst_nusd(self, prompt: Prompt, max_tokens: int) -> int:
        """Return an upper bound of a call's cost in nano-USD.

        A token covers at least one byte, so the bytes sent bound the tokens billed; a constant bounds the tokens that
        the API adds.
        """
        return self._prices.worst_nusd(self._priced_as, _bound(prompt), max_tokens)

    def affordable_tokens(self, prompt: Prompt, nusd: int) -> int:
        """Return the most ``max_tokens`` with which a call costs at most ``nusd``; 0 if not even the prompt is paid."""
        return self._prices.affordable_tokens(self._priced_as, _bound(prompt), nusd)


def _bound(prompt: Prompt) -> int:
    """Return an upper bound of a prompt's tokens; a tokenizer may normalize first, and some characters grow."""
    sent = json.dumps([prompt.system, prompt.user], ensure_ascii=False)
    longest = max(len(text.encode()) for text in (sent, unicodedata.normalize("NFKC", sent)))
    return longest + SCHEMA_BYTES + _HIDDEN_TOKENS
