"""Coordinator on AWS's own in-process runner, with fakes for its side effects."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from infrafabric.bus.structure import Performative
from infrafabric.models import Prompt, errors
from infrafabric.models.usage import Usage
from infrafabric.money import nano_usd, usd
from infrafabric.swarm.assignment import TASKS_PER_EXECUTION
from infrafabric.swarm.evidence import evidence_hash
from infrafabric.swarm.limits import LEAST_TOKENS, MAX_TOKENS
from infrafabric.swarm.shapes.attempt import Attempt
from infrafabric.swarm.shapes.round import RoundPart
from infrafabric.swarm.shapes.session_item import SessionItem
from infrafabric.swarm.task_board import PART_BYTES, parts_of
from tests.unit.swarm.coordination import (
    COST,
    WORST,
    Agent,
    Asked,
    World,
    at_first,
    by_task,
    does,
    fails,
    refuses,
    silent,
)
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
    def later(world: World, asked: Asked) -> None:
        threading.Timer(0.05, does, (world, asked)).start()  # by then the execution is suspended

    world = World(later)
    world.run(an_order(goal="know the boats", tasks=()))
    assert world.invocations > 1
    assert world.prompts == ["plan/1", "report/2"]
    assert world.numbers["spent_nusd"] == 4 * COST
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
    ended = world.run(an_order(goal="g", tasks=(), budget_nusd=WORST * LEAST_TOKENS // MAX_TOKENS - 1))
    assert (ended["status"], world.prompts) == ("FAILED", [])
    assert world.reason.startswith("budget: the plan may cost")


def test_a_throttled_plan_is_tried_again() -> None:
    world = World(does, plans=[errors.Throttled("busy"), ["one"]])
    assert world.run(an_order(goal="g", tasks=()))["status"] == "COMPLETE"
    assert world.numbers["spent_nusd"] == 3 * COST, "what was throttled costs nothing"


def test_a_call_whose_cost_nobody_knows_is_counted_in_full() -> None:
    world = World(does, plans=[errors.TimedOut("no answer"), ["one"]])
    assert world.run(an_order(goal="g", tasks=()))["status"] == "COMPLETE"
    assert world.numbers["spent_nusd"] == WORST + 3 * COST


ONE_FAULT = [errors.Unreachable("500"), errors.Unreachable("it broke", cost_unknown=True), errors.TimedOut("504")]


@pytest.mark.parametrize("fault", [*ONE_FAULT, errors.Throttled("429", retry_after_s=1)], ids=str)
def test_a_fault_of_the_model_api_costs_plan_and_report_seconds_and_not_the_session(fault: errors.ModelError) -> None:
    world = World(does, plans=[fault, ["one"]], summaries=[fault, "all is known"])
    assert world.run(an_order(goal="g", tasks=()))["status"] == "COMPLETE"
    assert world.report()["summary"] == "all is known"


def test_a_model_api_that_stays_away_ends_the_session_at_its_deadline_with_a_reason_that_says_so() -> None:
    class Late(World):
        def ask(self, prompt: Prompt, output: Any) -> Any:
            self.now_ms += 10**6
            return super().ask(prompt, output)

    world = Late(does, plans=[errors.Unreachable("the model API answered 500")] * 9)
    ended = world.run(an_order(goal="g", tasks=()))
    assert ended["status"] == "FAILED"
    assert world.reason == "model-unreachable: the plan could not be made: the model API answered 500"


def test_no_round_is_sent_while_two_agents_say_that_the_model_api_is_away() -> None:
    world = World(does, breakers_open=[3, 2])
    assert world.run(an_order(tasks=("a", "b")))["status"] == "COMPLETE"
    assert len(world.looks) == 3
    assert world.looks[0] == ["h01", "h02", "h03"]
    assert len(world.published) == 2


@pytest.mark.parametrize("found", [1, ConnectionError("no table")], ids=str)
def test_one_agent_alone_or_a_table_that_is_away_stops_no_session(found: Any) -> None:
    world = World(does, breakers_open=[found])
    assert world.run(an_order(tasks=("a",)))["status"] == "COMPLETE"
    assert len(world.looks) == 1


def test_an_api_that_stays_away_ends_the_session_at_its_deadline_and_asks_nothing() -> None:
    class Late(World):
        def open(self, agents: Sequence[str]) -> int:
            self.now_ms += 10**6
            return 2

    world = Late(does)
    assert world.run(an_order(tasks=("a",)))["status"] == "FAILED"
    assert world.reason == "model-unreachable: the model API did not answer the agents until the deadline"
    assert (world.published, world.numbers["committed_nusd"]) == ([], 0)


@pytest.mark.parametrize("kind", [errors.RefusedToAnswer, errors.OutOfCredit, errors.BadRequest, errors.NotAllowed])
def test_a_plan_that_time_does_not_mend_is_asked_for_once(kind: type[errors.ModelError]) -> None:
    world = World(does, plans=[kind("no")])
    assert world.run(an_order(goal="g", tasks=()))["status"] == "FAILED"
    assert world.prompts == ["plan/1"]


def test_a_plan_that_was_cut_off_is_asked_for_once_more_with_twice_the_room() -> None:
    cut_off = errors.CutOff("too long", usage=Usage(input_tokens=1, output_tokens=1))
    world = World(does, plans=[cut_off, ["one"]])
    assert world.run(an_order(goal="g", tasks=()))["status"] == "COMPLETE"
    assert world.lengths[:2] == [MAX_TOKENS, 2 * MAX_TOKENS]


def test_a_task_that_failed_is_given_to_the_next_agent() -> None:
    world = World(by_task(t0001=at_first(fails("model-bad-answer"))))
    assert world.run(an_order(tasks=("a", "b")))["status"] == "COMPLETE"
    assert [pair for pair in world.assignments() if pair[0] == "t0001"] == [("t0001", "h01"), ("t0001", "h02")]


def test_a_task_that_nobody_can_do_is_given_up_and_said_so() -> None:
    world = World(by_task(t0002=fails("model-bad-answer")))
    ended = world.run(an_order(tasks=("a", "b")))
    assert (ended["status"], world.reason) == ("PARTIAL", "model-bad-answer (1 of 2 tasks)")
    assert len([pair for pair in world.assignments() if pair[0] == "t0002"]) == 3
    assert [row["attempt"] for row in world.rows if row["task_id"] == "t0002"] == [0, 1, 2]
    assert [row["status"] for row in world.report()["results"]] == ["DONE", "FAILED"]


def test_a_task_that_the_model_refuses_is_given_to_no_second_agent() -> None:
    world = World(by_task(t0002=fails("model-refusal")))
    ended = world.run(an_order(tasks=("a", "b")))
    assert (ended["status"], world.reason) == ("PARTIAL", "model-refusal (1 of 2 tasks)")
    assert world.assignments() == [("t0001", "h01"), ("t0002", "h02")]


def test_an_answer_that_was_cut_off_is_asked_for_once_more_with_twice_the_room() -> None:
    world = World(by_task(t0001=fails("model-cut-off")))
    ended = world.run(an_order(tasks=("a",)))
    assert (ended["status"], world.reason) == ("FAILED", "model-cut-off (1 of 1 tasks)")
    assert [draft["content"]["max_tokens"] for draft in world.published] == [MAX_TOKENS, 2 * MAX_TOKENS]


@pytest.mark.parametrize("reason", ["budget", "deadline", "cancelled"])
def test_no_reason_that_an_agent_claims_keeps_a_task_from_another_agent(reason: str) -> None:
    world = World(at_first(refuses(reason)))
    assert world.run(an_order(tasks=("a",)))["status"] == "COMPLETE"
    assert world.assignments() == [("t0001", "h01"), ("t0001", "h02")]


def test_a_task_whose_agent_falls_silent_is_given_to_the_next_one() -> None:
    world = World(at_first(silent), heartbeat_timeout_s=1)
    assert world.run(an_order(tasks=("a",)))["status"] == "COMPLETE"
    assert world.assignments() == [("t0001", "h01"), ("t0001", "h02")]


def test_a_task_that_was_done_before_its_agent_fell_silent_is_not_done_again() -> None:
    world = World(lambda world, asked: world.done(asked) and None, heartbeat_timeout_s=1)
    assert world.run(an_order(tasks=("a",)))["status"] == "COMPLETE"
    assert len(world.published) == 1


def test_silence_at_the_deadline_is_given_to_nobody() -> None:
    def late(world: World, asked: Asked) -> None:
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
    def interrupted(world: World, asked: Asked) -> None:
        if len(world.published) == 1:
            raise RuntimeError("the function died behind its publish")
        does(world, asked)

    world = World(interrupted)
    assert world.run(an_order(tasks=("a",)))["status"] == "COMPLETE"
    first, second = world.published
    assert first["message_id"] == second["message_id"], "the agent knows it again, and the task is paid once"


def test_a_request_that_was_not_sent_is_sent_again_without_the_others() -> None:
    def not_at_first(world: World, asked: Asked) -> None:
        if [task for task, _ in world.assignments()].count("t0001") == 1:
            raise ConnectionError("the line is down")
        does(world, asked)

    world = World(by_task(t0001=not_at_first))
    assert world.run(an_order(tasks=("a", "b")))["status"] == "COMPLETE"
    assert [task for task, _ in world.assignments()] == ["t0001", "t0002", "t0001"]
    assert len({draft["message_id"] for draft in world.published}) == 2


def test_a_request_that_cannot_be_sent_fails_its_task_alone() -> None:
    def unsent(world: World, asked: Asked) -> None:
        raise RuntimeError("no topic")

    world = World(by_task(t0001=unsent))
    ended = world.run(an_order(tasks=("a", "b")), reassignments=0)
    assert (ended["status"], world.reason) == ("PARTIAL", "silent (1 of 2 tasks)")
    assert world.numbers["committed_nusd"] == WORST, "it may have been sent all the same"


def test_a_session_that_was_cancelled_first_hands_nothing_out() -> None:
    world = World(does, cancelled_ms=1)
    ended = world.run(an_order(tasks=("a",)))
    assert (ended["status"], world.reason, world.published) == ("CANCELLED", "cancelled by a client", [])
    assert [content["status"] for content in world.records] == ["CANCELLED"]
    assert [row["status"] for row in world.report()["results"]] == ["SKIPPED"]


def test_a_session_that_is_cancelled_while_it_runs_ends_at_once_and_reports_what_was_done() -> None:
    """The agent at work is told that no answer is needed; what its call may still cost is said."""

    def cancels(world: World, asked: Asked) -> None:
        def cancel() -> None:
            world.cancelled_ms = 1
            world.runner.send_callback_success(world.parts[0, 0].wake_id, b"cancelled")

        threading.Timer(0.2, cancel).start()

    world = World(by_task(t0002=cancels))
    ended = world.run(an_order(tasks=("a", "b")))
    assert (ended["status"], ended["reason"]) == ("CANCELLED", "cancelled by a client")
    assert (world.report()["status"], len(world.report()["findings"])) == ("CANCELLED", 1)
    assert world.prompts == [], "a cancelled session is not summed up: that would cost money"
    (told,) = world.taken_back
    (asked,) = [draft for draft in world.published if draft["content"]["task_id"] == "t0002"]
    assert (told["receiver"], told["content"]["requests"]) == (asked["receiver"], [asked["message_id"]])
    assert world.numbers == {"spent_nusd": COST, "committed_nusd": WORST, "tasks_done": 1, "tasks_failed": 0}


def test_a_session_that_is_cancelled_while_it_is_summed_up_is_so_in_its_report_too() -> None:
    class Cancelling(World):
        def ask(self, prompt: Prompt, output: Any) -> Any:
            self.cancelled_ms = 1
            return super().ask(prompt, output)

    world = Cancelling(does)
    assert world.run(an_order(tasks=("a",)))["status"] == "CANCELLED"
    assert world.report()["status"] == world.records[0]["status"] == "CANCELLED"


@pytest.mark.parametrize("stored", [None, b"[]", b'{"findings": [{"text": "forged", "confidence": 1}]}'])
def test_an_answer_whose_object_does_not_prove_it_is_no_finding_and_takes_no_other_along(stored: bytes | None) -> None:
    def swaps(world: World, asked: Asked) -> None:
        does(world, asked)
        del world.objects[asked.content["place"]]
        if stored is not None:
            world.objects[asked.content["place"]] = stored

    world = World(by_task(t0002=swaps))
    ended = world.run(an_order(tasks=("a", "b")))
    assert (ended["status"], ended["reason"]) == ("PARTIAL", "bad-evidence (1 of 2 tasks)")
    assert len([pair for pair in world.assignments() if pair[0] == "t0002"]) == 3, "it was asked for again"
    assert [finding["text"] for finding in world.report()["findings"]] == ["t0001"]
    assert [row["status"] for row in world.report()["results"]] == ["DONE", "FAILED"]
    assert world.numbers["committed_nusd"] == 3 * WORST


class UnreadableObjects(dict[str, bytes]):
    """Objects that the coordinator's role may not read, by a mistake in a policy."""

    def get(self, key: str, default: Any = None) -> Any:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "Access Denied"}}, "GetObject")


