"""The coordinator's own model calls (plan and report): each is noted before it is made, and its cost after it.

A call that may succeed later is repeated until its deadline, by the retry of its step.
"""

from __future__ import annotations

from typing import TypeVar

from aws_durable_execution_sdk_python.config import Duration, StepConfig
from aws_durable_execution_sdk_python.retries import RetryDecision, RetryStrategyConfig, create_retry_strategy
from pydantic import BaseModel

from infrafabric.backoff import Patience, throttle_delay_s
from infrafabric.models import Completion, Prompt, errors
from infrafabric.money import usd
from infrafabric.swarm.deps import CoordinatorDeps
from infrafabric.swarm.limits import LEAST_TOKENS, MOST_TOKENS
from infrafabric.swarm.shapes.model_call import ModelCall
from infrafabric.swarm.shapes.order import Order

T = TypeVar("T", bound=BaseModel)

PLAN, REPORT = "plan", "report"
_SHORTEST_TIMEOUT_S = 2.0
_PATIENCE = Patience(longest_s=60)


class LaterError(Exception):
    """Model call that may succeed in ``delay_s``: the step is retried then."""

    def __init__(self, error: errors.ModelError, delay_s: int) -> None:
        super().__init__(str(error))
        self.delay_s = delay_s


_OTHER_ERRORS = create_retry_strategy(
    RetryStrategyConfig(max_attempts=3, initial_delay=Duration(2), max_delay=Duration(30))
)


def _retry(error: Exception, attempts: int) -> RetryDecision:
    if isinstance(error, LaterError):
        return RetryDecision.retry(Duration(error.delay_s))
    return _OTHER_ERRORS(error, attempts)


STEP = StepConfig(retry_strategy=_retry)  # of a step with a model call


def raise_later(error: errors.ModelError, attempt: int, *, until_ms: int, deps: CoordinatorDeps) -> None:
    """Raise ``LaterError`` if the call may succeed before ``until_ms``; the delay grows with the step's attempts.

    Raises:
        LaterError
    """
    if not error.retryable:
        return
    delay_s = throttle_delay_s(
        attempt - 1,
        left_s=(until_ms - deps.now_ms()) / 1000,
        random_unit=deps.random_unit(),
        retry_after_s=error.retry_after_s,
        patience=_PATIENCE,
    )
    if delay_s is not None:
        deps.log.info("model call repeated later", why=error.slug, delay_s=delay_s, attempt=attempt)
        raise LaterError(error, max(1, delay_s))


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

    The answer's length is cut to what the room pays. An answer that was cut off is asked for once more with twice the
    length. The call times out at ``until_ms`` (Unix milliseconds).

    Raises:
        errors.ModelError
        OverBudgetError: the room does not pay an answer of useful length.
    """

    def once(max_tokens: int) -> Completion[T]:
        return _ask(
            order, name, prompt, output, max_tokens=max_tokens, room_nusd=room_nusd, until_ms=until_ms, deps=deps
        )

    try:
        return once(deps.max_tokens)
    except errors.CutOff as cut_off:
        longer = min(MOST_TOKENS, 2 * deps.max_tokens)
        if longer == deps.max_tokens:
            raise
        try:
            return once(longer)
        except OverBudgetError:
            raise cut_off from None


def _ask(
    order: Order,
    name: str,
    prompt: Prompt,
    output: type[T],
    *,
    max_tokens: int,
    room_nusd: int,
    until_ms: int,
    deps: CoordinatorDeps,
) -> Completion[T]:
    earlier = deps.store.calls(order.key, name)
    left_nusd = room_nusd - sum((call.spent_nusd or 0) + call.committed_nusd for call in earlier)
    max_tokens = min(max_tokens, deps.model.affordable_tokens(prompt, left_nusd))
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
