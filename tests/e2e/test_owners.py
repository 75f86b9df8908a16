"""Clients, roles and operators at the real API: each sees its own sessions, and spends what it may."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.credentials import Credentials

from infrafabric.cli.main import main
from infrafabric.swarm.session_ids import internal_id
from local.platform import ACCOUNT, REGION
from tests.e2e.conftest import Stage, own

SLOW = ["[[offline:delay=20]] a"]  # so that no session ends by itself during a test
Call = Callable[..., tuple[int, Any]]


def new_id() -> str:
    return f"owned-{uuid.uuid4().hex[:8]}"


def with_key(stage: Stage, client: str, label: str = "current") -> Call:
    """Requests with the key of a client."""

    def call(method: str, path: str, body: Any = None) -> tuple[int, Any]:
        status, _, document = stage.call(method, path, body, key=stage.outputs["api_keys"][client][label])
        return status, document

    return call


def assume(stage: Stage, role: str, session: str = "someone", *, allowed: str) -> Call:
    """Signed requests of a role that may invoke the paths of the API that ``allowed`` names."""
    iam, sts = stage.platform.client("iam"), stage.platform.client("sts")
    known = {found["RoleName"] for found in iam.list_roles()["Roles"]}
    trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}
    paths = f"arn:aws:execute-api:{REGION}:{ACCOUNT}:*/v1/*/{allowed}/*"
    invoke = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": paths}
    if role not in known:
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        iam.create_role(RoleName=role, Path="/people/", AssumeRolePolicyDocument=document)
    policy = json.dumps({"Version": "2012-10-17", "Statement": [invoke]})
    iam.put_role_policy(RoleName=role, PolicyName="invoke", PolicyDocument=policy)
    arn = f"arn:aws:iam::{ACCOUNT}:role/people/{role}"
    given = sts.assume_role(RoleArn=arn, RoleSessionName=session)["Credentials"]
    credentials = Credentials(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
    return lambda method, path, body=None: stage.signed(method, path, body, credentials=credentials)


def callers(stage: Stage, kind: str) -> tuple[Call, Call]:
    """A caller with a session, and the one who attacks the session."""
    if kind == "two clients":
        return with_key(stage, "default"), with_key(stage, "partner")
    role = prefixed(assume(stage, "researcher", allowed="iam"), "/iam")
    if kind == "a role and a client":
        return role, with_key(stage, "partner")
    if kind == "a client and a role":
        return with_key(stage, "default"), role
    return role, prefixed(assume(stage, "accountant", allowed="iam"), "/iam")


def prefixed(call: Call, prefix: str) -> Call:
    return lambda method, path, body=None: call(method, prefix + path, body)


KINDS = ["two clients", "two roles", "a role and a client", "a client and a role"]


@pytest.mark.parametrize("kind", KINDS)
def test_nobody_lists_reads_reports_or_cancels_the_session_of_another(stage: Stage, kind: str) -> None:
    mine, theirs = callers(stage, kind)
    session_id, nobodys = new_id(), new_id()
    assert mine("POST", "/sessions", {"session_id": session_id, "tasks": SLOW})[0] == 202
    for method, path in (
        ("GET", "/sessions/{}"),
        ("GET", "/sessions/{}/report"),
        ("DELETE", "/sessions/{}"),
    ):
        status, problem = theirs(method, path.format(session_id))
        assert status == 404
        _, unknown = theirs(method, path.format(nobodys))
        assert json.dumps(problem).replace(session_id, nobodys) == json.dumps(unknown), "as one that does not exist"
    assert session_id not in ids(theirs("GET", "/sessions?limit=100"))
    assert session_id in ids(mine("GET", "/sessions?limit=100"))
    assert mine("GET", f"/sessions/{session_id}")[1]["status"] in ("PENDING", "RUNNING")
    assert mine("DELETE", f"/sessions/{session_id}") == (202, {"session_id": session_id, "status": "CANCELLING"})


@pytest.mark.parametrize("kind", KINDS)
def test_the_request_of_another_repeated_is_a_session_of_ones_own(stage: Stage, kind: str) -> None:
    mine, theirs = callers(stage, kind)
    body = {"session_id": new_id(), "tasks": SLOW}
    assert [caller("POST", "/sessions", body)[0] for caller in (mine, theirs)] == [202, 202]
    assert [caller("POST", "/sessions", body)[0] for caller in (mine, theirs)] == [200, 200], "idempotent per owner"
    changed = {**body, "quorum": 0.5}
    assert [caller("POST", "/sessions", changed)[0] for caller in (mine, theirs)] == [409, 409]
    theirs("DELETE", f"/sessions/{body['session_id']}")
    assert mine("GET", f"/sessions/{body['session_id']}")[1]["status"] in ("PENDING", "RUNNING")
    mine("DELETE", f"/sessions/{body['session_id']}")


def ids(answer: tuple[int, Any]) -> list[str]:
    status, page = answer
    assert status == 200
    return [session["session_id"] for session in page["sessions"]]


def test_an_internal_id_leads_a_client_nowhere(stage: Stage) -> None:
    mine, theirs = callers(stage, "two clients")
    session_id = new_id()
    mine("POST", "/sessions", {"session_id": session_id, "tasks": SLOW})
    for caller in (mine, theirs):
        for method, path in (("GET", "/sessions/{}"), ("GET", "/sessions/{}/report"), ("DELETE", "/sessions/{}")):
            assert caller(method, path.format(own(session_id)))[0] == 404
    assert mine("POST", "/sessions", {"session_id": own(session_id), "tasks": SLOW})[0] == 400
    mine("DELETE", f"/sessions/{session_id}")


def test_both_keys_of_a_client_are_one_owner(stage: Stage) -> None:
    current, following = with_key(stage, "partner"), with_key(stage, "partner", "next")
    session_id = new_id()
    assert current("POST", "/sessions", {"session_id": session_id, "tasks": SLOW})[0] == 202
    assert following("POST", "/sessions", {"session_id": session_id, "tasks": SLOW})[0] == 200
    assert following("DELETE", f"/sessions/{session_id}")[0] == 202


def test_all_sessions_of_a_role_are_one_owner(stage: Stage) -> None:
    one, other = (prefixed(assume(stage, "researcher", name, allowed="iam"), "/iam") for name in ("ada", "grace"))
    session_id = new_id()
    assert one("POST", "/sessions", {"session_id": session_id, "tasks": SLOW})[0] == 202
    assert session_id in ids(other("GET", "/sessions"))
    operator = assume(stage, "operator", allowed="operator")
    owner = f"iam:{ACCOUNT}:role/researcher"
    status, session = operator("GET", f"/operator/sessions/{internal_id(session_id, owner)}")
    assert (status, session["owner"]) == (200, owner)
    assert other("DELETE", f"/sessions/{session_id}")[0] == 202


def test_pages_of_a_list_hold_only_the_callers_sessions_and_no_cursor_leads_to_others(stage: Stage) -> None:
    mine, theirs = callers(stage, "two clients")
    started = {caller: [new_id() for _ in range(3)] for caller in (mine, theirs)}
    for caller, names in started.items():
        for name in names:
            caller("POST", "/sessions", {"session_id": name, "tasks": ["one"], "labels": ["paged"]})
    for query in ("limit=2", "limit=2&label=paged"):
        _, first = mine("GET", f"/sessions?{query}")
        assert ids((200, first)) == started[mine][:0:-1], "the newest first"
        assert started[mine][0] in ids(mine("GET", f"/sessions?{query}&cursor={first['cursor']}"))
        others = ids(theirs("GET", f"/sessions?{query}&cursor={first['cursor']}"))
        assert not set(others) & set(started[mine]), "a cursor of another is a place in one's own list"


def test_an_operator_lists_reads_reports_and_cancels_every_session_and_starts_none(stage: Stage) -> None:
    operator = assume(stage, "operator", allowed="operator")
    session_id = new_id()
    with_key(stage, "partner")("POST", "/sessions", {"session_id": session_id, "tasks": SLOW})
    internal = own(session_id, "partner")
    _, page = operator("GET", "/operator/sessions?limit=100")
    assert (internal, "partner") in [(one["session_id"], one["owner"]) for one in page["sessions"]]
    assert operator("GET", f"/operator/sessions/{internal}/report")[0] == 409
    assert operator("DELETE", f"/operator/sessions/{internal}")[1] == {"session_id": internal, "status": "CANCELLING"}
    stage.ended_by(lambda: operator("GET", f"/operator/sessions/{internal}")[1])
    status, report = operator("GET", f"/operator/sessions/{internal}/report")
    assert (status, report["session_id"]) == (200, internal)
    assert with_key(stage, "partner")("GET", f"/sessions/{session_id}")[1]["reason"] == "cancelled by an operator"
    assert operator("POST", "/operator/sessions", {"tasks": ["a"]})[0] in (403, 404)
    assert operator("GET", f"/operator/sessions/{session_id}")[0] == 404


def test_iam_grants_operators_and_callers_apart_and_no_key_opens_either(stage: Stage) -> None:
    operator, caller = assume(stage, "operator", allowed="operator"), assume(stage, "researcher", allowed="iam")
    assert operator("GET", "/iam/sessions")[0] == 403
    assert caller("GET", "/operator/sessions")[0] == 403
    for path in ("/iam/sessions", "/operator/sessions"):
        assert with_key(stage, "default")("GET", path)[0] == 403


def test_the_shell_has_an_operators_view(
    stage: Stage, aws_shell: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    session_id = new_id()
    with_key(stage, "partner")("POST", "/sessions", {"session_id": session_id, "tasks": SLOW})
    monkeypatch.setenv("FABRIC_API_URL", stage.outputs["api_url"])
    monkeypatch.setenv("FABRIC_API_KEY", stage.outputs["api_key"])
    assert main(["session", "show", "--operator", own(session_id, "partner")]) == 0
    assert capsys.readouterr().out.startswith(f"{own(session_id, 'partner')}  partner  ")
    assert main(["session", "cancel", "--operator", own(session_id, "partner")]) == 0
    assert main(["session", "show", session_id]) == 1, "with the key of another client"


def test_a_client_spends_no_more_on_a_session_than_it_may(stage: Stage) -> None:
    partner = with_key(stage, "partner")
    status, problem = partner("POST", "/sessions", {"session_id": new_id(), "tasks": ["a"], "budget_usd": 2.01})
    assert (status, problem["type"].rsplit("#")[-1], problem["max_budget_usd"]) == (403, "budget-too-large", 2)
    role = prefixed(assume(stage, "researcher", allowed="iam"), "/iam")
    status, problem = role("POST", "/sessions", {"session_id": new_id(), "tasks": ["a"], "budget_usd": 11})
    assert (status, problem["max_budget_usd"]) == (403, 10), "a caller that signs has limits, too"


def test_a_day_has_a_cap_that_sessions_at_once_do_not_exceed_and_an_end_gives_back(stage: Stage) -> None:
    capped = with_key(stage, "capped")
    names = [new_id() for _ in range(4)]

    def start(session_id: str) -> tuple[int, Any]:
        return capped("POST", "/sessions", {"session_id": session_id, "tasks": SLOW, "budget_usd": 6})

    with ThreadPoolExecutor(4) as pool:
        answers = dict(zip(names, pool.map(start, names), strict=True))
    assert sorted(status for status, _ in answers.values()) == [202, 429, 429, 429]
    admitted = next(name for name, (status, _) in answers.items() if status == 202)
    problem = next(document for status, document in answers.values() if status == 429)
    assert problem["type"].rsplit("#")[-1] == "daily-cap-reached"
    assert (problem["cap_usd"], problem["used_usd"], problem["reserved_usd"]) == (10, 0, 6)
    assert start(admitted)[0] == 200, "a repeat costs nothing"
    capped("DELETE", f"/sessions/{admitted}")
    stage.ended_by(lambda: capped("GET", f"/sessions/{admitted}")[1])
    again = next(name for name in names if name != admitted)
    assert start(again)[0] == 202
    capped("DELETE", f"/sessions/{again}")
    stage.ended_by(lambda: capped("GET", f"/sessions/{again}")[1])


def test_what_a_finished_session_cost_is_used_of_the_cap_and_no_more(stage: Stage) -> None:
    session_id, client = new_id(), "capped"
    capped = with_key(stage, client)
    before = cap_of(stage, client)
    assert capped("POST", "/sessions", {"session_id": session_id, "tasks": ["quick"], "budget_usd": 3})[0] == 202
    operator = assume(stage, "operator", allowed="operator")
    internal = own(session_id, client)
    session = stage.ended_by(lambda: operator("GET", f"/operator/sessions/{internal}")[1])
    assert (session["status"], session["cost_usd"] > 0) == ("COMPLETE", True)
    total, running = cap_of(stage, client)
    assert total - before[0] == round((session["cost_usd"] + session["committed_usd"]) * 10**9)
    assert running == before[1]


def cap_of(stage: Stage, owner: str) -> tuple[int, int]:
    """What is taken from all days' caps of an owner: the test may run at midnight."""
    pages = stage.platform.client("dynamodb").get_paginator("scan").paginate(TableName=stage.outputs["sessions_table"])
    items = [item for page in pages for item in page["Items"] if item["pk"]["S"].startswith(f"cap#{owner}#")]
    total, running = (sum(int(item[name]["N"]) for item in items) for name in ("total_nusd", "running_nusd"))
    return total, running