def test_a_place_that_may_not_be_read_is_the_sessions_reason_and_no_agents_fault() -> None:
    world = World(does, objects=UnreadableObjects())
    ended = world.run(an_order(tasks=("a", "b")))
    assert ended["status"] == "FAILED"
    assert "An error occurred (AccessDenied) when calling the GetObject operation" in ended["reason"]
    assert len(world.assignments()) == 2, "no other agent is asked"
    assert [list(part.disbelieved) for part in world.parts.values()] == [[]]


def padded(world: World, asked: Asked) -> None:
    """Answer with as much white space as a callback holds."""
    world.complete(asked, asked.answer(Performative.INFORM, world.done(asked)) + " " * 200_000)


def huge(world: World, asked: Asked) -> None:
    """Refuse with more tokens than a row of history holds."""
    refuses("budget", tokens_in=1 << 52)(world, asked)


def halved(world: World, asked: Asked) -> None:
    """Store half a surrogate pair, which JSON can escape and UTF-8 cannot hold."""
    finding = {"text": "\ud83d", "confidence": 1, "sources": []}
    stored = json.dumps(asked.document(findings=[finding])).encode()
    world.objects[asked.content["place"]] = stored
    world.complete(asked, asked.answer(Performative.INFORM, asked.result(stored)))


