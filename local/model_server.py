"""The models' stand-in: speaks the Messages API on this machine, answers by rule, and fails on demand.

``python -m local.model_server --port 8080``. The real SDK talks to it, so its requests, errors and time-outs are the
real ones. The same request always gets the same answer, and every text says that it comes from no model.

Faults are asked for by marks in the task (``[[offline:throttle=2,retry-after=1]]``) or by rules
(``POST /_fabric/rules``), see docs/models.md.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from local.model_answers import answer
from local.model_faults import Fault, Faults
from local.model_requests import problem, text_of

_MAX_BODY = 32 * 1024 * 1024  # the Messages API's limit
_CHUNK = 1024 * 1024
_MESSAGES, _RULES, _REQUESTS = "/v1/messages", "/_fabric/rules", "/_fabric/requests"
_BEDROCK, _INVOKE = "/model/", "/invoke"
_IN_ANSWER = ("refuse", "cutoff", "garbage")
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


class StandIn(ThreadingHTTPServer):
    """The server and what it remembers: the rules for faults, and how many requests met which end."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, port: int, *, latency_s: float = 0.0) -> None:
        """``port`` of 127.0.0.1; 0 takes a free one, see ``server_port``."""
        super().__init__(("127.0.0.1", port), _Handler)
        self.faults = Faults()
        self.latency_s = latency_s
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, str]] = Counter()

    def note(self, model: str, end: str) -> None:
        with self._lock:
            self._requests[model, end] += 1

    def counts(self) -> list[dict[str, Any]]:
        with self._lock:
            return [{"model": m, "outcome": e, "count": n} for (m, e), n in sorted(self._requests.items())]

    def forget(self) -> None:
        with self._lock:
            self._requests.clear()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that left is what time-outs look like from here, and no error."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: StandIn  # pyright: ignore[reportIncompatibleVariableOverride]  socketserver sets the one that made it
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 60.0  # of silence within a request and between two

    def do_GET(self) -> None:
        if self.path == "/health":
            self._send(200, {"status": "ok"})
        elif self.path == _REQUESTS:
            self._send(200, self.server.counts())
        elif self.path == _RULES:
            self._send(200, self.server.faults.rules())
        else:
            self._not_here()

    def do_DELETE(self) -> None:
        if self.path == _REQUESTS:
            self.server.forget()
        elif self.path == _RULES:
            self.server.faults.clear()
        else:
            self._not_here()
            return
        self._send(200, {})

    def do_POST(self) -> None:
        raw = self._body()
        if raw is None:
            return
        on_bedrock = self.path.startswith(_BEDROCK) and self.path.endswith(_INVOKE)
        if self.path not in (_MESSAGES, _RULES) and not on_bedrock:
            self._not_here()
            return
        try:
            body = json.loads(raw)
        except (ValueError, RecursionError):
            self._error(400, "The request body is not valid JSON")
            return
        if self.path == _RULES:
            self._rules(body)
        elif on_bedrock and isinstance(body, dict):
            self._messages({**body, "model": unquote(self.path.removeprefix(_BEDROCK).removesuffix(_INVOKE))})
        else:
            self._messages(body)

    def _body(self) -> bytes | None:
        """The request's body; None when it was answered already."""
        length = self.headers.get("content-length") or "0"
        if "transfer-encoding" in self.headers or not length.isdecimal():
            self.close_connection = True
            self._error(411, "A request needs a content-length")
            return None
        left = int(length)
        if left <= _MAX_BODY:
            return self.rfile.read(left)
        while left > 0 and (
            chunk := self.rfile.read(min(left, _CHUNK))
        ):  # else the client meets a reset, not an answer
            left -= len(chunk)
        self._error(413, "Request exceeds the maximum size")
        return None

    def _rules(self, body: Any) -> None:
        try:
            self.server.faults.add(body)
        except ValueError as error:
            self._error(400, str(error))
        else:
            self._send(200, {})

    def _messages(self, body: Any) -> None:
        found = problem(body)
        if "authorization" not in self.headers and "x-api-key" not in self.headers:
            self._error(401, "x-api-key header is required")
        elif self.path == _MESSAGES and "anthropic-version" not in self.headers:
            self._error(400, "anthropic-version: header is required")
        elif found:
            self._error(400, found)
        else:
            fault = self.server.faults.due(text_of(body))
            delay_s = (fault.delay_s or 0.0) if fault and fault.kind == "delay" else 0.0
            time.sleep(self.server.latency_s + delay_s)
            self.server.note(body["model"], fault.kind if fault and fault.kind != "delay" else "answered")
            self._answer(body, fault)

    def _answer(self, body: Mapping[str, Any], fault: Fault | None) -> None:
        if fault and fault.kind == "throttle":
            after = {"retry-after": f"{fault.retry_after_s:g}"} if fault.retry_after_s else {}
            self._error(429, "Too many requests", after)
        elif fault and fault.kind == "overload":
            self._error(529, "Overloaded")
        elif fault and fault.kind == "error":
            self._error(fault.status, "An error on demand")
        elif fault and fault.kind == "hang":
            self._hang(math.inf if fault.delay_s is None else fault.delay_s)
        else:
            self._say(body, fault.kind if fault and fault.kind in _IN_ANSWER else "")

    def _say(self, body: Mapping[str, Any], fault: str) -> None:
        try:
            message = answer(body, fault)
        except (ValueError, TypeError, AttributeError) as error:  # a schema may hold anything
            self._error(400, f"{error}")
            return
        if body.get("stream"):
            self._stream(message)
        else:
            self._send(200, message)

    def _hang(self, seconds: float) -> None:
        """Say nothing for so long, or until the client has left; then drop the connection."""
        self.close_connection = True
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            self.connection.settimeout(min(left, 1.0))
            try:
                if not self.connection.recv(1):
                    return
            except TimeoutError:
                continue
            except OSError:
                return

    def _stream(self, message: Mapping[str, Any]) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True
        text = message["content"][0]["text"]
        start = {**message, "content": [], "stop_reason": None, "usage": {**message["usage"], "output_tokens": 1}}
        half = len(text) // 2
        end = {"stop_reason": message["stop_reason"], "stop_sequence": None}
        for event in (
            {"type": "message_start", "message": start},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text[:half]}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text[half:]}},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": end, "usage": {"output_tokens": message["usage"]["output_tokens"]}},
            {"type": "message_stop"},
        ):
            self.wfile.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())

    def _not_here(self) -> None:
        self._error(404, f"{self.path[:60]} is not served here")

    def _error(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")
        error = {"type": kind, "message": f"[offline stand-in] {text}"}
        self._send(status, {"type": "error", "error": error}, headers)

    def _send(self, status: int, body: Any, headers: Mapping[str, str] | None = None) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(raw)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("connection", "close")
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are counted, not logged: their paths tell nothing."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m local.model_server", description="The models' stand-in.")
    parser.add_argument("--port", type=int, required=True, help="of 127.0.0.1")
    parser.add_argument("--latency-s", type=float, default=0.0, help="how long each answer takes")
    chosen = parser.parse_args()
    try:
        server = StandIn(chosen.port, latency_s=max(0.0, chosen.latency_s))
    except (OSError, OverflowError) as error:
        print(f"model stand-in: port {chosen.port} of 127.0.0.1 cannot be used: {error}", file=sys.stderr)
        return 1
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
