"""Starts MiniStack so that it stands for AWS as our functions see it. Runs in the emulator's own environment.

MiniStack alone differs from Lambda in ways that would make "it ran on my laptop" worth little; each is put right here:

- It runs handlers with its own interpreter and site-packages, so a package missing from the layer would still be found.
  Here a handler gets an interpreter that sees the standard library, its code and its layers, and nothing else.
- It unpacks every layer again for every worker. Lambda shares one read-only copy, and so does this.
- It takes an API key for another region's that has the same value, as a standby's and its primary's have.
- Its durable executions are incomplete. ``durable.py`` sends those routes to AWS's own local runner, under IAM.

It also counts the API calls it serves, by operation, at ``GET /_fabric/calls`` (``DELETE`` starts again from zero).
"""

from __future__ import annotations

import argparse
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
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import uvicorn
from durable import Call, DurableRoutes
from ministack import app as ministack
from ministack.core import iam_actions, lambda_runtime
from ministack.services import apigateway_v1, lambda_svc

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
_SCOPE = re.compile(rb"Credential=[^/]+/\d+/[^/]+/([^/]+)/aws4_request")
_SERVICE_CALL = b"x-dex-handler-invoke"  # Lambda itself runs a durable handler: nobody makes an API call for it
_READ_WHOLE = re.compile(r"^/(2015-03-31/functions/[^/]+/invocations|2025-12-01/)")


def run_handlers_with(interpreter: str) -> None:
    """Make MiniStack start Python workers with ``interpreter`` instead of its own."""
    detect = lambda_runtime._detect_runtime_binary

    def detect_ours(runtime: str) -> tuple[str, str]:
        binary, script = detect(runtime)
        return (interpreter if runtime.startswith("python") else binary), script

    lambda_runtime._detect_runtime_binary = detect_ours


def share_layers(folder: Path, version: str) -> None:
    """Unpack each layer once, and hand workers a small layer whose ``.pth`` file points at that copy.

    ``folder`` is kept from run to run: a copy is named after the SHA-256 of its zip, so an old one is never wrong.
    """
    resolve, lock = lambda_svc._resolve_layer_zip, threading.Lock()
    pointers: dict[int, tuple[bytes, bytes]] = {}  # by the identity of the zip, which is held so that it stays one

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
            fresh.rename(copy)  # whole or not at all, also when the platform is killed half-way
        except OSError:
            shutil.rmtree(fresh)  # another platform on this machine was first
    return copy


def authorise_as_aws_does() -> None:
    """MiniStack asks for permissions that AWS does not have: a batch needs the single action, no more."""
    extract = iam_actions.extract_iam_action

    def extract_ours(*args: Any, **kwargs: Any) -> str | None:
        action = extract(*args, **kwargs)
        return action.removesuffix("Batch") if action and action.startswith(("sns:", "sqs:")) else action

    iam_actions.extract_iam_action = extract_ours


def know_a_key_in_each_region() -> None:
    """MiniStack takes the first API key of a value in any region. In AWS each region may have one of that value."""
    check = apigateway_v1._check_api_key

    def check_ours(method: dict[str, Any], api_id: str, stage: str, headers: Any) -> tuple[Any, Any]:
        error, key = check(method, api_id, stage, headers)
        value = apigateway_v1._api_key_from_request(headers)
        for _, other in apigateway_v1._api_keys.all_items() if error and value else ():
            alike = other.get("value") == value and other.get("enabled", True)
            if alike and apigateway_v1._usage_plans_for_key(other["id"], api_id, stage):
                return None, other
        return error, key

    apigateway_v1._check_api_key = check_ours


class Gate:
    """The ASGI application in front of MiniStack: counts calls, and takes the durable routes out."""

    def __init__(self, durable: DurableRoutes) -> None:
        self.durable = durable
        self.calls: Counter[str] = Counter()

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await ministack.app(scope, receive, send)
        elif scope["path"] == "/_fabric/calls":
            if scope["method"] == "DELETE":
                self.calls.clear()
            await _answer(
                send, 200, {"content-type": "application/json"}, json.dumps(self.calls, sort_keys=True).encode()
            )
        else:
            # AWS is reached by TLS; on this machine the loopback stands for it, or TLS-only policies would deny all.
            as_tls = [*scope["headers"], (b"x-forwarded-proto", b"https")]
            await self._serve({**scope, "headers": as_tls}, receive, send)

    async def _serve(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        form = headers.get(b"content-type", b"").startswith(b"application/x-www-form-urlencoded")
        if not form and not _READ_WHOLE.match(scope["path"]):
            self._count(scope, headers, b"")
            await ministack.app(scope, receive, send)
            return
        body = await _read(receive)
        self._count(scope, headers, body)
        answer = await self.durable.try_serve(Call.of(scope, headers, body))
        if answer is None:
            await ministack.app(scope, _replay(body, receive), send)
        else:
            await _answer(send, *answer)

    def _count(self, scope: dict[str, Any], headers: dict[bytes, bytes], body: bytes) -> None:
        signed = _SCOPE.search(headers.get(b"authorization", b""))
        if signed is None or _SERVICE_CALL in headers:
            return
        target = headers.get(b"x-amz-target", b"").decode().rpartition(".")[2]
        action = target or (parse_qs(body.decode(errors="replace")).get("Action") or [""])[0]
        self.calls[f"{signed[1].decode()}:{action or _rest_operation(scope['method'], scope['path'])}"] += 1


def _rest_operation(method: str, path: str) -> str:
    durable = re.search(r"/durable-execution(?:s|-callbacks)/.+/(\w+)$", path)
    if durable:
        return f"DurableExecution.{durable[1]}"
    return "Invoke" if path.endswith("/invocations") else method


async def _read(receive: Receive) -> bytes:
    parts, more = [], True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    pending = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> dict[str, Any]:
        return pending.pop() if pending else await receive()

    return again


async def _answer(send: Send, status: int, headers: dict[str, str], body: bytes) -> None:
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    pairs.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--handler-python", required=True, help="the interpreter that runs Python handlers")
    parser.add_argument("--python-version", required=True, help="its version, as in 3.13")
    parser.add_argument("--durable-endpoint", required=True, help="URL of AWS's durable-execution local runner")
    parser.add_argument("--layers", type=Path, required=True, help="folder for unpacked layers")
    chosen = parser.parse_args()
    run_handlers_with(chosen.handler_python)
    authorise_as_aws_does()
    know_a_key_in_each_region()
    share_layers(chosen.layers, chosen.python_version)
    gate = Gate(DurableRoutes(chosen.durable_endpoint))

    uvicorn.run(
        gate,
        host=os.environ["BIND_HOST"],
        port=chosen.port,
        log_level="warning",
        timeout_keep_alive=75,
        lifespan="on",
        server_header=False,
    )


if __name__ == "__main__":
    main()
