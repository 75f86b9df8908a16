"""Sessions through the deployed API, the coordinator, ten agents, S3, DynamoDB and PostgreSQL."""

from __future__ import annotations

import hashlib
import json
import time
from typing import Any

import psycopg
import pytest

from infrafabric.aws_adapters.session_store import SessionStore
from infrafabric.bus.uris import new_message_id
from infrafabric.recorder.proof import HistoryLine, prove
from infrafabric.swarm.assignment import TASKS_PER_EXECUTION
from infrafabric.swarm.breaker import OPEN_AFTER
from infrafabric.swarm.lost_sessions import LOST_AFTER_MS, LOST_REASON
from infrafabric.swarm.result_document import stored_bytes
from infrafabric.swarm.round_settlement import attempt_id
from infrafabric.swarm.shapes.attempt import Attempt
from infrafabric.swarm.shapes.order import Order
from infrafabric.swarm.shapes.round import RoundPart
from tests.e2e.conftest import Stage, own, until

TASKS = [f"Describe part {number} of the migration" for number in range(1, 11)]


@pytest.fixture(scope="module")
def ten(stage: Stage) -> dict[str, Any]:
    until(stage.nobody_works, "the other sessions to end, so that calls can be counted")
    stage.model("DELETE", "/_fabric/requests")
    stage.start(session_id="ten", tasks=TASKS)
    session = stage.ended("ten")
    return {"session": session, "report": stage.report("ten"), "calls": stage.model("GET", "/_fabric/requests")}


@pytest.fixture(scope="module")
def hung(stage: Stage) -> str:
    """A session with one agent whose model never answers. Its deadline takes half a minute, so it is started some tests
    before its own, and after those that count calls: its end asks for a report, whenever that comes."""
    return stage.start(session_id="hung", tasks=["Quick work", "[[offline:hang]] Slow work"], deadline_s=30)


def test_ten_agents_complete_a_session(ten: dict[str, Any]) -> None:
    assert ten["session"]["status"] == "COMPLETE"
    assert ten["session"]["tasks"] == {"total": 10, "done": 10, "failed": 0}
    assert {result["agent"] for result in ten["report"]["results"]} == {f"h{n:02}" for n in range(1, 11)}
    assert [result["task"] for result in ten["report"]["results"]] == TASKS


def test_a_task_costs_one_model_call_and_the_report_one(ten: dict[str, Any]) -> None:
    answered = {row["model"]: row["count"] for row in ten["calls"] if row["outcome"] == "answered"}
    assert answered == {"claude-haiku-5-5": 10, "claude-sonnet-5-5": 1}


def test_the_evidence_hash_is_the_hash_of_the_stored_bytes(stage: Stage, ten: dict[str, Any]) -> None:
    s3 = stage.platform.client("s3")
    for result in ten["report"]["results"]:
        stored = s3.get_object(Bucket=stage.outputs["results_bucket"], Key=result["s3_key"])["Body"].read()
        assert result["evidence_hash"] == f"sha256:{hashlib.sha256(stored).hexdigest()}"
    assert {finding["evidence_hash"] for finding in ten["report"]["findings"]} <= {
        result["evidence_hash"] for result in ten["report"]["results"]
    }


def test_the_report_says_that_no_model_was_asked(ten: dict[str, Any]) -> None:
    assert "offline" in ten["report"]["model"]
    assert all("[offline stand-in]" in finding["text"] for finding in ten["report"]["findings"])


def test_what_was_spent_is_the_sum_of_what_is_listed(ten: dict[str, Any]) -> None:
    listed = sum(result["cost_usd"] for result in ten["report"]["results"])
    assert 0 < listed < ten["session"]["cost_usd"] <= ten["session"]["budget_usd"]


def rows(stage: Stage, query: str, *values: Any) -> list[Any]:
    assert stage.platform.database_url
    with psycopg.connect(stage.platform.database_url) as connection:
        return connection.execute(query.encode(), values).fetchall()


def test_the_history_has_a_row_for_each_task_and_one_for_the_session(stage: Stage, ten: dict[str, Any]) -> None:
    query = "SELECT status, cost_usd FROM sessions WHERE session_id = %s"
    sessions = until(lambda: rows(stage, query, own("ten")), "the row")
    assert sessions == [("COMPLETE", pytest.approx(sessions[0][1]))]
    assert float(sessions[0][1]) == pytest.approx(ten["session"]["cost_usd"])
    query = "SELECT task_id, agent, status FROM task_results WHERE session_id = %s ORDER BY 1"
    found = rows(stage, query, own("ten"))
    assert found == [(f"t{n:04}", f"h{n:02}", "DONE") for n in range(1, 11)]


