"""The coordinator's own model calls: the money is set aside first, and settled after."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel

from infrafabric.models import Answer, Prompt, errors
from infrafabric.swarm.session import Order
from infrafabric.swarm.world import CoordinatorDeps

T = TypeVar("T", bound=BaseModel)

MAX_TOKENS = 4096
_LEAST_CALL_S = 2.0


def ask(order: Order, prompt: Prompt, wanted: type[T], *, until_ms: int, deps: CoordinatorDeps) -> Answer[T]:
    """Ask within the session's budget, and until ``until_ms``.

    Raises:
        errors.ModelError, OverBudgetError, SessionOverError
    """
    reserved = deps.model.worst_nusd(prompt, MAX_TOKENS)
    deps.store.reserve(order.session_id, reserved, budget_nusd=order.budget_nusd)
    spent = reserved  # when nobody can know what the call did cost
    try:
        left_s = (until_ms - deps.now_ms()) / 1000
        answer = deps.model.ask(prompt, wanted, max_tokens=MAX_TOKENS, timeout_s=max(_LEAST_CALL_S, left_s))
        spent = deps.model.cost_nusd(answer.usage)
    except errors.ModelError as error:
        if error.usage is not None:
            spent = deps.model.cost_nusd(error.usage)
        elif error.billed is not None:
            spent = 0
        raise
    finally:
        deps.store.settle(order.session_id, reserved_nusd=reserved, spent_nusd=spent)
    return answer
