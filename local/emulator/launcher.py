"""Launcher of the AWS emulator MiniStack, patched where MiniStack differs from AWS. Runs in the emulator's own venv.

Differences that would make a local test run worth little, and their patches:

- MiniStack runs handlers with its own interpreter and site-packages, so that a package missing from the layer is found.
  The launcher runs handlers with an interpreter that sees the standard library, the handler's code and its layers only.
- MiniStack unpacks every layer again for every worker. The launcher shares one copy, as Lambda does.
- MiniStack knows no condition keys of KMS, not ``iam:PermissionsBoundary``, and the tags of a resource only if a grant
  names them, not if the boundary does. The launcher fills in those that the platform's policies use.
  ``kms:ViaService`` stays absent: a request to the emulator's KMS is never a service's.
- MiniStack confuses API keys of equal value in two Regions, such as a standby's and its primary's.
- MiniStack does not tell a function the id of the API key with which it was called. The launcher does, as AWS.
- MiniStack's durable executions are incomplete. ``durable.py`` forwards their routes to AWS's local runner, under IAM.

The launcher also counts AWS API calls by operation: ``GET /_fabric/calls`` returns the counts, ``DELETE`` resets them.
It makes calls fail and steps the clock of functions on demand (``edge_faults.py``, ``clock_steps.py``).
``GET /_fabric/messages`` lists the messages of all queues, also those that a function has received and not deleted.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import io
import json
import os
import re
import shutil
import tempfile
import threading
import zipfile
from collections import Counter
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import uvicorn
from clock_steps import ClockSteps
from durable import DurableRoutes, HttpCall
from edge_faults import EdgeFaults, EdgeRule, ResponseBuffer, deliver_with_faults, error_response
from ministack import app as ministack
from ministack.core import iam_actions, iam_evaluator, lambda_runtime
from ministack.services import apigateway_v1, iam, kms, lambda_svc, sqs, sts

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
_SCOPE = re.compile(rb"Credential=[^/]+/\d+/[^/]+/([^/]+)/aws4_request")
_ACCESS_KEY = re.compile(rb"Credential=([^/]+)/")
_SERVICE_CALL = b"x-dex-handler-invoke"  # header of an invocation by the local runner itself, which is not an API call
_BUFFERED = re.compile(r"^/(2015-03-31/functions/[^/]+/invocations|2025-12-01/)")


def run_handlers_with(interpreter: str, clock: ClockSteps) -> None:
    """Make MiniStack start Python workers with ``interpreter`` instead of its own, and with steps of the clock."""
    detect = lambda_runtime._detect_runtime_binary

    def detect_replacement(runtime: str) -> tuple[str, str]:
        binary, script = detect(runtime)
        return (interpreter, clock.before(script)) if runtime.startswith("python") else (binary, script)

    lambda_runtime._detect_runtime_binary = detect_replacement


def share_layers(folder: Path, version: str) -> None:
    """Unpack each layer once, and give workers a small layer whose ``.pth`` file refers to the unpacked copy.

    ``folder`` can be kept between runs: a copy is named after the SHA-256 of its zip archive, so old copies stay valid.
    """
    resolve, lock = lambda_svc._resolve_layer_zip, threading.Lock()
    pointers: dict[int, tuple[bytes, bytes]] = {}  # by id() of the archive; the reference keeps the id unique

    def resolve_shared(attachment: str | dict[str, Any]) -> bytes | None:
        packed = resolve(attachment)
        if packed is None:
            return None
        with lock:
            if id(packed) not in pointers:
                copy = _unpacked(packed, folder)
                pointer = io.BytesIO()
                with zipfile.ZipFile(pointer, "w") as layer:
                    layer.writestr(f"python/lib/python{version}/site-packages/layer.pth", f"{copy / 'python'}\n")
                pointers[id(packed)] = packed, pointer.getvalue()
        return pointers[id(packed)][1]

    lambda_svc._resolve_layer_zip = resolve_shared


def _unpacked(packed: bytes, folder: Path) -> Path:
    copy = folder / hashlib.sha256(packed).hexdigest()
    if not copy.exists():
        folder.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(dir=folder))
        with zipfile.ZipFile(io.BytesIO(packed)) as layer:
            layer.extractall(fresh)
        try:
            fresh.rename(copy)  # atomic, also when the platform is killed half-way
        except OSError:
            shutil.rmtree(fresh)  # another platform on this machine has renamed first
    return copy


def authorise_as_aws_does() -> None:
    """Authorise SNS and SQS batch calls by the single action, and KMS alias calls on the alias, as AWS does.

    MiniStack requires a "…Batch" action, and authorises calls with an alias on every resource.
    """
    extract, extract_arn = iam_actions.extract_iam_action, iam_actions.extract_resource_arn

    def extract_replacement(*args: Any, **kwargs: Any) -> str | None:
        action = extract(*args, **kwargs)
        return action.removesuffix("Batch") if action and action.startswith(("sns:", "sqs:")) else action

    def extract_arn_replacement(*args: Any, **kwargs: Any) -> str:
        service, body, region, account = args[0], args[4], args[6], args[7]
        alias = json.loads(body or b"{}").get("AliasName") if service == "kms" else None
        return f"arn:aws:kms:{region}:{account}:{alias}" if alias else extract_arn(*args, **kwargs)

    iam_actions.extract_iam_action = extract_replacement
    iam_actions.extract_resource_arn = extract_arn_replacement


def know_condition_keys() -> None:
    """Give requests the condition keys of KMS (aliases, encryption context), IAM (boundary) and tags, as AWS does."""
    context_of = iam_actions.request_tag_context

    def context_replacement(service: str, action: str, body: bytes, params: dict[str, Any]) -> dict[str, Any]:
        context = context_of(service, action, body, params)
        if service == "kms":
            return {**context, **_kms_condition_keys(json.loads(body or b"{}"))}
        if service == "iam":
            return {**context, **_iam_condition_keys(params)}
        return context

    iam_actions.request_tag_context = context_replacement
    iam_evaluator._names_condition_key = lambda _policies, _prefix: True


def _kms_condition_keys(request: dict[str, Any]) -> dict[str, Any]:
    ciphertext = request.get("CiphertextBlob")
    key = kms._resolve_key(request.get("KeyId") or iam_actions._kms_key_id_from_ciphertext(ciphertext))
    aliases = [arn for arn, key_id in kms._aliases.items() if key and key_id == key["KeyId"]]
    encryption_context = request.get("EncryptionContext") or {}
    return {
        "kms:ResourceAliases": [arn.split(":", 5)[5] for arn in aliases] or None,
        **{f"kms:EncryptionContext:{name}": value for name, value in encryption_context.items()},
    }


def _iam_condition_keys(params: dict[str, Any]) -> dict[str, Any]:
    requested = params.get("PermissionsBoundary")
    if requested:
        return {"iam:PermissionsBoundary": requested[0]}
    role = iam._roles.get(params.get("RoleName", [""])[0]) or {}
    return {"iam:PermissionsBoundary": role.get("PermissionsBoundary") or None}


def find_api_keys_by_stage() -> None:
    """Find the API key whose usage plan has the stage, if several Regions have keys of equal value, as AWS does."""
    check = apigateway_v1._check_api_key

    def check_replacement(method: dict[str, Any], api_id: str, stage: str, headers: Any) -> tuple[Any, Any]:
        error, key = check(method, api_id, stage, headers)
        value = apigateway_v1._api_key_from_request(headers)
        for _, other in apigateway_v1._api_keys.all_items() if error and value else ():
            equal = other.get("value") == value and other.get("enabled", True)
            if equal and apigateway_v1._usage_plans_for_key(other["id"], api_id, stage):
                return None, other
        return error, key

    apigateway_v1._check_api_key = check_replacement


def tell_functions_the_api_key() -> None:
    """Put value and id of the request's API key into the event of a method that requires a key, as AWS does."""
    check, build_event = apigateway_v1._check_api_key, apigateway_v1._build_lambda_event_v1
    current: ContextVar[dict[str, Any] | None] = ContextVar("api_key")  # each request is served in a context of its own

    def check_replacement(*args: Any) -> tuple[Any, Any]:
        error, key = check(*args)
        current.set(key)
        return error, key

    def build_replacement(*args: Any, **kwargs: Any) -> dict[str, Any]:
        event = build_event(*args, **kwargs)
        if key := current.get():
            event["requestContext"]["identity"].update({"apiKey": key["value"], "apiKeyId": key["id"]})
        return event

    apigateway_v1._check_api_key = check_replacement
    apigateway_v1._build_lambda_event_v1 = build_replacement


