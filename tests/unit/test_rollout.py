"""A new version takes over by steps that only grow, each watched, and goes back when it fails."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from hypothesis import given
from hypothesis import strategies as st

from infrafabric.operators.rollout import (
    ALL,
    AliasState,
    RolloutDeps,
    RolloutPlan,
    Verdict,
    judge,
    readers_first,
    roll_back,
    roll_out,
)

PLAN = RolloutPlan(step_percent=10, linear=False, interval_s=300, error_percent=5)
plans = st.builds(
    RolloutPlan,
    step_percent=st.integers(1, 99),
    linear=st.booleans(),
    interval_s=st.just(60.0),
    error_percent=st.floats(0, 50),
)


@dataclass
class World:
    """An alias, and what was done to it."""

    standing: AliasState = field(default_factory=lambda: AliasState(function="f", stable="7", newest="8", percent=0))
    fails_at: int | None = None  # the weight from which on the new version fails
    done: list[tuple[str, int]] = field(default_factory=list)

    def weigh(self, it: AliasState, percent: int) -> None:
        self.done.append(("weigh", percent))
        self.standing = replace(it, percent=percent % ALL, stable=it.newest if percent == ALL else it.stable)

    def errors(self, it: AliasState, _: float) -> tuple[float, float]:
        self.done.append(("look", it.percent))
        return (100.0 if self.fails_at is not None and it.percent >= self.fails_at else 0.0), 100.0

    @property
    def deps(self) -> RolloutDeps:
        return RolloutDeps(
            state=lambda _: self.standing,
            set_weight=self.weigh,
            errors=self.errors,
            wait=lambda _: self.done.append(("wait", 0)),
            report=lambda *_: None,
        )

    @property
    def weights(self) -> list[int]:
        return [percent for what, percent in self.done if what == "weigh"]


@given(plans, st.integers(0, 99))
def test_a_weight_only_grows_and_ends_at_all(plan, percent):
    for _ in range(ALL + 1):
        following = plan.after(percent)
        assert following > percent
        percent = following
        if percent == ALL:
            return
    raise AssertionError("it never ended")


@given(plans, st.integers(0, 98))
def test_each_step_is_waited_for_and_looked_at_before_the_next(plan, already):
    world = World(AliasState(function="f", stable="7", newest="8", percent=already))
    assert roll_out("f", plan, world.deps)
    assert world.standing.stable == "8"
    assert world.weights == sorted(set(world.weights))
    assert world.weights[-1] == ALL
    for before, after in zip(world.done, world.done[1:], strict=False):
        if before[0] == "weigh":
            assert after == ("wait", 0)
        if after[0] == "weigh" and after[1] != world.weights[0]:
            assert before[0] == "look", "a weight was raised without a look"


@given(plans, st.integers(1, 99))
def test_a_version_that_fails_is_taken_back_and_the_old_one_kept(plan, fails_at):
    world = World(fails_at=fails_at)
    reached = roll_out("f", plan, world.deps)
    seen_failing = any(what == "look" and percent >= fails_at for what, percent in world.done)
    assert reached is not seen_failing
    if not reached:
        assert world.weights[-1] == 0
        assert world.standing.stable == "7"


def test_a_canary_takes_one_step_and_then_all():
    world = World()
    assert roll_out("f", PLAN, world.deps)
    assert world.weights == [10, 100]


def test_a_linear_release_goes_by_equal_steps():
    world = World()
    assert roll_out("f", replace(PLAN, step_percent=25, linear=True), world.deps)
    assert world.weights == [25, 50, 75, 100]


def test_what_is_settled_is_left_alone():
    world = World(AliasState(function="f", stable="8", newest="8", percent=0))
    assert roll_out("f", PLAN, world.deps)
    assert world.done == []


def test_going_back_takes_the_share_away_and_says_when_there_was_none():
    world = World(AliasState(function="f", stable="7", newest="8", percent=10))
    assert roll_back("f", world.deps)
    assert world.weights == [0]
    assert not roll_back("f", world.deps)


def test_a_version_that_nobody_called_has_not_failed_and_the_limit_itself_is_fine():
    assert judge(0, 0, PLAN) is Verdict.FINE
    assert judge(5, 100, PLAN) is Verdict.FINE
    assert judge(6, 100, PLAN) is Verdict.FAILING


def test_functions_that_read_what_others_write_are_released_first() -> None:
    names = [f"infrafabric-dev-{name}" for name in ("api", "coordinator", "h01", "migrator", "recorder", "watchdog")]
    order = [name.removeprefix("infrafabric-dev-") for name in readers_first(names)]
    assert order == ["h01", "migrator", "recorder", "coordinator", "watchdog", "api"]
