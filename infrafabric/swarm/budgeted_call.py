"""The coordinator's own model calls: money is reserved before the call and settled after it."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel

from infrafabric.models import Completion, Prompt, errors
from infrafabric.money import usd
from infrafabric.swarm.deps import CoordinatorDeps
from infrafabric.swarm.limits import MAX_TOKENS
from infrafabric.swarm.shapes.order import Order

T = TypeVar("T", bound=BaseModel)

_SHORTEST_TIMEOUT_S = 2.0


def ask_within_budget(
    order: Order, prompt: Prompt, output: type[T], *, until_ms: int, deps: CoordinatorDeps
) -> Completion[T]:
    """Ask the model within the session's budget; the call times out at ``until_ms`` (Unix milliseconds).

    Raises:
        errors.ModelError, OverBudgetError, SessionOverError
    """
    reserved_nusd = deps.model.worst_nusd(prompt, MAX_TOKENS)
    deps.store.reserve(order.session_id, reserved_nusd, budget_nusd=order.budget_nusd)
    spent_nusd = reserved_nusd  # while the cost of the call is unknown
    try:
        timeout_s = max(_SHORTEST_TIMEOUT_S, (until_ms - deps.now_ms()) / 1000)
        completion = deps.model.ask(prompt, output, max_tokens=MAX_TOKENS, timeout_s=timeout_s)
        spent_nusd = deps.model.cost_nusd(completion.usage)
    except errors.ModelError as error:
        if error.usage is not None:
            spent_nusd = deps.model.cost_nusd(error.usage)
        elif error.billed is not None:
            spent_nusd = 0
        raise
    finally:
        deps.store.settle(order.session_id, reserved_nusd=reserved_nusd, spent_nusd=spent_nusd)
        deps.measure({"CostUsd": usd(spent_nusd)})
    return completion
