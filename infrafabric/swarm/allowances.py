"""Allowances: what one attempt at a task may spend, which is what one model call costs at worst."""

from __future__ import annotations

from functools import lru_cache

from infrafabric.models import prompts
from infrafabric.swarm.deps import ModelPrices
from infrafabric.swarm.limits import LEAST_TOKENS

_CACHED = 4_096  # a replay of a large session asks for the same allowances again


class Allowances:
    """Allowances at the prices of the model that agents ask. Amounts are nano-USD."""

    def __init__(self, prices: ModelPrices) -> None:
        self._prices = prices
        self._worst = lru_cache(_CACHED)(self._worst_of)

    def full(self, *, agent: str, session_id: str, goal: str, text: str, max_tokens: int) -> int:
        """Return the cost at worst of a call with the longest answer."""
        return self._worst(agent, session_id, goal, text, max_tokens)

    def within(self, room: int, *, agent: str, session_id: str, goal: str, text: str, max_tokens: int) -> int | None:
        """Return the cost at worst of a call whose answer is as long as ``room`` pays, or None if that is too short."""
        prompt = prompts.agent(agent=agent, session_id=session_id, goal=goal, task=text)
        tokens = min(max_tokens, self._prices.affordable_tokens(prompt, room))
        return None if tokens < LEAST_TOKENS else self._prices.worst_nusd(prompt, tokens)

    def _worst_of(self, agent: str, session_id: str, goal: str, text: str, max_tokens: int) -> int:
        prompt = prompts.agent(agent=agent, session_id=session_id, goal=goal, task=text)
        return self._prices.worst_nusd(prompt, max_tokens)
