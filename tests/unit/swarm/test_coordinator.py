"""Coordinator on AWS's own in-process runner, with fakes for its side effects."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infrafabric.models import Prompt, errors
from infrafabric.money import usd
from infrafabric.swarm.assignment import TASKS_PER_EXECUTION
from infrafabric.swarm.shapes.coordinator_event import TaskSlice
from infrafabric.swarm.shapes.result import TaskResult
from infrafabric.swarm.status import SessionStatus
from infrafabric.swarm.task_slices import SLICE_BYTES, slices_of
from tests.unit.swarm.coordination import COST, World, at_first, by_task, does, fails, silent
from tests.unit.swarm.orders import an_order


def test_tasks_are_handed_out_done_and_reported() -> None:
    world = World(does)
    ended = world.run(an_order(tasks=("a", "b", "c", "d")))
    assert ended["status"] == world.status == "COMPLETE"
    assert sorted(world.assignments()) == [("t0001", "h01"), ("t0002", "h02"), ("t0003", "h03"), ("t0004", "h01")]
    assert [row["task"] for row in world.report()["results"]] == ["a", "b", "c", "d"]
    assert world.report()["summary"] == "all is known"
    assert [content["status"] for content in world.records] == ["COMPLETE"]


def test_a_goal_is_planned_and_paid_once_however_often_the_execution_resumes() -> None:
    def later(world: World, content: dict[str, Any]) -> None:
        threading.Timer(0.05, does, (world, content)).start()  # by then the execution is suspended

    world = World(later)
    world.run(an_order(goal="know the boats", tasks=()))
    assert world.invocations > 1
    assert world.prompts == ["plan/1", "report/2"]
    assert world.committed == 2 * COST
    assert world.measured == [{"CostUsd": usd(COST)}] * 2, "the coordinator's own calls count, too"
    assert sorted(draft["content"]["text"] for draft in world.published) == ["one", "two"]


def test_a_plan_has_no_more_tasks_than_the_session_has_agents() -> None:
    world = World(does, plans=[["a", "", "b", "c", "d", "e"]])
    world.run(an_order(goal="g", tasks=()))
    assert len(world.published) == 3


@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        ([], "the plan has no tasks"),
        (errors.RefusedToAnswer("declined"), "model-refusal: the plan could not be made: declined"),
    ],
)
def test_a_session_without_a_plan_has_failed_and_says_why(plan: Any, reason: str) -> None:
    world = World(does, plans=[plan])
    ended = world.run(an_order(goal="g", tasks=()))
    assert (ended["status"], world.published) == ("FAILED", [])
    assert world.reason.startswith(reason)
    assert reason in world.report()["summary"]


def test_a_plan_that_cannot_be_paid_is_not_asked_for() -> None:
    world = World(does)
    ended = world.run(an_order(goal="g", tasks=(), budget_nusd=99))
    assert (ended["status"], world.prompts) == ("FAILED", [])
    assert world.reason == "budget: too dear"


def test_a_throttled_plan_is_tried_again() -> None:
    world = World(does, plans=[errors.Throttled("busy"), ["one"]])
    assert world.run(an_order(goal="g", tasks=()))["status"] == "COMPLETE"
    assert world.committed == 2 * COST, "what was throttled costs nothing"


def test_a_call_whose_cost_nobody_knows_is_counted_in_full() -> None:
    world = World(does, plans=[errors.TimedOut("no answer")])
    world.run(an_order(goal="g", tasks=()))
    assert world.committed == 100


def test_a_task_that_failed_is_given_to_the_next_agent() -> None:
    world = World(by_task(t0001=at_first(fails("model-refusal"))))
    assert world.run(an_order(tasks=("a", "b")))["status"] == "COMPLETE"
    assert [pair for pair in world.assignments() if pair[0] == "t0001"] == [("t0001", "h01"), ("t0001", "h02")]


def test_a_task_that_nobody_can_do_is_given_up_and_said_so() -> None:
    world = World(by_task(t0002=fails("model-refusal")))
    ended = world.run(an_order(tasks=("a", "b")))
    assert (ended["status"], world.reason) == ("PARTIAL", "model-refusal (1 of 2 tasks)")
    assert len([pair for pair in world.assignments() if pair[0] == "t0002"]) == 3
    assert (world.rows["t0002"].status, world.rows["t0002"].attempt) == ("FAILED", 2)
    assert [row["status"] for row in world.report()["results"]] == ["DONE", "FAILED"]


@pytest.mark.parametrize("reason", ["budget", "deadline", "cancelled"])
def test_what_another_agent_would_meet_too_is_given_to_no_other(reason: str) -> None:
    world = World(fails(reason))
    assert world.run(an_order(tasks=("a",)))["status"] == "FAILED"
    assert (len(world.published), world.reason) == (1, f"{reason} (1 of 1 tasks)")


def test_a_task_whose_agent_falls_silent_is_given_to_the_next_one() -> None:
    world = World(at_first(silent), heartbeat_timeout_s=1)
    assert world.run(an_order(tasks=("a",)))["status"] == "COMPLETE"
    assert world.assignments() == [("t0001", "h01"), ("t0001", "h02")]


def test_a_task_that_was_done_before_its_agent_fell_silent_is_not_done_again() -> None:
    world = World(lambda world, content: world.done(content) and None, heartbeat_timeout_s=1)
    assert world.run(an_order(tasks=("a",)))["status"] == "COMPLETE"
    assert len(world.published) == 1


def test_silence_at_the_deadline_is_given_to_nobody() -> None:
    def late(world: World, content: dict[str, Any]) -> None:
        world.now_ms = an_order().tasks_deadline_ms

    world = World(late, heartbeat_timeout_s=1)
    world.run(an_order(tasks=("a",)))
    assert (len(world.published), world.reason) == (1, "deadline (1 of 1 tasks)")


def test_a_quorum_ends_the_session_without_waiting_for_the_rest() -> None:
    world = World(by_task(t0003=silent))
    ended = world.run(an_order(tasks=("a", "b", "c"), quorum=0.6))
    assert (ended["status"], world.reason) == ("COMPLETE", "")
    assert [row["status"] for row in world.report()["results"]] == ["DONE", "DONE", "SKIPPED"]


def test_a_request_that_is_published_twice_is_one_message() -> None:
    def interrupted(world: World, content: dict[str, Any]) -> None:
        if len(world.published) == 1:
            raise RuntimeError("the function died behind its publish")
        does(world, content)

    world = World(interrupted)
    assert world.run(an_order(tasks=("a",)))["status"] == "COMPLETE"
    first, second = world.published
    assert first["message_id"] == second["message_id"], "the agent knows it again, and the task is paid once"


def test_a_request_that_cannot_be_sent_fails_its_task_alone() -> None:
    def unsent(world: World, content: dict[str, Any]) -> None:
        raise RuntimeError("no topic")

    world = World(by_task(t0001=unsent))
    ended = world.run(an_order(tasks=("a", "b")), reassignments=0)
    assert (ended["status"], world.reason) == ("PARTIAL", "the request could not be sent: no topic (1 of 2 tasks)")


def test_a_session_that_was_cancelled_first_hands_nothing_out() -> None:
    world = World(does, status="CANCELLED", reason="cancelled by a client")
    ended = world.run(an_order(tasks=("a",)))
    assert (ended["status"], world.published) == ("CANCELLED", [])
    assert [content["status"] for content in world.records] == ["CANCELLED"]
    assert [row["status"] for row in world.report()["results"]] == ["SKIPPED"]


def test_a_session_that_is_cancelled_while_it_runs_reports_what_was_done() -> None:
    def cancels(world: World, content: dict[str, Any]) -> None:
        world.status, world.reason = "CANCELLED", "cancelled by a client"
        fails("cancelled")(world, content)

    world = World(by_task(t0002=cancels))
    ended = world.run(an_order(tasks=("a", "b")))
    assert (ended["status"], ended["reason"]) == ("CANCELLED", "cancelled by a client")
    assert (world.report()["status"], len(world.report()["findings"])) == ("CANCELLED", 1)
    assert world.prompts == [], "a cancelled session is not summed up: that would cost money"


def test_a_session_that_is_cancelled_while_it_is_summed_up_is_so_in_its_report_too() -> None:
    class Cancelling(World):
        def ask(self, prompt: Prompt, output: Any) -> Any:
            self.status, self.reason = "CANCELLED", "cancelled by a client"
            return super().ask(prompt, output)

    world = Cancelling(does)
    assert world.run(an_order(tasks=("a",)))["status"] == "CANCELLED"
    assert world.report()["status"] == world.records[0]["status"] == "CANCELLED"


@pytest.mark.parametrize("stored", [None, b"[]", b'{"findings": [{"text": "forged", "confidence": 1}]}'])
def test_an_object_that_is_not_the_one_of_its_row_is_no_finding_and_takes_no_other_along(stored: bytes | None) -> None:
    def swaps(world: World, content: dict[str, Any]) -> None:
        does(world, content)
        key = world.rows[content["task_id"]].s3_key
        del world.objects[key]
        if stored is not None:
            world.objects[key] = stored

    world = World(by_task(t0002=swaps))
    ended = world.run(an_order(tasks=("a", "b")))
    assert (ended["status"], ended["reason"]) == ("PARTIAL", "bad-evidence (1 of 2 tasks)")
    assert [finding["text"] for finding in world.report()["findings"]] == ["t0001"]
    assert [row["status"] for row in world.report()["results"]] == ["DONE", "FAILED"]


def test_a_summary_waits_for_a_throttled_model_while_there_is_time() -> None:
    world = World(does, summaries=[errors.Throttled("busy"), "all is known"])
    world.run(an_order(tasks=("a",)))
    assert world.report()["summary"] == "all is known"


def test_findings_are_not_lost_for_want_of_a_summary() -> None:
    world = World(does, summaries=[errors.RefusedToAnswer("declined")])
    assert world.run(an_order(tasks=("a",)))["status"] == "COMPLETE"
    assert world.report()["summary"].startswith("No summary could be written (declined)")
    assert len(world.report()["findings"]) == 1


def test_a_summary_is_paid_once_though_the_session_ends_in_a_second_try() -> None:
    class Interrupted(World):
        def end(self, status: SessionStatus, reason: str) -> bool:
            ended = super().end(status, reason)
            if ended:
                raise RuntimeError("the function died behind its write")
            return ended

    world = Interrupted(does)
    assert world.run(an_order(tasks=("a",)))["status"] == "COMPLETE"
    assert world.prompts == ["report/2"]
    assert world.report()["summary"] == "all is known"
    assert len(world.records) == 1


def test_a_session_whose_report_cannot_be_made_has_failed_and_says_why_also_in_history() -> None:
    class Full(World):
        def tasks(self) -> list[TaskResult]:
            raise RuntimeError("the table is gone")

    world = Full(does)
    assert world.run(an_order(tasks=("a",)))["status"] == "FAILED"
    assert world.reason == "RuntimeError: the table is gone"
    (record,) = world.records
    assert (record["status"], record["reason"], record["tasks"], record["s3_key"]) == ("FAILED", world.reason, 1, "")


def test_a_reason_fits_into_a_signed_message_and_a_small_item_however_long_an_error_is() -> None:
    class Full(World):
        def tasks(self) -> list[TaskResult]:
            raise RuntimeError("the table is gone " * 1_000)

    planless = World(does, plans=[RuntimeError("no plan " * 1_000)] * 4)
    planless.run(an_order(goal="g", tasks=()))
    full = Full(does)
    full.run(an_order(tasks=("a",)))
    for reason in (planless.reason, planless.records[0]["reason"], full.reason):
        assert reason.startswith("RuntimeError: ")
        assert len(reason) == 500


def test_a_big_session_is_worked_in_parts() -> None:
    texts = tuple(f"part {number}" for number in range(TASKS_PER_EXECUTION + 3))
    world = World(does)
    assert world.run(an_order(tasks=texts))["status"] == "COMPLETE"
    assert len(world.published) == len(texts)
    assert [row["task"] for row in world.report()["results"]] == list(texts)


def test_the_model_is_made_ready_at_the_start_and_for_the_report_and_by_nobody_between() -> None:
    """Each environment that resumes a big session, or works a part of it, would pay a second of import for nothing."""
    world = World(does)
    world.run(an_order(tasks=tuple("a" * (3 * TASKS_PER_EXECUTION + 1))))
    assert world.warmed[0] == 1
    assert len(world.warmed) == 2
    assert world.invocations > 5, "the session's, resumed, and its four parts'"


def test_parts_make_up_for_each_others_quorum() -> None:
    class Slow(World):
        """Agents that are still at work when the first part has its share; their rows come between two looks."""

        def tasks(self) -> list[TaskResult]:
            found = super().tasks()
            for content in self.late:
                self.done(content)
            return found

    def conduct(world: World, content: dict[str, Any]) -> None:
        number = int(content["task_id"][1:])
        if number > TASKS_PER_EXECUTION:
            fails("budget")(world, content)  # the second part misses its share
        elif number > 0.6 * TASKS_PER_EXECUTION:
            world.late.append(content)
        else:
            does(world, content)

    world = Slow(conduct)
    ended = world.run(an_order(tasks=tuple("a" * round(1.2 * TASKS_PER_EXECUTION)), quorum=0.55))
    assert (ended["status"], world.reason) == ("COMPLETE", "")


@given(st.lists(st.integers(1, 20_000), min_size=1, max_size=30), st.sampled_from("aé🚤"), st.integers(1, 8))
def test_parts_hold_all_tasks_in_order_and_fit_a_checkpoint(sizes: list[int], char: str, times: int) -> None:
    texts = [f"{index} {char * size}" for index, size in enumerate(sizes * times)]
    slices = slices_of(TaskSlice(texts=tuple(texts), of=len(texts)))
    assert [text for task_slice in slices for text in task_slice.texts] == texts
    assert all(texts[task_slice.first] == task_slice.texts[0] for task_slice in slices)
    for task_slice in slices:
        size = len(task_slice.texts)
        assert size <= TASKS_PER_EXECUTION
        assert size == 1 or len(json.dumps(task_slice.texts)) <= SLICE_BYTES + 4 * size