def nameless(world: World, asked: Asked) -> None:
    """Store a model's id that no signed record can carry."""
    result = world.done(asked, model="m" * 10_000)
    world.complete(asked, asked.answer(Performative.INFORM, result))


def test_an_answer_that_is_too_long_for_the_recorders_queue_is_not_sent_there_and_its_object_counts() -> None:
    world = World(by_task(t0002=padded))
    assert world.run(an_order(tasks=("a", "b")))["status"] == "COMPLETE"
    assert [bool(row.get("answer_id")) for row in world.rows] == [True, False]
    assert len(json.dumps(world.answers)) < 10_000


@pytest.mark.parametrize("conduct", [huge, halved, nameless])
def test_one_agent_cannot_keep_the_others_from_being_believed_and_recorded(conduct: Agent) -> None:
    world = World(by_task(t0002=conduct))
    ended = world.run(an_order(tasks=("a", "b", "c")), reassignments=0)
    assert ended["status"] == "PARTIAL"
    assert [row["status"] for row in world.report()["results"]] == ["DONE", "FAILED", "DONE"]
    assert [row["task_id"] for row in world.rows] == ["t0001", "t0003"]
    assert len(world.answers) == 2


def test_an_answer_without_optional_members_is_believed() -> None:
    """An agent in another language may leave members out whose value is the default."""

    def terse(world: World, asked: Asked) -> None:
        result = world.done(asked, cost_usd=0)
        world.complete(asked, asked.answer(Performative.INFORM, result, without=("cost_nusd", "tokens_in", "reason")))

    world = World(terse)
    assert world.run(an_order(tasks=("a",)))["status"] == "COMPLETE"
    assert world.rows[0].get("answer_id"), "the answer was believed, and not only its object found"
    assert world.progress == [(0, 1, 0)]


