"""Second execution of a session whose first execution has ended."""

from __future__ import annotations

import pytest

from infrafabric.swarm.assignment import SECOND_EXECUTION
from infrafabric.swarm.lost_sessions import LOST_AFTER_MS, LOST_REASON
from infrafabric.swarm.shapes.attempt import Attempt
from infrafabric.swarm.shapes.coordinator_event import ExecutionMode
from infrafabric.swarm.shapes.model_call import ModelCall
from infrafabric.swarm.shapes.round import RoundPart
from tests.unit.swarm.coordination import COST, WORST, Asked, World, does, silent
from tests.unit.swarm.orders import an_order


def broken_off(texts: list[str], done: set[str], **world: object) -> World:
    """Return a session whose first execution sent a request per task and broke off; some agents did their tasks."""
    attempts = [
        Attempt(index=i, number=0, agent=f"h{i % 3 + 1:02}", allowance_nusd=WORST, message_id=f"if://message/{i}")
        for i in range(len(texts))
    ]
    first = World(does, status="RUNNING", planned=texts, **world)  # type: ignore[arg-type]
    first.parts[0, 0] = RoundPart(number=0, part=0, attempts=tuple(attempts))
    for attempt in attempts:
        if attempt.task_id in done:
            first.done(Asked.of(attempt))
    return first


def test_an_execution_that_goes_on_after_another_does_what_is_not_done() -> None:
    world = broken_off(["one", "two", "three"], {"t0001", "t0003"}, plans=[])
    assert world.run(an_order(goal="g", tasks=()), mode=ExecutionMode.RESUME)["status"] == "COMPLETE"
    assert world.assignments() == [("t0002", "h03")], "another agent than the one that did not answer"
    assert world.published[0]["content"]["attempt"] == SECOND_EXECUTION
    assert [row["task"] for row in world.report()["results"]] == ["one", "two", "three"]
    assert world.prompts == ["report/2"], "the plan was made by the first"
    assert world.numbers["spent_nusd"] == 4 * COST
    assert world.numbers["committed_nusd"] == WORST, "what the unanswered attempt of the first may have spent"


def test_what_two_executions_may_spend_together_stays_within_the_budget() -> None:
    texts = ["one", "two", "three"]
    world = broken_off(texts, set())
    world.run(an_order(tasks=tuple(texts), budget_nusd=4 * WORST), mode=ExecutionMode.RESUME)
    assert len(world.published) == 1 + 1 + 1, "one at a time: the first execution's attempts may cost the other three"
    assert world.numbers["spent_nusd"] + world.numbers["committed_nusd"] <= 4 * WORST


def test_a_session_whose_first_execution_broke_off_before_its_plan_is_planned_by_the_second() -> None:
    world = World(does)
    world.calls["plan", 0] = ModelCall(name="plan", number=0, reserved_nusd=WORST)
    assert world.run(an_order(goal="g", tasks=()), mode=ExecutionMode.RESUME)["status"] == "COMPLETE"
    assert (world.prompts, world.planned) == (["plan/1", "report/2"], ["one", "two"])
    assert world.numbers["committed_nusd"] == WORST, "nobody knows what the first plan's call did cost"


def test_a_big_session_goes_on_with_what_another_execution_left() -> None:
    texts = [f"part {number}" for number in range(60)]
    world = broken_off(texts, {f"t{number:04}" for number in range(1, 59)})
    assert world.run(an_order(tasks=tuple(texts)), mode=ExecutionMode.RESUME)["status"] == "COMPLETE"
    assert sorted(name for name, _ in world.assignments()) == ["t0059", "t0060"]


@pytest.mark.parametrize("tasks", [("a", "b"), ()])
def test_the_end_of_a_session_that_lost_its_coordinator_is_a_report_of_what_was_done(tasks: tuple[str, ...]) -> None:
    world = broken_off(["a", "b"], {"t0001"}, now_ms=an_order().deadline_ms + LOST_AFTER_MS + 1)
    ended = world.run(an_order(goal=None if tasks else "g", tasks=tasks), mode=ExecutionMode.WRAP_UP)
    assert (ended["status"], ended["reason"]) == ("PARTIAL", LOST_REASON)
    assert (world.published, world.prompts) == ([], []), "nothing is worked or paid any more"
    assert [finding["text"] for finding in world.report()["findings"]] == ["t0001"]
    assert [(row["task"], row["status"]) for row in world.report()["results"]] == [("a", "DONE"), ("b", "SKIPPED")]
    assert [(told["status"], told["reason"]) for told in world.records] == [("PARTIAL", LOST_REASON)]
    assert world.numbers == {"spent_nusd": COST, "committed_nusd": WORST, "tasks_done": 1, "tasks_failed": 0}


@pytest.mark.parametrize("status", ["RUNNING", "COMPLETE"])
def test_a_session_that_is_not_lost_is_not_ended_by_a_wrap_up(status: str) -> None:
    world = World(silent, status=status)
    assert world.run(an_order(tasks=("a",)), mode=ExecutionMode.WRAP_UP) == {"status": "not lost"}
    assert (world.status, world.objects, world.records) == (status, {}, [])
