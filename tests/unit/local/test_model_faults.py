"""Fault injection of the fake model server, by marks in a task and by rules."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infrafabric.models import prompts
from local.model_faults import KINDS, parse
from tests.unit.local.conftest import ASK, Send, ask


def statuses(send: Send, body: dict[str, Any], times: int) -> list[int]:
    return [send("POST", "/v1/messages", body)[0] for _ in range(times)]


@pytest.mark.parametrize(("mark", "status"), [("throttle", 429), ("overload", 529), ("error", 500), ("error=402", 402)])
def test_a_mark_in_the_task_is_a_fault(send: Send, mark: str, status: int) -> None:
    assert statuses(send, ask(f"x [[offline:{mark}]]"), 2) == [status, status]


def test_a_fault_strikes_as_often_as_the_mark_says_for_each_agent(send: Send) -> None:
    assert statuses(send, ask("x [[offline:throttle=2]]"), 4) == [429, 429, 200, 200]
    assert statuses(send, ask("x [[offline:throttle=2]]", agent="h02"), 3) == [429, 429, 200]
    assert statuses(send, ask("x [[offline:error=503,times=1]]"), 2) == [503, 200]


def test_a_fault_can_be_for_one_agent_alone(send: Send) -> None:
    assert statuses(send, ask("x [[offline:error,agent=h03]]", agent="h03"), 1) == [500]
    assert statuses(send, ask("x [[offline:error,agent=h03]]", agent="h30"), 1) == [200]


def test_several_marks_take_turns(send: Send) -> None:
    assert statuses(send, ask("[[offline:throttle=1]] [[offline:overload=1]]"), 3) == [429, 529, 200]


@pytest.mark.parametrize("kind", KINDS)
def test_marks_count_only_within_the_task(send: Send, kind: str) -> None:
    mark = f"[[offline:{kind}]]"
    agents = ask("plain", goal=f"{mark} <task>{mark}</task>")
    plan = prompts.plan(goal=f"<task>{mark}</task>", tasks=2)
    report = prompts.report(goal="g", findings=f"- <task>{mark}</task>")
    bodies = [agents, *({**ASK, "messages": [{"role": "user", "content": p.user}]} for p in (plan, report))]
    for body in bodies:
        status, answer = send("POST", "/v1/messages", body)
        assert (status, answer["stop_reason"]) == (200, "end_turn")


@pytest.mark.parametrize(
    "mark", ["", "boat", "throttle=x", "throttle=0", "error=200", "delay=-1", "delay=nan", "hang=1e9", "error,mood=bad"]
)
def test_a_mark_that_is_no_fault_is_text(mark: str) -> None:
    assert parse(mark) is None


def test_a_rule_aims_at_what_its_expression_finds(send: Send) -> None:
    rule = {"match": r"agent h02 .*Session: s\b", "do": "throttle", "times": 1, "retry_after_s": 3}
    assert send("POST", "/_fabric/rules", [rule]) == (200, {})
    assert statuses(send, ask("x", agent="h01"), 1) == [200]
    assert statuses(send, ask("x", agent="h02"), 2) == [429, 200]


def test_a_rule_says_how_many_requests_it_has_fitted(send: Send) -> None:
    send("POST", "/_fabric/rules", [{"match": "rare", "do": "delay"}, {"match": "", "do": "error", "times": 1}])
    assert statuses(send, ask("rare"), 1) == [200]
    assert statuses(send, ask("common"), 2) == [500, 200]
    assert send("GET", "/_fabric/rules")[1] == [
        {"match": "rare", "do": "delay", "fitted": 1},
        {"match": "", "do": "error", "fitted": 2},
    ]


def test_rules_end_when_they_are_cleared(send: Send) -> None:
    send("POST", "/_fabric/rules", {"match": "", "do": "error", "status": 402})
    assert statuses(send, ASK, 1) == [402]
    send("DELETE", "/_fabric/rules")
    assert statuses(send, ASK, 1) == [200]


@pytest.mark.parametrize(
    "rule",
    [
        None,
        "error",
        {"match": "x"},
        {"match": 5, "do": "error"},
        {"match": "x", "do": "boat"},
        {"match": "(", "do": "error"},
        {"match": "x", "do": "error", "status": 200},
        {"match": "x", "do": "error", "times": "2"},
        {"match": "x", "do": "delay", "delay_s": -1},
        {"match": "x", "do": "delay", "delay_s": "1"},
        {"match": "x", "do": "error", "mood": "bad"},
    ],
)
def test_a_rule_that_cannot_be_is_refused_and_none_of_its_list_holds(send: Send, rule: Any) -> None:
    status, answer = send("POST", "/_fabric/rules", [{"match": "", "do": "error"}, rule])
    assert (status, answer["error"]["type"]) == (400, "invalid_request_error")
    assert statuses(send, ASK, 1) == [200]


def test_requests_are_counted_by_model_and_outcome(send: Send) -> None:
    for body in (ask("x"), ask("y"), ask("[[offline:throttle]]"), ask("z", model="claude-sonnet-5-5")):
        send("POST", "/v1/messages", body)
    assert send("GET", "/_fabric/requests")[1] == [
        {"model": "claude-haiku-5-5", "outcome": "answered", "count": 2},
        {"model": "claude-haiku-5-5", "outcome": "throttle", "count": 1},
        {"model": "claude-sonnet-5-5", "outcome": "answered", "count": 1},
    ]
    send("DELETE", "/_fabric/requests")
    assert send("GET", "/_fabric/requests")[1] == []


def test_an_altered_answer_is_valid_and_another_one(send: Send) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    form = {"format": {"type": "json_schema", "schema": {**schema, "additionalProperties": False}}}
    body = ask("[[offline:alter=1]] x", output_config=form)
    answers = [send("POST", "/v1/messages", body)[1] for _ in range(2)]
    texts = [json.loads(answer["content"][0]["text"]) for answer in answers]
    assert texts[0] != texts[1]
    assert texts[0].keys() == texts[1].keys()
    assert {answer["stop_reason"] for answer in answers} == {"end_turn"}
