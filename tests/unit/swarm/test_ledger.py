"""A session's ledger: whatever answers claim, the budget is never exceeded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from infrafabric.swarm.ledger import Ledger, affordable

MONEY = st.integers(0, 1_000)
CLAIMS = st.integers(-(10**20), 10**20)


class LedgerMachine(RuleBasedStateMachine):
    """Attempts that are allowed, paid once or more often, or never answered, beside a model of the sums."""

    @initialize(budget=st.integers(0, 3_000))
    def begin(self, budget: int) -> None:
        self.ledger = Ledger(budget)
        self.open: dict[str, int] = {}
        self.paid = 0
        self.made = 0

    @rule(allowance=MONEY)
    def allow(self, allowance: int) -> None:
        name = f"a{self.made}"
        if allowance > self.ledger.free:
            with pytest.raises(ValueError, match=f"allowance {allowance} of {name} exceeds the free"):
                self.ledger.allow(name, allowance)
            return
        self.ledger.allow(name, allowance)
        self.open[name] = allowance
        self.made += 1

    @precondition(lambda self: self.made)
    @rule(data=st.data(), claim=CLAIMS)
    def pay(self, data: st.DataObject, claim: int) -> None:
        name = f"a{data.draw(st.integers(0, self.made - 1))}"  # also one that was paid before
        expected = max(0, min(claim, self.open.pop(name, 0)))
        assert self.ledger.pay(name, claim) == expected
        self.paid += expected

    @invariant()
    def the_budget_holds(self) -> None:
        ledger = self.ledger
        assert (ledger.spent, ledger.committed) == (self.paid, sum(self.open.values()))
        assert ledger.spent + ledger.committed + ledger.free == ledger.budget
        assert ledger.free >= 0


TestLedger = LedgerMachine.TestCase


@given(MONEY, CLAIMS)
def test_a_cost_above_the_allowance_counts_as_the_allowance(allowance: int, claim: int) -> None:
    ledger = Ledger(1_000)
    ledger.allow("a", allowance)
    assert ledger.pay("a", claim) == min(allowance, max(0, claim))


@given(CLAIMS, CLAIMS)
def test_an_attempt_that_is_paid_twice_counts_once(first: int, second: int) -> None:
    ledger = Ledger(1_000)
    ledger.allow("a", 100)
    paid = ledger.pay("a", first)
    assert ledger.pay("a", second) == 0
    assert (ledger.spent, ledger.committed) == (paid, 0)


def test_an_answer_to_an_attempt_that_was_not_allowed_costs_nothing() -> None:
    ledger = Ledger(1_000)
    assert ledger.pay("a", 500) == 0
    assert ledger.free == 1_000


def test_what_another_execution_committed_is_open_until_its_answer_is_believed() -> None:
    ledger = Ledger(1_000)
    ledger.book(spent=100, committed={"a": 300})
    assert (ledger.spent, ledger.committed, ledger.free) == (100, 300, 600)
    ledger.pay("a", 50)
    assert (ledger.spent, ledger.committed, ledger.free) == (150, 0, 850)


@given(st.lists(MONEY), st.integers(-10, 5_000))
def test_as_many_costs_are_affordable_as_the_money_pays_together(costs: list[int], free: int) -> None:
    count = affordable(costs, free)
    assert sum(costs[:count]) <= max(0, free)
    assert count == len(costs) or sum(costs[: count + 1]) > free
