"""The coordinator's own model calls (plan and report): each is noted before it is made, and its cost after it."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel

from infrafabric.models import Completion, Prompt, errors
from infrafabric.money import usd
from infrafabric.swarm.deps import CoordinatorDeps
from infrafabric.swarm.limits import LEAST_TOKENS, MAX_TOKENS
from infrafabric.swarm.shapes.model_call import ModelCall
from infrafabric.swarm.shapes.order import Order

T = TypeVar("T", bound=BaseModel)

PLAN, REPORT = "plan", "report"
_SHORTEST_TIMEOUT_S = 2.0


class OverBudgetError(Exception):
    """Model call that the free money does not pay."""


def totals(order: Order, name: str, deps: CoordinatorDeps) -> tuple[int, int]:
    """Return what the calls of this name have spent, and what calls of unknown cost may have spent, in nano-USD."""
    calls = deps.store.calls(order.key, name)
    return sum(call.spent_nusd or 0 for call in calls), sum(call.committed_nusd for call in calls)


def ask(
    order: Order, name: str, prompt: Prompt, output: type[T], *, room_nusd: int, until_ms: int, deps: CoordinatorDeps
) -> Completion[T]:
    """Ask the model for at most ``room_nusd``, earlier calls of the same name included.

    The answer's length is cut to what the room pays. The call times out at ``until_ms`` (Unix milliseconds).

    Raises:
        errors.ModelError
        OverBudgetError: the room does not pay an answer of useful length.
    """
    earlier = deps.store.calls(order.key, name)
    left_nusd = room_nusd - sum((call.spent_nusd or 0) + call.committed_nusd for call in earlier)
    max_tokens = min(MAX_TOKENS, deps.model.affordable_tokens(prompt, left_nusd))
    if max_tokens < LEAST_TOKENS:
        raise OverBudgetError(
            f"the {name} may cost {usd(deps.model.worst_nusd(prompt, LEAST_TOKENS)):.6f} USD and "
            f"{usd(max(0, left_nusd)):.6f} USD of the budget of {usd(order.budget_nusd):.6f} USD are free: "
            "start the session again with a larger budget_usd"
        )
    reserved_nusd = deps.model.worst_nusd(prompt, max_tokens)
    call = ModelCall(name=name, number=len(earlier), reserved_nusd=reserved_nusd)
    deps.store.put_call(order.key, call)
    spent_nusd = reserved_nusd  # while the cost of the call is unknown
    try:
        timeout_s = max(_SHORTEST_TIMEOUT_S, (until_ms - deps.now_ms()) / 1000)
        completion = deps.model.ask(prompt, output, max_tokens=max_tokens, timeout_s=timeout_s)
        spent_nusd = deps.model.cost_nusd(completion.usage)
    except errors.ModelError as error:
        if error.usage is not None:
            spent_nusd = deps.model.cost_nusd(error.usage)
        elif error.billed is not None:
            spent_nusd = 0
        raise
    finally:
        deps.store.put_call(order.key, call.model_copy(update={"spent_nusd": spent_nusd}))
        deps.measure({"CostUsd": usd(spent_nusd)})
    return completion