class EmulatorApp:
    """ASGI application in front of MiniStack: counts API calls, serves durable executions by the local runner.

    Also strikes calls with the faults that a client has set.
    """

    def __init__(self, durable: DurableRoutes, faults: EdgeFaults, clock: ClockSteps) -> None:
        self.durable = durable
        self.faults = faults
        self.clock = clock
        self.calls: Counter[str] = Counter()

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await ministack.app(scope, receive, send)
        elif scope["path"].startswith("/_fabric/"):
            await self._control(scope, receive, send)
        else:
            # Mark requests as TLS, although the loopback has none: TLS-only policies would deny all requests.
            headers = [*scope["headers"], (b"x-forwarded-proto", b"https")]
            await self._serve({**scope, "headers": headers}, receive, send)

    async def _control(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        path, method, status = scope["path"], scope["method"], 200
        document: Any = {}
        if path == "/_fabric/calls":
            if method == "DELETE":
                self.calls.clear()
            document = self.calls
        elif path == "/_fabric/messages":
            document = _queued_messages()
        elif path in ("/_fabric/faults", "/_fabric/clock"):
            try:
                document = self._change(path, method, await _read(receive))
            except ValueError as error:
                status, document = 400, {"message": str(error)}
        else:
            status, document = 404, {"message": f"{path} does not exist; there are calls, clock, faults and messages"}
        raw = json.dumps(document, sort_keys=True).encode()
        await _send_response(send, status, {"content-type": "application/json"}, raw)

    def _change(self, path: str, method: str, body: bytes) -> Any:
        rules = self.faults if path == "/_fabric/faults" else self.clock
        if method == "POST":
            rules.add(json.loads(body))
        elif method == "DELETE":
            rules.clear()
        return rules.rules() if isinstance(rules, EdgeFaults) else rules.steps()

    async def _serve(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        form = headers.get(b"content-type", b"").startswith(b"application/x-www-form-urlencoded")
        body = await _read(receive) if form or _BUFFERED.match(scope["path"]) else None
        call = self._count(scope, headers, body or b"")
        caller = _function_of(headers) if call else ""
        fault = self.faults.due(f"{caller} {call}") if caller else None
        if fault is None:
            await self._act(scope, headers, body, receive, send)
            return
        if body is None:
            body = await _read(receive)
            receive = _replay(body, receive)
        await self._strike(fault, call.partition(":")[0], lambda to: self._act(scope, headers, body, receive, to), send)

    async def _strike(self, fault: EdgeRule, service: str, act: Callable[[Send], Awaitable[None]], send: Send) -> None:
        if fault.kind in ("throttle", "error"):
            await _send_response(send, *error_response(service, fault.kind))
            return
        if fault.kind == "delay":
            await asyncio.sleep(fault.delay_s)
            await act(send)
            return
        response = ResponseBuffer()
        await act(response.send)
        if fault.kind == "error-after" and response.succeeded:
            self.faults.count_strike(fault)
            await _send_response(send, *error_response(service, fault.kind))
            return
        await asyncio.sleep(fault.delay_s)
        await response.release(send)

    async def _act(
        self, scope: dict[str, Any], headers: dict[bytes, bytes], body: bytes | None, receive: Receive, send: Send
    ) -> None:
        if body is None:
            await ministack.app(scope, receive, send)
            return
        response = await self.durable.try_serve(HttpCall.of(scope, headers, body))
        if response is None:
            await ministack.app(scope, _replay(body, receive), send)
        else:
            await _send_response(send, *response)

    def _count(self, scope: dict[str, Any], headers: dict[bytes, bytes], body: bytes) -> str:
        """Count an AWS API call. Return its ``service:Operation``, or "" for another request."""
        scope_match = _SCOPE.search(headers.get(b"authorization", b""))
        if scope_match is None or _SERVICE_CALL in headers:
            return ""
        target = headers.get(b"x-amz-target", b"").decode().rpartition(".")[2]
        action = target or (parse_qs(body.decode(errors="replace")).get("Action") or [""])[0]
        call = f"{scope_match[1].decode()}:{action or _rest_operation(scope['method'], scope['path'])}"
        self.calls[call] += 1
        return call


def _function_of(headers: dict[bytes, bytes]) -> str:
    """Return the name of the function that sent a request; "" for other callers."""
    key = _ACCESS_KEY.search(headers.get(b"authorization", b""))
    session = sts._sessions.get(key[1].decode()) if key else None
    return session["UserId"].rpartition(":")[2] if session else ""


def _queued_messages() -> list[dict[str, Any]]:
    return [
        {
            "queue": scoped_key[-1].rpartition("/")[2],
            "body": message["body"],
            "receives": message.get("receive_count", 0),
            "attributes": {n: v.get("StringValue") for n, v in (message.get("message_attributes") or {}).items()},
        }
        for scoped_key, queue in list(sqs._queues.all_items())
        for message in list(queue["messages"])
    ]


def _rest_operation(method: str, path: str) -> str:
    durable = re.search(r"/durable-execution(?:s|-callbacks)/.+/(\w+)$", path)
    if durable:
        return f"DurableExecution.{durable[1]}"
    return "Invoke" if path.endswith("/invocations") else method


async def _read(receive: Receive) -> bytes:
    chunks, more = [], True
    while more:
        message = await receive()
        chunks.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(chunks)


def _replay(body: bytes, receive: Receive) -> Receive:
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> dict[str, Any]:
        return messages.pop() if messages else await receive()

    return receive_again


async def _send_response(send: Send, status: int, headers: dict[str, str], body: bytes) -> None:
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    pairs.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})