def test_each_task_leaves_one_line_in_the_log_of_its_agent(stage: Stage, ten: dict[str, Any]) -> None:
    logs = stage.platform.client("logs")
    found = []
    for agent in (f"h{n:02}" for n in range(1, 11)):
        group = f"/aws/lambda/{stage.outputs['agents'][agent]['function_name']}"
        events = logs.filter_log_events(logGroupName=group, filterPattern='"agent_complete"')["events"]
        lines = [json.loads(event["message"]) for event in events if '"agent_complete"' in event["message"]]
        found += [line for line in lines if line["session_id"] == own("ten")]
    results = {row["task"]: row for row in ten["report"]["results"]}
    assert sorted(line["task_id"] for line in found) == [f"t{n:04}" for n in range(1, 11)]
    assert sum(line["cost_usd"] for line in found) == pytest.approx(sum(row["cost_usd"] for row in results.values()))
    assert all(line["trace"].startswith("Root=") and line["duration_ms"] > 0 for line in found)


def test_the_signed_records_prove_every_row_of_the_history(stage: Stage, ten: dict[str, Any]) -> None:
    query = "SELECT row_to_json(one)::text FROM signed_history AS one WHERE session_id = %s"
    lines = until(lambda: found if len(found := rows(stage, query, own("ten"))) == 11 else None, "its history")
    verdicts = [prove(HistoryLine.parse(line), stage.registry()) for (line,) in lines]
    assert [verdict.detail for verdict in verdicts if not verdict.valid] == []
    assert sum("its answer" in verdict.detail for verdict in verdicts) == 10