def test_a_task_that_two_agents_did_has_the_findings_of_the_first_with_its_evidence() -> None:
    """The first agent was only slow: its result is found at the end."""

    def second(world: World, asked: Asked) -> None:
        (slow,) = [Asked(draft) for draft in world.published if draft["content"]["attempt"] == 0]
        world.done(slow, findings=[{"text": "of the first", "confidence": 0.5, "sources": []}])
        does(world, asked)

    world = World(at_first(silent, second), heartbeat_timeout_s=1)
    assert world.run(an_order(tasks=("a",)))["status"] == "COMPLETE"
    (finding,), (row,) = world.report()["findings"], world.report()["results"]
    assert (finding["text"], finding["agent"], row["agent"]) == ("of the first", "h01", "h01")
    stored = world.objects[row["s3_key"]]
    assert finding["evidence_hash"] == row["evidence_hash"] == evidence_hash(stored)
    assert row["cost_usd"] == usd(2 * COST), "both were paid"


def test_a_summary_waits_for_a_throttled_model_while_there_is_time() -> None:
    world = World(does, summaries=[errors.Throttled("busy"), "all is known"])
    world.run(an_order(tasks=("a",)))
    assert world.report()["summary"] == "all is known"


def test_findings_are_not_lost_for_want_of_a_summary() -> None:
    world = World(does, summaries=[errors.RefusedToAnswer("declined")])
    assert world.run(an_order(tasks=("a",)))["status"] == "COMPLETE"
    assert world.report()["summary"].startswith("No summary could be written (declined)")
    assert len(world.report()["findings"]) == 1