def main() -> None:
    """Patch MiniStack and serve it until a signal ends the process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="port of the emulator")
    parser.add_argument("--handler-python", required=True, help="interpreter that runs Python handlers")
    parser.add_argument("--python-version", required=True, help="version of that interpreter, such as 3.13")
    parser.add_argument("--durable-endpoint", required=True, help="URL of AWS's durable-execution local runner")
    parser.add_argument("--layers", type=Path, required=True, help="folder for unpacked layers")
    args = parser.parse_args()
    clock = ClockSteps()
    run_handlers_with(args.handler_python, clock)
    authorise_as_aws_does()
    know_condition_keys()
    find_api_keys_by_stage()
    tell_functions_the_api_key()
    share_layers(args.layers, args.python_version)
    os.environ["LOG_LEVEL"] = "INFO"  # of functions, as in AWS; MiniStack has read its own on import
    faults = EdgeFaults()
    sqs._receive_messages_for_esm = deliver_with_faults(sqs._receive_messages_for_esm, sqs._queues, faults)
    app = EmulatorApp(DurableRoutes(args.durable_endpoint), faults, clock)

    uvicorn.run(
        app,
        host=os.environ["BIND_HOST"],
        port=args.port,
        log_level="warning",
        timeout_keep_alive=75,
        lifespan="on",
        server_header=False,
    )


if __name__ == "__main__":
    main()