def test_history_waits_for_a_database_that_takes_no_rows_and_is_complete_seconds_after_it_does(stage: Stage) -> None:
    assert stage.platform.database_url
    with psycopg.connect(stage.platform.database_url, autocommit=True) as master:
        master.execute("REVOKE INSERT ON records FROM recorder")
        stage.start(session_id="waiting", tasks=["one", "two"])
        assert stage.ended("waiting")["status"] == "COMPLETE", "a session does not wait for its history"
        sqs, queue = stage.platform.client("sqs"), stage.outputs["record_queue_url"]

        def waiting() -> int:
            names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
            return sum(map(int, sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"].values()))

        until(lambda: waiting() == 2, "a record of the attempts and one of the session in the queue")
        master.execute("GRANT INSERT ON records TO recorder")
    query = "SELECT status FROM sessions WHERE session_id = %s"
    assert until(lambda: rows(stage, query, own("waiting")), "its history") == [("COMPLETE",)]
    query = "SELECT task_id FROM task_results WHERE session_id = %s ORDER BY 1"
    assert rows(stage, query, own("waiting")) == [("t0001",), ("t0002",)]
    until(lambda: waiting() == 0, "an empty queue")
    dead = queue.replace(".fifo", "-dlq.fifo")
    assert "Messages" not in sqs.receive_message(QueueUrl=dead, VisibilityTimeout=0)


def test_the_same_request_sent_twice_is_one_session(stage: Stage) -> None:
    body = {"session_id": "twice", "goal": "Once is enough", "agents": 2}
    first = stage.call("POST", "/sessions", body)
    second = stage.call("POST", "/sessions", {**body, "quorum": 1})  # a default, given: the meaning is the same
    other = stage.call("POST", "/sessions", {**body, "agents": 3})
    assert (first[0], second[0], other[0]) == (202, 200, 409)
    assert first[1]["location"] == second[1]["location"] == "sessions/twice"
    session = stage.ended("twice")
    assert (session["status"], session["tasks"]["total"]) == ("COMPLETE", 2)


def test_a_task_that_its_agent_fails_is_given_to_another(stage: Stage) -> None:
    stage.model("POST", "/_fabric/rules", [{"match": r"agent h01 .*Session: failing\b", "do": "garbage"}])
    stage.start(session_id="failing", tasks=["one", "two", "three"])
    session = stage.ended("failing")
    assert (session["status"], session["tasks"]["done"]) == ("COMPLETE", 3)
    first = stage.report("failing")["results"][0]
    assert (first["agent"], first["status"]) == ("h02", "DONE")
    folder = first["s3_key"].split("/agents/")[0]
    error = stage.platform.client("s3").get_object(
        Bucket=stage.outputs["results_bucket"], Key=f"{folder}/agents/h01/t0001/0/result.json"
    )
    assert json.loads(error["Body"].read())["error"]["reason"] == "model-bad-answer"


def test_faults_of_the_model_api_cost_a_session_seconds(stage: Stage) -> None:
    """Every text is answered 500 at first: plan, each task, and the summary."""
    stage.model("POST", "/_fabric/rules", [{"match": r"faulty", "do": "error", "times": 1}])
    stage.start(session_id="faulty", goal="Know what faulty answers cost", agents=4)
    session = stage.ended("faulty")
    assert (session["status"], session["tasks"]["done"]) == ("COMPLETE", 4)
    assert not stage.report("faulty")["summary"].startswith("No summary")


def test_a_dead_model_api_gets_a_few_calls_from_each_agent_and_the_session_goes_on_when_it_is_back(
    stage: Stage,
) -> None:
    rule = {"match": r"Session: outage\b", "do": "error"}
    stage.model("POST", "/_fabric/rules", [rule])
    dynamodb, key = stage.platform.client("dynamodb"), {"pk": {"S": "breaker"}}
    tables = [name for name in dynamodb.list_tables()["TableNames"] if name[-4:] in ("-h01", "-h02", "-h03")]
    stage.start(session_id="outage", tasks=[f"part {number}" for number in range(30)], agents=3)
    until(lambda: all("Item" in dynamodb.get_item(TableName=name, Key=key) for name in tables), "open breakers")
    (asked,) = [one["fitted"] for one in stage.model("GET", "/_fabric/rules") if one["match"] == rule["match"]]
    assert OPEN_AFTER * len(tables) <= asked < 2 * OPEN_AFTER * len(tables), "and not one call for each task"
    stage.model("DELETE", "/_fabric/rules")
    session = stage.ended("outage")
    assert (session["status"], session["tasks"]["done"]) == ("COMPLETE", 30)
    assert not any("Item" in dynamodb.get_item(TableName=name, Key=key) for name in tables), "all are closed again"


def test_a_budget_too_small_stops_before_it_is_overspent(stage: Stage) -> None:
    calls = stage.counting("poor")
    stage.start(session_id="poor", tasks=["poor one", "poor two"], budget_usd=0.0001)
    session = stage.ended("poor")
    assert (session["status"], session["cost_usd"]) == ("FAILED", 0)
    assert "budget" in session["reason"]
    assert calls() == 0, "nothing may be asked that cannot be paid"


@pytest.mark.usefixtures("hung")
def test_a_tight_budget_is_worked_off_and_never_overspent(stage: Stage) -> None:
    """Three calls may run at a time: the others wait until it is known what these did cost."""
    tasks = [f"[[offline:delay=0.3]] part {n}" for n in range(10)]
    stage.start(session_id="tight", tasks=tasks, budget_usd=0.008, max_tokens=4096)
    session = stage.ended("tight")
    assert (session["status"], session["tasks"]["done"]) == ("COMPLETE", 10)
    assert session["cost_usd"] <= 0.008


def test_a_small_budget_pays_a_plan_and_a_summary(stage: Stage) -> None:
    stage.start(session_id="small", goal="Know what the move costs", agents=3, budget_usd=0.05)
    session, report = stage.ended("small"), stage.report("small")
    assert (session["status"], session["tasks"]["done"]) == ("COMPLETE", 3)
    assert not report["summary"].startswith("No summary")
    assert session["cost_usd"] + session["committed_usd"] <= 0.05


def test_a_throttled_task_is_put_back_and_done_later(stage: Stage) -> None:
    stage.start(session_id="busy", tasks=["[[offline:throttle=2]] patience", "no wait"])
    session = stage.ended("busy")
    assert (session["status"], session["tasks"]["done"]) == ("COMPLETE", 2)
    assert stage.letters("h01") == [], "a throttled message burns no receive"


def test_a_quorum_ends_a_session_early(stage: Stage) -> None:
    stage.start(session_id="quorum", tasks=["quick", "[[offline:delay=20]] slow"], quorum=0.5)
    session = stage.ended("quorum")
    assert session["status"] == "COMPLETE"
    report = stage.report("quorum")
    assert [result["status"] for result in report["results"]] == ["DONE", "SKIPPED"]
    query = "SELECT cost_usd, committed_usd FROM sessions WHERE session_id = %s"
    ((cost, committed),) = until(lambda: rows(stage, query, own("quorum")), "its history")
    assert (session["cost_usd"], session["committed_usd"]) == (report["cost_usd"], report["committed_usd"])
    assert (float(cost), float(committed)) == (session["cost_usd"], session["committed_usd"])
    assert committed > 0, "the slow call is paid when it ends"


def test_a_cancelled_session_ends_at_once_and_asks_nothing_more(stage: Stage) -> None:
    """Two tasks are at work and eight wait for the money that these two may cost."""
    asked = stage.counting(r"Session: stopped\b", delay_s=5)
    stage.start(session_id="stopped", tasks=[f"part {number}" for number in range(10)], budget_usd=0.006)
    until(lambda: asked() == 2, "two model calls")
    assert stage.call("DELETE", "/sessions/stopped")[0] == 202
    assert stage.call("DELETE", "/sessions/stopped")[0] == 202, "cancelling is idempotent"
    session = stage.ended("stopped", within_s=4)  # before the agents' answers
    assert (session["status"], session["reason"]) == ("CANCELLED", "cancelled by a client")
    assert session["cost_usd"] + session["committed_usd"] <= 0.006
    assert session["committed_usd"] > 0, "the calls that run already are paid"
    report = stage.report("stopped")
    assert [report[name] for name in ("status", "cost_usd", "committed_usd")] == [
        session[name] for name in ("status", "cost_usd", "committed_usd")
    ]
    assert asked() == 2


def test_sessions_are_listed_newest_first_in_pages(stage: Stage) -> None:
    for number in range(4):
        stage.start(session_id=f"page-{number}", tasks=["one"])
    _, _, first = stage.call("GET", "/sessions?limit=2")
    _, _, second = stage.call("GET", f"/sessions?limit=2&cursor={first['cursor']}")
    times = [session["created_at"] for session in first["sessions"] + second["sessions"]]
    assert len(times) == 4
    assert times == sorted(times, reverse=True)


def test_a_label_finds_its_sessions_also_behind_pages_of_others(stage: Stage) -> None:
    stage.start(session_id="labelled", tasks=["one"], labels=["team:boats", "q4"])
    for number in range(3):
        stage.start(session_id=f"unlabelled-{number}", tasks=["one"])
    _, _, page = stage.call("GET", "/sessions?label=team:boats&limit=1")
    assert [session["session_id"] for session in page["sessions"]] == ["labelled"]
    assert page["sessions"][0]["labels"] == ["team:boats", "q4"]
    stage.start(session_id="labelled-later", tasks=["one"], labels=["team:boats"])
    _, _, page = stage.call("GET", "/sessions?label=team:boats&limit=1")
    _, _, rest = stage.call("GET", f"/sessions?label=team:boats&limit=1&cursor={page['cursor']}")
    found = [session["session_id"] for session in page["sessions"] + rest["sessions"]]
    assert found == ["labelled-later", "labelled"], "a page that is full leads on after its last session"
    _, _, none = stage.call("GET", "/sessions?label=team:planes")
    assert none == {"sessions": [], "cursor": None}
    stage.ended("labelled")
    assert stage.report("labelled")["labels"] == ["team:boats", "q4"]
    query = "SELECT labels FROM sessions WHERE session_id = %s"
    assert until(lambda: rows(stage, query, own("labelled")), "its history") == [(["team:boats", "q4"],)]


def test_an_item_that_does_not_parse_hides_no_other_session_and_its_own_can_be_cancelled(stage: Stage) -> None:
    """Whatever broke it, neither the watchdog nor the list may stop at it."""
    stage.start(session_id="damaged", tasks=["[[offline:delay=5]] a", "[[offline:delay=5]] b"])
    stage.start(session_id="whole", tasks=["one"])
    key = {"pk": {"S": stage.key("damaged").partition}, "sk": {"S": "SESSION"}}
    table = {"TableName": stage.outputs["sessions_table"], "Key": key}
    change = {"UpdateExpression": "SET labels = :text", "ExpressionAttributeValues": {":text": {"S": "not a list"}}}
    stage.platform.client("dynamodb").update_item(**table, **change)
    try:
        status, _, listed = stage.call("GET", "/sessions")
        names = [session["session_id"] for session in listed["sessions"]]
        assert (status, "whole" in names, "damaged" in names) == (200, True, False)
        status, _, problem = stage.call("GET", "/sessions/damaged")
        assert (status, problem["type"].rsplit("#")[-1]) == (500, "session-unreadable")
        assert "SessionItem: labels" in problem["detail"]
        functions = stage.platform.client("lambda")
        round_ = functions.invoke(FunctionName="infrafabric-dev-watchdog", Qualifier="live", Payload=b"{}")
        assert b"SessionItem: labels" in round_["Payload"].read(), "the operator hears of it"
        status, _, cancelled = stage.call("DELETE", "/sessions/damaged")
        assert (status, cancelled["status"]) == (202, "CANCELLING")
    finally:
        stage.platform.client("dynamodb").update_item(**table, UpdateExpression="REMOVE labels")
    assert stage.ended("damaged")["status"] == "CANCELLED"


def test_a_session_with_more_tasks_than_one_execution_holds_is_split(stage: Stage) -> None:
    tasks = [f"part {n}" for n in range(TASKS_PER_EXECUTION + 10)]
    stage.start(session_id="wide", tasks=tasks)
    session = stage.ended("wide")
    assert (session["status"], session["tasks"]["done"]) == ("COMPLETE", len(tasks))


def test_a_hung_model_makes_a_partial_session_at_the_deadline(stage: Stage, hung: str) -> None:
    session = stage.ended(hung)
    assert session["status"] == "PARTIAL"
    assert "deadline" in session["reason"]
    assert [result["status"] for result in stage.report(hung)["results"]] == ["DONE", "FAILED"]


def broken_off(stage: Stage, session_id: str, *, left_ms: int) -> SessionStore:
    """Store a session of an hour ago whose execution broke off: of two requests that it sent, one was worked.

    Args:
        left_ms: time until the session's deadline.
    """
    store = stage.store()
    now = time.time_ns() // 1_000_000
    order = Order(
        session_id=own(session_id),
        owner="default",
        home="us-east-1",
        goal=None,
        tasks=("one", "two"),
        agents=2,
        created_ms=now - 3_600_000,
        deadline_ms=now + left_ms,
        budget_nusd=1_000_000_000,
        quorum=1.0,
    )
    store.create(order, digest="d", model="m")
    store.begin(order.key, tasks=2)
    attempts = tuple(
        Attempt(index=n, number=0, agent=f"h0{n + 1}", allowance_nusd=5_000, message_id=new_message_id())
        for n in range(2)
    )
    store.put_round(order.key, RoundPart(number=0, part=0, attempts=attempts))
    document = {
        **attempt_id(order, attempts[0]).members,
        "status": "DONE",
        "model": "m",
        "findings": [{"text": "a fact", "confidence": 0.5, "sources": []}],
        "cost_usd": 4e-6,
        "tokens": {"input": 1, "output": 1},
    }
    place, stored = attempts[0].place(order.key), stored_bytes(document)
    stage.platform.client("s3").put_object(Bucket=stage.outputs["results_bucket"], Key=place, Body=stored)
    return store


def watch(stage: Stage) -> dict[str, int]:
    """A round of the watchdog, now."""
    watchdog = {"FunctionName": "infrafabric-dev-watchdog", "Qualifier": "live"}
    return json.load(stage.platform.client("lambda").invoke(**watchdog)["Payload"])


def test_a_session_whose_execution_broke_off_is_gone_on_with_where_it_stood(stage: Stage, ten: dict[str, Any]) -> None:
    asked = stage.counting(r"Session: broken\b")
    store = broken_off(stage, "broken", left_ms=600_000)
    over, key = store.get(stage.key("ten")), stage.key("broken")
    assert over
    store.note_execution(key, over.execution_arn)
    long_ago = {":then": over.created_ms - 3_600_000}
    store.transact([store.update_request(key.partition, "SESSION", "SET updated_ms = :then", long_ago)])

    assert watch(stage)["stuck"] >= 1
    session = stage.ended("broken")
    assert (session["status"], session["tasks"]) == ("COMPLETE", {"total": 2, "done": 2, "failed": 0})
    results = stage.report("broken")["results"]
    assert [(row["agent"], row["status"]) for row in results] == [("h01", "DONE"), ("h01", "DONE")]
    assert asked() == 1, "the task that was done is not done again"
    assert session["committed_usd"] == 5e-6, "what the other request of the first execution may have spent"


def test_a_session_that_lost_its_coordinator_is_ended_reported_and_in_history(stage: Stage) -> None:
    broken_off(stage, "lost", left_ms=-LOST_AFTER_MS - 1_000)
    assert watch(stage)["lost"] >= 1
    session = stage.ended("lost")
    assert (session["status"], session["reason"]) == ("PARTIAL", LOST_REASON)
    written = until(
        lambda: rows(stage, "SELECT status FROM sessions WHERE session_id = %s", own("lost")), "its history"
    )
    assert written == [("PARTIAL",)]
    report = stage.report("lost")
    assert [row["status"] for row in report["results"]] == ["DONE", "SKIPPED"]
    assert [finding["text"] for finding in report["findings"]] == ["a fact"]
    assert report["summary"].startswith("No summary could be written")
    assert (report["cost_usd"], report["committed_usd"]) == (session["cost_usd"], session["committed_usd"])
