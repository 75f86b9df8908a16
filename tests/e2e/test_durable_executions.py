"""Durable executions on the platform: names, errors, lists and invocations are those of Lambda."""

from __future__ import annotations

import io
import json
import uuid
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.platform import ACCOUNT, REGION
from tests.e2e.conftest import Stage, until

COORDINATOR = "infrafabric-dev-coordinator"
SHORT = "durable-short"
CODE = """
from aws_durable_execution_sdk_python import durable_execution

@durable_execution
def handler(event, context):
    if "fail" in event:
        raise ValueError(event["fail"])
    if "callback" in event:
        return {"answer": context.create_callback(name=event["callback"]).result()}
    return {"echo": event}
"""


@dataclass(frozen=True)
class Durable:
    """A small durable function whose executions may take a minute, and the Lambda API."""

    functions: Any

    def invoke(self, payload: Any = None, *, function: str = f"{SHORT}:$LATEST", **arguments: Any) -> dict[str, Any]:
        body = json.dumps({} if payload is None else payload).encode()
        return self.functions.invoke(FunctionName=function, Payload=body, **arguments)

    def start(self, payload: Any, name: str) -> str:
        return self.invoke(payload, InvocationType="Event", DurableExecutionName=name)["DurableExecutionArn"]

    def error(self, operation: str, **arguments: Any) -> tuple[str, int]:
        """Code and HTTP status of the error that an operation returns."""
        with pytest.raises(ClientError) as caught:
            getattr(self.functions, operation)(**arguments)
        response = caught.value.response
        return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]

    def listed(self, function: str = SHORT, **arguments: Any) -> list[str]:
        """Names of the executions that one page lists."""
        page = self.functions.list_durable_executions_by_function(FunctionName=function, **arguments)
        return [execution["DurableExecutionName"] for execution in page["DurableExecutions"]]

    def describe(self, execution_arn: str) -> dict[str, Any]:
        return self.functions.get_durable_execution(DurableExecutionArn=execution_arn)

    def ended(self, execution_arn: str) -> dict[str, Any]:
        def if_ended() -> dict[str, Any] | None:
            execution = self.describe(execution_arn)
            return execution if execution["Status"] != "RUNNING" else None

        return until(if_ended, "the execution to end")

    def callback_of(self, execution_arn: str) -> str:
        def look() -> str | None:
            events = self.functions.get_durable_execution_history(DurableExecutionArn=execution_arn)["Events"]
            started = [e["CallbackStartedDetails"]["CallbackId"] for e in events if "CallbackStartedDetails" in e]
            return started[0] if started else None

        return until(look, "the callback to start")


@pytest.fixture(scope="module")
def durable(stage: Stage) -> Iterator[Durable]:
    iam, functions = stage.platform.client("iam"), stage.platform.client("lambda")
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    checkpoint = ["lambda:CheckpointDurableExecution", "lambda:GetDurableExecutionState"]
    rights = {"Effect": "Allow", "Action": checkpoint, "Resource": f"arn:aws:lambda:*:*:function:{SHORT}:*"}
    iam.create_role(RoleName=SHORT, AssumeRolePolicyDocument=json.dumps({"Statement": [trust]}))
    iam.put_role_policy(RoleName=SHORT, PolicyName="granted", PolicyDocument=json.dumps({"Statement": [rights]}))
    coordinator = functions.get_function_configuration(FunctionName=COORDINATOR)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as package:
        package.writestr("short.py", CODE)
    functions.create_function(
        FunctionName=SHORT,
        Runtime=coordinator["Runtime"],
        Role=f"arn:aws:iam::{ACCOUNT}:role/{SHORT}",
        Handler="short.handler",
        Code={"ZipFile": archive.getvalue()},
        Layers=[layer["Arn"] for layer in coordinator["Layers"]],
        Environment={"Variables": {"AWS_ENDPOINT_URL": stage.platform.endpoint_url}},
        DurableConfig={"ExecutionTimeout": 60},
        Timeout=30,
    )
    until(lambda: functions.get_function(FunctionName=SHORT)["Configuration"]["State"] == "Active", "the function")
    yield Durable(functions)
    functions.delete_function(FunctionName=SHORT)


