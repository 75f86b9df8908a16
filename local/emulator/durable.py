"""Durable executions on the emulator: served by AWS's local runner, authorised by the emulator's IAM.

Callers see no difference to AWS: an Invoke of a durable function starts an execution (once per execution name), the
Lambda endpoint serves the durable API, and a role needs the same permissions on the same ARNs.
"""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import re
import uuid
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from ministack import app as ministack
from ministack.core import iam_evaluator, responses
from ministack.core.router import extract_access_key_id, extract_region
from ministack.services import lambda_svc

HttpResponse = tuple[int, dict[str, str], bytes]
_INVOKE = re.compile(r"^/2015-03-31/functions/([^/]+)/invocations$")
_CALLBACK = re.compile(r"^/2025-12-01/durable-execution-callbacks/(.+)/(succeed|fail|heartbeat)$")
_EXECUTION = re.compile(r"^/2025-12-01/durable-executions/(.+?)(?:/(checkpoint|state|history|stop))?$")
_HANDLER_CALL = "x-dex-handler-invoke"  # header of an Invoke by the local runner, which runs the handler once
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
_NO_CALLBACK: HttpResponse = (
    400,
    {"content-type": "application/json", "x-amzn-errortype": "InvalidParameterValueException"},
    b'{"Type": "User", "message": "Invalid callback id"}',
)
_OTHER_PAYLOAD: HttpResponse = (
    409,
    {"content-type": "application/json", "x-amzn-errortype": "DurableExecutionAlreadyStartedException"},
    b'{"Type": "User", "message": "An execution with this name was started with another payload"}',
)


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


class DurableRoutes:
    """Router for durable executions. All other calls are MiniStack's."""

    def __init__(self, endpoint: str) -> None:
        self._runner = urlsplit(endpoint)
        self._function_of: dict[str, str] = {}  # execution ARN → ARN that IAM policies are matched against
        self._payloads: dict[str, bytes] = {}  # execution name → payload of the first start

    async def try_serve(self, call: HttpCall) -> HttpResponse | None:
        """Return the response, or None if the call is not for a durable execution."""
        invocation = _INVOKE.match(call.path)
        if invocation and call.method == "POST":
            return await self._invoke(unquote(invocation[1]), call)
        callback, execution = _CALLBACK.match(call.path), _EXECUTION.match(call.path)
        if callback:
            try:
                execution_arn = json.loads(base64.b64decode(unquote(callback[1])))["arn"]
            except (ValueError, KeyError, TypeError):
                return _NO_CALLBACK
            action = _CALLBACK_ACTIONS[callback[2]]
        elif execution:
            execution_arn, action = unquote(execution[1]), _EXECUTION_ACTIONS[execution[2]]
        else:
            return None
        denied = _denied(call, f"lambda:{action}", self._function_of.get(execution_arn, "arn:aws:lambda:::unknown"))
        return denied or await asyncio.to_thread(self._forward, call)

    async def _invoke(self, name: str, call: HttpCall) -> HttpResponse | None:
        function = _function(name, call)
        if function is None or not function.get("DurableConfig"):
            return None
        if _HANDLER_CALL in call.headers:
            arn = json.loads(call.body)["DurableExecutionArn"]
            self._function_of[arn] = f"{function['FunctionArn']}/durable-execution/{arn}/{arn}"
            return None
        denied = _denied(call, "lambda:InvokeFunction", function["Arn as invoked"])
        return denied or await asyncio.to_thread(self._start, function, call)

    def _start(self, function: dict[str, Any], call: HttpCall) -> HttpResponse:
        durable = function["DurableConfig"]
        execution_name = call.headers.get("x-amz-durable-execution-name") or str(uuid.uuid4())
        if self._payloads.setdefault(execution_name, call.body) != call.body:
            return _OTHER_PAYLOAD
        start = {
            "AccountId": function["FunctionArn"].split(":")[4],
            "FunctionName": function["FunctionName"],
            "FunctionQualifier": function["Qualifier"],
            "ExecutionName": execution_name,
            "ExecutionTimeoutSeconds": durable["ExecutionTimeout"],
            "ExecutionRetentionPeriodDays": durable.get("RetentionPeriodInDays") or 14,
            "Input": call.body.decode() or "{}",
        }
        status, headers, body = self._send_to_runner("POST", "/start-durable-execution", json.dumps(start).encode(), {})
        if status >= 300:
            return status, headers, body
        arn = json.loads(body)["ExecutionArn"]
        self._function_of[arn] = f"{function['FunctionArn']}/durable-execution/{arn}/{arn}"
        return 202, {"x-amz-durable-execution-arn": arn, "content-type": "application/json"}, b""

    def _forward(self, call: HttpCall) -> HttpResponse:
        headers = {name: value for name, value in call.headers.items() if name in ("content-type", "accept")}
        target = f"{call.path}?{call.query}" if call.query else call.path
        return self._send_to_runner(call.method, target, call.body, headers)

    def _send_to_runner(self, method: str, target: str, body: bytes, headers: dict[str, str]) -> HttpResponse:
        connection = http.client.HTTPConnection(self._runner.hostname or "127.0.0.1", self._runner.port, timeout=60)
        try:
            connection.request(method, target, body, headers)
            response = connection.getresponse()
            forwarded = ("content-type", "x-amzn-errortype")
            response_headers = {n.lower(): v for n, v in response.getheaders() if n.lower() in forwarded}
            if response.status == 404:  # of a callback that is complete: the runner does not name the error
                response_headers.setdefault("x-amzn-errortype", "ResourceNotFoundException")
            return response.status, response_headers, response.read()
        finally:
            connection.close()


def _function(name: str, call: HttpCall) -> dict[str, Any] | None:
    """Return a function's configuration and version. ``name`` is a name or an ARN, with or without a qualifier."""
    _set_caller(call)
    bare, qualifier = name, parse_qs(call.query).get("Qualifier", [""])[0]
    if name.startswith("arn:"):
        fields = name.split(":")
        bare, qualifier = fields[6], fields[7] if len(fields) > 7 else qualifier
    elif ":" in name:
        bare, qualifier = name.split(":", 1)
    function = lambda_svc._functions.get(bare)
    if function is None:
        return None
    alias = function.get("aliases", {}).get(qualifier)
    version = alias["FunctionVersion"] if alias else qualifier or "$LATEST"
    config = function["config"]
    unqualified = config["FunctionArn"].split(":function:")[0] + f":function:{bare}"
    return {
        "DurableConfig": config.get("DurableConfig"),
        "FunctionName": bare,
        "Qualifier": version,
        "FunctionArn": f"{unqualified}:{version}",
        "Arn as invoked": f"{unqualified}:{qualifier}" if qualifier else unqualified,
    }


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
