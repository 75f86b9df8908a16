"""Plans of chaos runs: equal seeds give equal faults, and other seeds others."""

from __future__ import annotations

import pytest

from local.emulator.edge_faults import EdgeFaults
from local.model_faults import Faults
from tests.chaos.plan import plan

SEEDS = range(40)


def test_equal_seeds_give_equal_plans_and_others_do_not() -> None:
    assert plan(7, 10) == plan(7, 10)
    assert len({plan(seed, 10).edge for seed in SEEDS}) == len(SEEDS)


@pytest.mark.parametrize("tasks", [1, 10, 1000])
def test_emulator_and_model_stand_in_take_the_rules_of_every_plan(tasks: int) -> None:
    for seed in SEEDS:
        made = plan(seed, tasks, platform_processes=("PostgreSQL",))
        EdgeFaults().add([fault.rule for fault in made.edge] + [fault.hold.rule for fault in made.processes])
        Faults().add([fault.rule for fault in made.model])


def test_some_seeds_kill_and_some_stop_a_process_of_the_platform() -> None:
    chosen = [plan(seed, 10, platform_processes=("PostgreSQL",)).processes[-1] for seed in SEEDS]
    assert {fault.kind for fault in chosen if fault.target == "PostgreSQL"} == {"kill", "stop"}


def test_more_tasks_get_more_faults() -> None:
    assert len(plan(1, 1000).edge) > 10 * len(plan(1, 10).edge)
