"""Durable executions on the emulator: served by AWS's local runner, authorised by the emulator's IAM.

Callers see no difference to AWS: an Invoke of a durable function starts an execution (once per execution name), the
Lambda endpoint serves the durable API, errors carry Lambda's codes, and a role needs the same permissions on the same
ARNs.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import uuid
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote

from durable_executions import DurableExecutions, DurableFunction
from durable_runner import DurableRunner
from lambda_errors import HttpResponse, LambdaApiError
from ministack import app as ministack
from ministack.core import iam_evaluator, responses
from ministack.core.router import extract_access_key_id, extract_region
from ministack.services import lambda_svc

_INVOKE = re.compile(r"^/2015-03-31/functions/([^/]+)/invocations$")
_LIST = re.compile(r"^/2025-12-01/functions/([^/]+)/durable-executions$")
_CALLBACK = re.compile(r"^/2025-12-01/durable-execution-callbacks/(.+)/(succeed|fail|heartbeat)$")
_EXECUTION = re.compile(r"^/2025-12-01/durable-executions/(.+?)(?:/(checkpoint|state|history|stop))?$")
# Name, partial ARN or ARN of a function, with or without a qualifier (Lambda API Reference, Invoke).
_FUNCTION = re.compile(r"^(?:arn:[\w-]+:lambda:)?(?:[a-z0-9-]+-\d:)?(?:\d{12}:)?(?:function:)?([\w.-]+)(?::(.+))?$")
_HANDLER_CALL = "x-dex-handler-invoke"  # header of an Invoke by the local runner, which runs the handler once
_LONGEST_SYNCHRONOUS_S = 900
_CALLBACK_ACTIONS = {
    "succeed": "SendDurableExecutionCallbackSuccess",
    "fail": "SendDurableExecutionCallbackFailure",
    "heartbeat": "SendDurableExecutionCallbackHeartbeat",
}
_EXECUTION_ACTIONS = {
    "checkpoint": "CheckpointDurableExecution",
    "state": "GetDurableExecutionState",
    "history": "GetDurableExecutionHistory",
    "stop": "StopDurableExecution",
    None: "GetDurableExecution",
}


@dataclass(frozen=True)
class HttpCall:
    """HTTP request with its whole body."""

    method: str
    path: str  # percent-encoded as sent: a callback ID can contain a slash
    query: str
    headers: dict[str, str]
    raw_headers: list[tuple[bytes, bytes]]
    body: bytes

    @classmethod
    def of(cls, scope: dict[str, Any], headers: dict[bytes, bytes], body: bytes) -> HttpCall:
        """Create a call from an ASGI scope."""
        text = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers.items()}
        raw_path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
        return cls(scope["method"], raw_path, scope["query_string"].decode(), text, list(scope["headers"]), body)


@dataclass(frozen=True)
class NamedFunction:
    """Function of the emulator, as a request named it."""

    unqualified_arn: str
    qualifier: str  # "" if the request has none
    version: str
    durable_config: dict[str, int] | None

    @property
    def arn(self) -> str:
        """ARN as named, which policies for the function are matched against."""
        return f"{self.unqualified_arn}:{self.qualifier}" if self.qualifier else self.unqualified_arn

    def durable(self) -> DurableFunction:
        """Return the version that an execution runs."""
        fields = self.unqualified_arn.split(":")
        return DurableFunction(
            account=fields[4],
            region=fields[3],
            name=fields[6],
            version=self.version,
            config=self.durable_config or {},
        )


class DurableRoutes:
    """Router for durable executions. All other calls are MiniStack's."""

    def __init__(self, endpoint: str) -> None:
        self._runner = DurableRunner(endpoint)
        self._executions = DurableExecutions(self._runner)
        self._function_of: dict[str, str] = {}  # execution ARN → ARN that IAM policies are matched against

    async def try_serve(self, call: HttpCall) -> HttpResponse | None:
        """Return the response, or None if the call is not for a durable execution."""
        try:
            return await self._serve(call)
        except LambdaApiError as error:
            return error.response()

    async def _serve(self, call: HttpCall) -> HttpResponse | None:
        invocation, listing = _INVOKE.match(call.path), _LIST.match(call.path)
        if invocation and call.method == "POST":
            return await self._invoke(unquote(invocation[1]), call)
        if listing and call.method == "GET":
            return await self._list(unquote(listing[1]), call)
        callback, execution = _CALLBACK.match(call.path), _EXECUTION.match(call.path)
        if callback:
            try:
                execution_arn = json.loads(base64.b64decode(unquote(callback[1])))["arn"]
            except (ValueError, KeyError, TypeError):
                raise LambdaApiError("InvalidParameterValueException", "Invalid callback id") from None
            action = _CALLBACK_ACTIONS[callback[2]]
        elif execution:
            execution_arn, action = unquote(execution[1]), _EXECUTION_ACTIONS[execution[2]]
        else:
            return None
        denied = _denied(call, f"lambda:{action}", self._function_of.get(execution_arn, "arn:aws:lambda:::unknown"))
        return denied or await asyncio.to_thread(self._forward, call)

    async def _invoke(self, name: str, call: HttpCall) -> HttpResponse | None:
        function = _function(name, call)
        if function is None or not function.durable_config:
            return None
        if _HANDLER_CALL in call.headers:
            self._remember(json.loads(call.body)["DurableExecutionArn"], function.durable())
            return None
        denied = _denied(call, "lambda:InvokeFunction", function.arn)
        return denied or await self._start(function, call)

    async def _start(self, function: NamedFunction, call: HttpCall) -> HttpResponse:
        """Start an execution and wait for its end if the Invoke is synchronous, as Lambda's default is."""
        if not function.qualifier:
            text = "You cannot invoke a durable function using an unqualified ARN."
            raise LambdaApiError("InvalidParameterValueException", text)
        kind = call.headers.get("x-amz-invocation-type", "RequestResponse")
        durable = function.durable()
        if kind == "DryRun":
            return 204, {}, b""
        if kind != "Event" and durable.config["ExecutionTimeout"] > _LONGEST_SYNCHRONOUS_S:
            text = (
                "You cannot synchronously invoke a durable function with an executionTimeout greater than 15 minutes."
            )
            raise LambdaApiError("InvalidParameterValueException", text)
        arn = await self._executions.start(durable, call.headers.get("x-amz-durable-execution-name"), call.body)
        self._remember(arn, durable)
        headers = {"x-amz-durable-execution-arn": arn, "content-type": "application/json"}
        if kind == "Event":
            return 202, headers, b""
        execution = await self._executions.wait(arn)
        headers["x-amz-executed-version"] = durable.version
        if execution["Status"] == "SUCCEEDED":
            return 200, headers, (execution.get("Result") or "null").encode()
        error = execution.get("Error") or {}
        members = {"errorType": "ErrorType", "errorMessage": "ErrorMessage", "stackTrace": "StackTrace"}
        body = {member: error[source] for member, source in members.items() if error.get(source) is not None}
        return 200, {**headers, "x-amz-function-error": "Unhandled"}, json.dumps(body).encode()

    async def _list(self, name: str, call: HttpCall) -> HttpResponse:
        function = _function(name, call)
        if function is None:
            raise LambdaApiError("ResourceNotFoundException", f"Function not found: {name}")
        if denied := _denied(call, "lambda:ListDurableExecutionsByFunction", function.arn):
            return denied
        durable, version = function.durable(), function.version if function.qualifier else None
        page = await self._executions.list(durable.account, durable.name, version, parse_qs(call.query))
        return 200, {"content-type": "application/json"}, json.dumps(page).encode()

    def _remember(self, execution_arn: str, function: DurableFunction) -> None:
        self._function_of[execution_arn] = f"{function.arn}/durable-execution/{execution_arn}/{execution_arn}"

    def _forward(self, call: HttpCall) -> HttpResponse:
        headers = {name: value for name, value in call.headers.items() if name in ("content-type", "accept")}
        target = f"{call.path}?{call.query}" if call.query else call.path
        return self._runner.send(call.method, target, call.body, headers)