class Interrupted(World):
    """The function dies right behind the write that ends the session."""

    def end(self, session: SessionItem) -> bool:
        ended = super().end(session)
        if ended:
            raise RuntimeError("the function died behind its write")
        return ended


def test_a_summary_is_paid_once_though_the_session_ends_in_a_second_try() -> None:
    world = Interrupted(does)
    assert world.run(an_order(tasks=("a",)))["status"] == "COMPLETE"
    assert world.prompts == ["report/2"]
    assert world.report()["summary"] == "all is known"
    assert len(world.records) == 1


class Full(World):
    """No round can be read."""

    problem: str = "the table is gone"

    def rounds(self) -> list[RoundPart]:
        raise RuntimeError(self.problem)


def test_a_session_whose_report_cannot_be_made_has_failed_and_says_why_also_in_history() -> None:
    world = Full(does)
    assert world.run(an_order(tasks=("a",)))["status"] == "FAILED"
    assert world.reason == "RuntimeError: the table is gone"
    (record,) = world.records
    assert (record["status"], record["reason"], record["tasks"], record["s3_key"]) == ("FAILED", world.reason, 1, "")
    assert (record["spent_nusd"], world.numbers["spent_nusd"]) == (COST, COST)


def test_a_reason_fits_into_a_signed_message_and_a_small_item_however_long_an_error_is() -> None:
    planless = World(does, plans=[RuntimeError("no plan " * 1_000)] * 4)
    planless.run(an_order(goal="g", tasks=()))
    full = Full(does)
    full.problem = "the table is gone " * 1_000
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


def test_a_part_whose_execution_died_is_worked_in_the_next_round() -> None:
    tasks = tuple(f"task {n}" for n in range(TASKS_PER_EXECUTION + 2))
    world = World(does, dead_parts=[(0, 1)])
    assert world.run(an_order(tasks=tasks))["status"] == "COMPLETE"
    assert sorted(world.parts) == [(0, 0), (1, 0)]
    assert [attempt.name for attempt in world.parts[1, 0].attempts] == ["t0051.1", "t0052.1"]


