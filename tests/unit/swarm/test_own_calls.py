"""The coordinator's own model calls: noted before they are made, and never above the room for their name."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infrafabric.models import Completion, Prompt, errors, prompts
from infrafabric.models.usage import Usage
from infrafabric.money import usd
from infrafabric.swarm import own_calls
from infrafabric.swarm.limits import LEAST_TOKENS, MAX_TOKENS
from infrafabric.swarm.shapes.model_call import ModelCall
from tests.unit.swarm.coordination import COST, WORST, World, silent
from tests.unit.swarm.orders import an_order

PROMPT = Prompt(name="report/2", system="", user="findings")
LEAST = -(-WORST * LEAST_TOKENS // MAX_TOKENS)
USAGE = Usage(input_tokens=1, output_tokens=1)


def ask(world: World, room_nusd: int, name: str = own_calls.REPORT, **changes: Any) -> Completion[Any]:
    arguments: dict[str, Any] = {"room_nusd": room_nusd, "until_ms": world.now_ms + 60_000, **changes}
    return own_calls.ask(an_order(), name, PROMPT, prompts.report_answer(), deps=world.deps(0), **arguments)


def note(world: World, name: str, *costs: int | None) -> None:
    """Note earlier calls; a cost of None was never written, since the function died."""
    for number, cost in enumerate(costs):
        call = ModelCall(name=name, number=number, reserved_nusd=WORST, spent_nusd=cost)
        world.calls[name, number] = call


def test_a_call_is_noted_with_its_worst_cost_before_it_is_made_and_with_its_cost_after_it() -> None:
    seen: list[ModelCall] = []

    class Watching(World):
        def ask(self, prompt: Prompt, output: Any) -> Any:
            seen.extend(self.calls.values())
            return super().ask(prompt, output)

    world = Watching(silent)
    assert ask(world, 1_000).value.summary == "all is known"
    assert seen == [ModelCall(name="report", number=0, reserved_nusd=WORST)]
    assert list(world.calls.values()) == [ModelCall(name="report", number=0, reserved_nusd=WORST, spent_nusd=COST)]
    assert world.measured == [{"CostUsd": usd(COST)}]


@pytest.mark.parametrize(
    ("error", "spent"),
    [
        (errors.TimedOut("no answer"), WORST),
        (errors.Unreachable("it broke", cost_unknown=True), WORST),
        (errors.RefusedToAnswer("declined", usage=USAGE), COST),
        (errors.Throttled("busy"), 0),
        (RuntimeError("a bug"), WORST),
    ],
)
def test_a_failed_call_counts_with_its_cost_or_in_full_if_nobody_knows_it(error: Exception, spent: int) -> None:
    world = World(silent, summaries=[error])
    with pytest.raises(type(error)):
        ask(world, 1_000)
    assert own_calls.totals(an_order(), own_calls.REPORT, world.deps(0)) == (spent, 0)


def test_a_call_whose_cost_was_never_written_counts_as_committed() -> None:
    world = World(silent)
    note(world, own_calls.PLAN, 3, None, 4)
    note(world, own_calls.REPORT, 5)
    assert own_calls.totals(an_order(), own_calls.PLAN, world.deps(0)) == (7, WORST)
    assert own_calls.totals(an_order(), own_calls.REPORT, world.deps(0)) == (5, 0)


@given(st.lists(st.none() | st.integers(0, WORST), max_size=4), st.integers(0, 5 * WORST))
def test_all_calls_of_a_name_together_cost_no_more_than_their_room(costs: list[int | None], room: int) -> None:
    world = World(silent)
    note(world, own_calls.REPORT, *costs)
    note(world, own_calls.PLAN, WORST, WORST)  # has a room of its own
    before = sum(WORST if cost is None else cost for cost in costs)
    left = room - before
    if left < LEAST:
        with pytest.raises(own_calls.OverBudgetError, match="the report may cost"):
            ask(world, room)
        assert (world.prompts, len(world.calls)) == ([], len(costs) + 2), "nothing was asked, nothing noted"
        return
    ask(world, room)
    made = world.calls[own_calls.REPORT, len(costs)]
    assert made.reserved_nusd <= left
    assert world.lengths == [min(MAX_TOKENS, left * MAX_TOKENS // WORST)], "as long as the money pays"


def test_what_is_said_of_a_small_budget_names_cost_room_and_remedy() -> None:
    with pytest.raises(own_calls.OverBudgetError) as refused:
        ask(World(silent), -5)
    assert str(refused.value) == (
        "the report may cost 0.000000 USD and 0.000000 USD of the budget of 1.000000 USD are free: "
        "start the session again with a larger budget_usd"
    )


@pytest.mark.parametrize(("left_ms", "timeout_s"), [(60_000, 60.0), (500, 2.0), (-1, 2.0)])
def test_a_call_ends_at_its_deadline_and_has_two_seconds_at_least(left_ms: int, timeout_s: float) -> None:
    world = World(silent)
    ask(world, 1_000, until_ms=world.now_ms + left_ms)
    assert world.timeouts == [timeout_s]