def _function(name: str, call: HttpCall) -> NamedFunction | None:
    """Return a function with the version that is named, or None if the emulator has no such function."""
    _set_caller(call)
    named = _FUNCTION.match(name)
    function = lambda_svc._functions.get(named[1]) if named else None
    if named is None or function is None:
        return None
    qualifier = named[2] or parse_qs(call.query).get("Qualifier", [""])[0]
    alias = function.get("aliases", {}).get(qualifier)
    config = function["config"]
    return NamedFunction(
        unqualified_arn=config["FunctionArn"].split(":function:")[0] + f":function:{named[1]}",
        qualifier=qualifier,
        version=alias["FunctionVersion"] if alias else qualifier or "$LATEST",
        durable_config=config.get("DurableConfig"),
    )


def _set_caller(call: HttpCall) -> None:
    """Set account and Region of the request in MiniStack, as its own router does."""
    query = parse_qs(call.query, keep_blank_values=True)
    key = extract_access_key_id(call.headers, query)
    responses.set_request_account_id(ministack._request_account_scope(key) if ministack.AUTH else key)
    responses.set_request_region(extract_region(call.headers))


def _denied(call: HttpCall, action: str, resource_arn: str) -> HttpResponse | None:
    """Check the caller's signature and policies for ``action``. Return an error response, or None if allowed."""
    _set_caller(call)
    query = parse_qs(call.query, keep_blank_values=True)
    iam_evaluator.pin_signed_request(call.method, call.path, query, call.raw_headers)
    iam_evaluator.pin_signed_body(call.body)
    return ministack._enforce_data_plane(
        "lambda", action, call.headers, query, str(uuid.uuid4()), resource_arn=resource_arn
    )