def named(prefix: str) -> str:
    return f"{prefix}_{uuid.uuid4().hex[:8]}"


def test_an_answer_that_comes_late_is_told_so_with_lambdas_code(durable: Durable) -> None:
    arn = durable.start({"callback": "late"}, named("late"))
    callback = {"CallbackId": durable.callback_of(arn)}
    durable.functions.send_durable_execution_callback_success(**callback, Result=b"in time")
    assert json.loads(durable.ended(arn)["Result"]) == {"answer": "in time"}

    closed = ("CallbackTimeoutException", 400)
    assert durable.error("send_durable_execution_callback_success", **callback, Result=b'"late"') == closed
    assert durable.error("send_durable_execution_callback_failure", **callback) == closed
    assert durable.error("send_durable_execution_callback_heartbeat", **callback) == closed


def test_errors_of_durable_executions_carry_lambdas_codes(durable: Durable) -> None:
    nowhere = {"DurableExecutionArn": "arn:aws:lambda:us-east-1:000000000000:function:f:1/durable-execution/n/1"}
    assert durable.error("get_durable_execution", **nowhere) == ("ResourceNotFoundException", 404)
    assert durable.error("stop_durable_execution", **nowhere) == ("ResourceNotFoundException", 404)
    never = durable.error("send_durable_execution_callback_heartbeat", CallbackId="bm8=")
    assert never == ("InvalidParameterValueException", 400)
    stale = {"DurableExecutionArn": durable.start({}, named("stale")), "CheckpointToken": "bm8=", "Updates": []}
    assert durable.error("checkpoint_durable_execution", **stale) == ("InvalidParameterValueException", 400)


def test_two_starts_at_once_with_one_name_and_payload_are_one_execution(durable: Durable) -> None:
    name = named("once")
    with ThreadPoolExecutor(8) as pool:
        arns = set(pool.map(lambda _: durable.start({"n": 1}, name), range(8)))
    assert len(arns) == 1
    assert durable.listed(DurableExecutionName=name) == [name]


def test_a_name_keeps_its_execution_after_the_end(durable: Durable) -> None:
    name = named("ended")
    arn = durable.start({"n": 1}, name)
    assert durable.ended(arn)["Status"] == "SUCCEEDED"
    assert durable.start({"n": 1}, name) == arn
    again = durable.invoke({"n": 1}, DurableExecutionName=name)
    assert (again["DurableExecutionArn"], json.load(again["Payload"])) == (arn, {"echo": {"n": 1}})


def test_a_name_with_another_payload_or_function_is_refused(durable: Durable) -> None:
    name = named("taken")
    durable.start({"n": 1}, name)
    request = {"FunctionName": f"{SHORT}:$LATEST", "InvocationType": "Event", "DurableExecutionName": name}
    refused = ("DurableExecutionAlreadyStartedException", 409)
    assert durable.error("invoke", **request, Payload=b'{"n": 2}') == refused
    other = {**request, "FunctionName": f"{COORDINATOR}:live"}
    assert durable.error("invoke", **other, Payload=b'{"n": 1}') == refused
    invalid = {**request, "DurableExecutionName": "a.b"}
    assert durable.error("invoke", **invalid, Payload=b"{}") == ("InvalidParameterValueException", 400)


def test_a_synchronous_invoke_waits_for_the_result(durable: Durable) -> None:
    with ThreadPoolExecutor(1) as pool:
        name = named("wait")
        waiting = pool.submit(durable.invoke, {"callback": "go"}, DurableExecutionName=name)
        until(lambda: durable.listed(DurableExecutionName=name), "the execution")
        arn = durable.start({"callback": "go"}, name)
        callback = durable.callback_of(arn)
        assert not waiting.done()
        durable.functions.send_durable_execution_callback_success(CallbackId=callback, Result=b"gone")
        response = waiting.result(timeout=30)
    assert json.load(response["Payload"]) == {"answer": "gone"}
    assert (response["StatusCode"], response["ExecutedVersion"], response["DurableExecutionArn"]) == (
        200,
        "$LATEST",
        arn,
    )


