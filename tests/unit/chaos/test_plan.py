"""Plans of chaos runs: equal seeds give equal faults, and other seeds others."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from local.emulator.clock_steps import ClockSteps
from local.emulator.edge_faults import EdgeFaults
from local.model_faults import Faults
from tests.chaos.plan import RECORDER, RUNNER, STACK, plan

SEEDS = range(40)


def test_equal_seeds_give_equal_plans_and_others_do_not() -> None:
    assert plan(7, 10) == plan(7, 10)
    assert len({plan(seed, 10).edge for seed in SEEDS}) == len(SEEDS)


@pytest.mark.parametrize("tasks", [1, 10, 1000])
def test_emulator_and_model_stand_in_take_the_rules_of_every_plan(tasks: int) -> None:
    for seed in SEEDS:
        made, edge, model, clock = plan(seed, tasks), EdgeFaults(), Faults(), ClockSteps()
        edge.add([fault.rule for fault in made.edge] + [fault.hold.rule for fault in made.processes])
        model.add([fault.rule for fault in made.model])
        clock.add([asdict(step) for step in made.clock])
        assert len(edge.rules()) == len(made.edge) + len(made.processes)
        assert (len(model.rules()), len(clock.steps())) == (len(made.model), len(made.clock))


def test_seeds_kill_and_stop_processes_of_every_kind() -> None:
    faults = [fault for seed in range(200) for fault in plan(seed, 10).processes]
    assert {fault.target for fault in faults} >= {"PostgreSQL", "model stand-in", RUNNER, RECORDER}
    for target in ("PostgreSQL", "model stand-in", RECORDER, f"{STACK}-h01", f"{STACK}-coordinator"):
        assert {fault.kind for fault in faults if fault.target == target} == {"kill", "stop"}, target
    assert {fault.kind for fault in faults if fault.target == RUNNER} == {"stop"}, "a kill loses all executions"


def test_the_runner_is_killed_on_request_in_a_session_with_a_near_deadline() -> None:
    made = plan(7, 10, kill_runner=True)
    assert (made.processes[-1].target, made.processes[-1].kind) == (RUNNER, "kill")
    assert made.request["deadline_s"] == 30


def test_more_tasks_get_more_faults() -> None:
    assert len(plan(1, 1000).edge) > 10 * len(plan(1, 10).edge)


def test_some_seeds_step_the_clock_of_an_agent_and_some_of_the_coordinator() -> None:
    steps = [step for seed in SEEDS for step in plan(seed, 10).clock]
    assert len({step.function for step in steps if step.function != f"{STACK}-coordinator"}) > 2
    assert any(step.function == f"{STACK}-coordinator" for step in steps)
    assert min(step.step_s for step in steps) < 0 < max(step.step_s for step in steps)
