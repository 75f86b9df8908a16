"""Bad input meets the deployed API: each gets a problem document that names the field, and changes nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.conftest import Stage

CASES: dict[str, tuple[bytes, int, str]] = {
    "not JSON": (b"{goal: 'x'", 400, "body"),
    "a list": (b"[]", 400, "body"),
    "a wrong type": (b'{"goal": 5}', 400, "goal"),
    "an unknown field": (b'{"goal": "x", "speed": 1}', 400, "speed"),
    "an empty goal": (b'{"goal": ""}', 400, "goal"),
    "a blank goal": (b'{"goal": "  "}', 400, "goal"),
    "neither goal nor tasks": (b"{}", 400, "goal"),
    "both": (b'{"goal": "x", "tasks": ["y"]}', 400, "goal"),
    "no agents": (b'{"goal": "x", "agents": 0}', 400, "agents"),
    "too many agents": (b'{"goal": "x", "agents": 10000}', 400, "agents"),
    "agents as text": (b'{"goal": "x", "agents": "3"}', 400, "agents"),
    "agents as truth": (b'{"goal": "x", "agents": true}', 400, "agents"),
    "a negative budget": (b'{"goal": "x", "budget_usd": -1}', 400, "budget_usd"),
    "no budget": (b'{"goal": "x", "budget_usd": 0}', 400, "budget_usd"),
    "a budget of NaN": (b'{"goal": "x", "budget_usd": NaN}', 400, "body"),
    "a deadline in the past": (b'{"goal": "x", "deadline_s": -5}', 400, "deadline_s"),
    "a deadline too near": (b'{"goal": "x", "deadline_s": 29}', 400, "deadline_s"),
    "a quorum above one": (b'{"goal": "x", "quorum": 1.1}', 400, "quorum"),
    "an id that climbs": (b'{"goal": "x", "session_id": "../../etc"}', 400, "session_id"),
    "an id of emoji": (json.dumps({"goal": "x", "session_id": "🚤" * 512}).encode(), 400, "session_id"),
    "a member twice": (b'{"goal": "x", "goal": "y"}', 400, "body"),
    "ten megabytes": (json.dumps({"goal": "x" * 10_000_000}).encode(), 413, "body"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_named_and_changes_nothing(stage: Stage, case: str) -> None:
    raw, status, field = CASES[case]
    before = sessions(stage)
    got, headers, problem = stage.call("POST", "/sessions", raw=raw)
    assert got == status, problem
    assert headers["content-type"] == "application/problem+json"
    assert {"type", "title", "status", "detail"} <= set(problem)
    assert problem["status"] == status
    if got == 400 and problem["type"].endswith("invalid-request"):
        assert field in [error["field"].split(".")[0] for error in problem["errors"]]
    assert sessions(stage) == before


@pytest.mark.parametrize(
    "path", ["/sessions/nobody", "/sessions/nobody/report", "/sessions/%2e%2e%2f", "/sessions/%F0%9F"]
)
def test_an_unknown_session_is_not_found(stage: Stage, path: str) -> None:
    status, headers, problem = stage.call("GET", path)
    assert status == 404, problem
    assert headers["content-type"] == "application/problem+json"


def test_a_report_before_its_time_is_a_conflict(stage: Stage) -> None:
    stage.start(session_id="early", tasks=["[[offline:delay=3]] slow"])
    status, headers, problem = stage.call("GET", "/sessions/early/report")
    assert (status, headers["content-type"]) == (409, "application/problem+json")
    assert "early" in problem["detail"]


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "limit=101", "cursor=%21", "cursor=e30=", "page=2"])
def test_a_bad_page_is_named(stage: Stage, query: str) -> None:
    status, _, problem = stage.call("GET", f"/sessions?{query}")
    assert status == 400
    assert problem["errors"][0]["field"] == query.partition("=")[0]


@pytest.mark.parametrize("key", [None, "wrong"])
def test_without_a_key_nothing_is_answered(stage: Stage, key: str | None) -> None:
    status, _, _ = stage.call("GET", "/sessions", key=key)
    assert status == 403


def sessions(stage: Stage) -> list[Any]:
    table = stage.outputs["sessions_table"]
    found = stage.platform.client("dynamodb").scan(
        TableName=table, FilterExpression="sk = :s", ExpressionAttributeValues={":s": {"S": "SESSION"}}
    )
    return sorted(item["pk"]["S"] for item in found["Items"])