def test_a_synchronous_invoke_returns_the_error_of_a_function_that_failed(durable: Durable) -> None:
    response = durable.invoke({"fail": "no boat"})
    assert response["FunctionError"] == "Unhandled"
    assert json.load(response["Payload"])["errorMessage"] == "no boat"


def test_an_execution_that_may_outlast_a_synchronous_invoke_is_not_started_by_one(durable: Durable) -> None:
    before = durable.listed(COORDINATOR)
    refused = durable.error("invoke", FunctionName=f"{COORDINATOR}:live", Payload=b"{}")
    assert refused == ("InvalidParameterValueException", 400)
    assert durable.listed(COORDINATOR) == before


def test_a_dry_run_and_an_unqualified_name_start_nothing(durable: Durable) -> None:
    name = named("dry")
    assert durable.invoke(InvocationType="DryRun", DurableExecutionName=name)["StatusCode"] == 204
    unqualified = {"FunctionName": SHORT, "InvocationType": "Event", "DurableExecutionName": name}
    assert durable.error("invoke", **unqualified) == ("InvalidParameterValueException", 400)
    assert durable.listed(DurableExecutionName=name) == []


def test_executions_are_listed_by_name_status_version_and_time(durable: Durable) -> None:
    names = [named("listed") for _ in range(3)]
    first, second = durable.start({}, names[0]), durable.start({"fail": "x"}, names[1])
    assert {durable.ended(first)["Status"], durable.ended(second)["Status"]} == {"SUCCEEDED", "FAILED"}
    durable.start({"callback": "open"}, names[2])
    now, day = durable.describe(second)["StartTimestamp"], timedelta(days=1)

    def listed(**arguments: Any) -> list[str]:
        return [name for name in durable.listed(**arguments) if name in names]

    assert listed() == names[::-1], "newest first"
    assert listed(ReverseOrder=True) == names
    assert listed(Statuses=["RUNNING", "FAILED"]) == [names[2], names[1]]
    assert listed(Qualifier="$LATEST") == names[::-1]
    assert listed(Qualifier="1") == []
    assert (listed(StartedAfter=now - day), listed(StartedAfter=now + day)) == (names[::-1], [])
    assert (listed(StartedBefore=now + day), listed(StartedBefore=now - day)) == (names[::-1], [])
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{SHORT}"
    assert durable.listed(arn, DurableExecutionName=names[0]) == [names[0]]
    nowhere = durable.error("list_durable_executions_by_function", FunctionName="nowhere")
    assert nowhere == ("ResourceNotFoundException", 404)


def test_a_list_is_paged_without_gap_or_repeat(durable: Durable) -> None:
    name = named("page")
    arns = {durable.start({"n": n}, f"{name}_{n}") for n in range(5)}
    pages = durable.functions.get_paginator("list_durable_executions_by_function").paginate(
        FunctionName=SHORT, PaginationConfig={"PageSize": 2}
    )
    found = [e["DurableExecutionArn"] for page in pages for e in page["DurableExecutions"]]
    assert len(found) == len(set(found))
    assert arns <= set(found)
    bad = durable.error("list_durable_executions_by_function", FunctionName=SHORT, Marker="x")
    assert bad == ("InvalidParameterValueException", 400)


def test_a_session_posted_twice_at_once_has_one_execution(stage: Stage, durable: Durable) -> None:
    sessions = [named("twice").replace("_", "-") for _ in range(8)]
    with ThreadPoolExecutor(16) as pool:
        bodies = [{"session_id": s, "tasks": ["one", "two"], "agents": 3} for s in sessions for _ in range(2)]
        answers = list(pool.map(lambda body: stage.call("POST", "/sessions", body), bodies))
    assert {status for status, _, _ in answers} <= {200, 202}, answers
    ended = [stage.ended(session) for session in sessions]
    assert {(s["status"], s["tasks"]["done"]) for s in ended} == {("COMPLETE", 2)}, ended
    everything = durable.listed(COORDINATOR, MaxItems=1000)
    counts = {session: sum(name.startswith(session) for name in everything) for session in sessions}
    assert counts == dict.fromkeys(sessions, 1)