def test_the_model_is_made_ready_at_the_start_and_for_the_report_and_by_nobody_between() -> None:
    """Each environment that resumes a big session, or works a part of it, would pay a second of import for nothing."""
    world = World(does)
    world.run(an_order(tasks=tuple("a" * (3 * TASKS_PER_EXECUTION + 1))))
    assert world.warmed[0] == 1
    assert len(world.warmed) == 2
    assert world.invocations > 5, "the session's, resumed, and its four parts'"


@dataclass
class Slow(World):
    """Agents that are still at work when their part of the round has its share; they end between two looks."""

    late: list[Asked] = field(default_factory=list)

    def rounds(self) -> list[RoundPart]:
        for asked in self.late:
            self.done(asked)
        return super().rounds()


def test_parts_make_up_for_each_others_quorum() -> None:
    """The first part has its share of the quorum and stops waiting; the second one misses its own."""

    def conduct(world: World, asked: Asked) -> None:
        number = int(asked.content["task_id"][1:])
        if number > TASKS_PER_EXECUTION:
            refuses("budget")(world, asked)
        elif number > 0.6 * TASKS_PER_EXECUTION:
            assert isinstance(world, Slow)
            world.late.append(asked)
        else:
            does(world, asked)

    world = Slow(conduct)
    ended = world.run(an_order(tasks=tuple("a" * round(1.2 * TASKS_PER_EXECUTION)), quorum=0.55))
    assert (ended["status"], world.reason) == ("COMPLETE", "")
    assert len(world.published) == round(1.2 * TASKS_PER_EXECUTION), "nothing was asked for twice"


@given(st.lists(st.integers(1, 20_000), min_size=1, max_size=30), st.sampled_from("aé🚤"), st.integers(1, 8))
def test_parts_hold_all_attempts_in_order_and_fit_a_checkpoint(sizes: list[int], char: str, times: int) -> None:
    texts = [f"{index} {char * size}" for index, size in enumerate(sizes * times)]
    attempts = [
        Attempt(index=index, number=0, agent="h01", allowance_nusd=1, message_id="m") for index in range(len(texts))
    ]
    parts = parts_of(attempts, texts)
    assert [attempt for part in parts for attempt in part] == attempts
    for part in parts:
        assert len(part) <= TASKS_PER_EXECUTION
        held = [texts[attempt.index] for attempt in part]
        assert len(part) == 1 or len(json.dumps(held)) <= PART_BYTES + 4 * len(part)


def test_an_answer_that_arrives_during_another_branchs_checkpoint_is_acted_on_at_once() -> None:
    """The first agent answers while the second request is still being sent, and nothing else wakes the execution."""
    answered = threading.Event()

    def answers_meanwhile(world: World, asked: Asked) -> None:
        def answer() -> None:
            does(world, asked)
            answered.set()

        threading.Timer(0.2, answer).start()  # by then this branch waits

    def sent_slowly(world: World, asked: Asked) -> None:
        assert answered.wait(10)
        does(world, asked)

    world = World(by_task(t0001=answers_meanwhile, t0002=sent_slowly), heartbeat_timeout_s=3600)
    assert world.run(an_order(tasks=("a", "b")))["status"] == "COMPLETE"
    assert len(world.published) == 2, "no silence was waited for"


def test_a_task_whose_agent_died_keeps_a_small_budget_from_no_more_than_its_allowance() -> None:
    """Its allowance stays committed, and the session ends within the silence instead of at its deadline."""
    budget = 2 * WORST
    world = World(by_task(t0001=silent), heartbeat_timeout_s=1)
    ended = world.run(an_order(tasks=("a", "b", "c", "d"), budget_nusd=budget))
    assert (ended["status"], ended["reason"]) == ("PARTIAL", "budget")
    assert ended["done"] == 3, "the others were done one after the other"
    numbers = world.numbers
    assert numbers["committed_nusd"] >= WORST
    assert numbers["spent_nusd"] + numbers["committed_nusd"] <= budget
    assert numbers["spent_nusd"] == world.records[0]["spent_nusd"] == nano_usd(world.report()["cost_usd"])
    assert numbers["committed_nusd"] == world.records[0]["committed_nusd"] == nano_usd(world.report()["committed_usd"])
