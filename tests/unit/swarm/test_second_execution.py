"""Second execution of a session whose first execution has ended."""

from __future__ import annotations

import pytest

from infrafabric.swarm.assignment import TASKS_PER_EXECUTION
from infrafabric.swarm.lost_sessions import LOST_AFTER_MS, LOST_REASON
from infrafabric.swarm.shapes.coordinator_event import ExecutionMode
from tests.unit.swarm.coordination import World, does, silent
from tests.unit.swarm.orders import an_order


def test_an_execution_that_goes_on_after_another_does_what_is_not_done() -> None:
    first = World(silent, planned=["one", "two", "three"])
    for name in ("t0001", "t0003"):
        first.done({"task_id": name, "attempt": 0})
    second = World(does, status="RUNNING", planned=first.planned, rows=first.rows, objects=first.objects, plans=[])
    assert second.run(an_order(goal="g", tasks=()), mode=ExecutionMode.RESUME)["status"] == "COMPLETE"
    assert second.assignments() == [("t0002", "h02")]
    assert [row["task"] for row in second.report()["results"]] == ["one", "two", "three"]
    assert second.prompts == ["report/2"], "the plan was made by the first"


def test_a_session_whose_first_execution_broke_off_before_its_plan_is_planned_by_the_second() -> None:
    world = World(does)
    assert world.run(an_order(goal="g", tasks=()), mode=ExecutionMode.RESUME)["status"] == "COMPLETE"
    assert (world.prompts, world.planned) == (["plan/1", "report/2"], ["one", "two"])


def test_the_parts_of_a_big_session_know_that_another_execution_began() -> None:
    texts = tuple(f"part {number}" for number in range(TASKS_PER_EXECUTION + 3))
    world = World(does, status="RUNNING")
    for number in range(1, TASKS_PER_EXECUTION + 2):
        world.done({"task_id": f"t{number:04}", "attempt": 0})
    assert world.run(an_order(tasks=texts), mode=ExecutionMode.RESUME)["status"] == "COMPLETE"
    assert sorted(name for name, _ in world.assignments()) == ["t0052", "t0053"]


@pytest.mark.parametrize("tasks", [("a", "b"), ()])
def test_the_end_of_a_session_that_lost_its_coordinator_is_a_report_of_what_was_done(tasks: tuple[str, ...]) -> None:
    goal = None if tasks else "g"
    world = World(
        does, status="RUNNING", total=2, planned=["a", "b"], now_ms=an_order().deadline_ms + LOST_AFTER_MS + 1
    )
    world.done({"task_id": "t0001", "attempt": 0})
    ended = world.run(an_order(goal=goal, tasks=tasks), mode=ExecutionMode.WRAP_UP)
    assert (ended["status"], ended["reason"]) == ("PARTIAL", LOST_REASON)
    assert (world.published, world.prompts, world.committed) == ([], [], 0), "nothing is worked or paid any more"
    assert [finding["text"] for finding in world.report()["findings"]] == ["t0001"]
    assert [(row["task"], row["status"]) for row in world.report()["results"]] == [("a", "DONE"), ("b", "SKIPPED")]
    assert [(told["status"], told["reason"]) for told in world.records] == [("PARTIAL", LOST_REASON)]


@pytest.mark.parametrize("status", ["RUNNING", "COMPLETE"])
def test_a_session_that_is_not_lost_is_not_ended_by_a_wrap_up(status: str) -> None:
    world = World(does, status=status)
    assert world.run(an_order(tasks=("a",)), mode=ExecutionMode.WRAP_UP) == {"status": "not lost"}
    assert (world.status, world.objects, world.records) == (status, {}, [])
