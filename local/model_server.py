"""The models' stand-in: speaks the Messages API on this machine, answers by rule, and fails on demand.

``python -m local.model_server --port 8080``. The real SDK talks to it, so its requests, errors and time-outs are the real
ones. The same request always gets the same answer, and every text says that it comes from no model.

Faults are asked for by marks in the task (``[[offline:throttle=2,retry-after=1]]``) or by rules (``POST /_fabric/rules``),
see docs/models.md.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from collections import Counter
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from local.model_answers import answer
from local.model_faults import Fault, Faults

_MAX_BODY = 32 * 1024 * 1024  # the Messages API's limit
_BEDROCK = "/model/"


class StandIn(ThreadingHTTPServer):
    """The server and what it remembers: the rules for faults, and how many requests met which end."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, port: int, *, latency_s: float = 0.0) -> None:
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


class _Handler(BaseHTTPRequestHandler):
    server: StandIn
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:  # noqa: N802  the library's name
        if self.path == "/health":
            self._send(200, {"status": "ok"})
        elif self.path == "/_fabric/requests":
            self._send(200, self.server.counts())
        else:
            self._error(404, "not_found_error", f"{self.path[:60]} is not served here")

    def do_DELETE(self) -> None:  # noqa: N802
        if self.path == "/_fabric/requests":
            self.server.forget()
        elif self.path == "/_fabric/rules":
            self.server.faults.clear()
        else:
            self._error(404, "not_found_error", f"{self.path[:60]} is not served here")
            return
        self._send(200, {})

    def do_POST(self) -> None:  # noqa: N802
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        if len(raw) > _MAX_BODY:
            self._error(413, "request_too_large", "Request exceeds the maximum size")
            return
        try:
            body = json.loads(raw)
        except ValueError:
            self._error(400, "invalid_request_error", "The request body is not valid JSON")
            return
        if self.path == "/_fabric/rules":
            self._rules(body)
        elif self.path == "/v1/messages":
            self._messages(body)
        elif self.path.startswith(_BEDROCK) and self.path.endswith("/invoke"):
            model = unquote(self.path.removeprefix(_BEDROCK).removesuffix("/invoke"))
            self._messages({**body, "model": model} if isinstance(body, dict) else body)
        else:
            self._error(404, "not_found_error", f"{self.path[:60]} is not served here")

    def _rules(self, body: Any) -> None:
        try:
            self.server.faults.add(body)
        except ValueError as error:
            self._error(400, "invalid_request_error", str(error))
        else:
            self._send(200, {})

    def _messages(self, body: Any) -> None:
        signed = "authorization" in self.headers or "x-api-key" in self.headers
        problem = _problem(body)
        if not signed:
            self._error(401, "authentication_error", "x-api-key header is required")
        elif problem:
            self._error(400, "invalid_request_error", problem)
        else:
            fault = self.server.faults.due(body)
            time.sleep(self.server.latency_s + (fault.delay_s if fault else 0))
            self.server.note(body["model"], fault.kind if fault and fault.kind != "delay" else "answered")
            self._answer(body, fault)

    def _answer(self, body: Mapping[str, Any], fault: Fault | None) -> None:
        kind = fault.kind if fault else ""
        if kind == "throttle":
            headers = {"retry-after": f"{fault.retry_after_s:g}"} if fault and fault.retry_after_s else {}
            self._error(429, "rate_limit_error", "Too many requests", headers)
        elif kind == "overload":
            self._error(529, "overloaded_error", "Overloaded")
        elif kind == "error":
            self._error(500, "api_error", "Internal server error")
        elif kind == "hang":
            self._hang()
        else:
            message = answer(body, kind)
            if body.get("stream"):
                self._stream(message)
            else:
                self._send(200, message)

    def _hang(self) -> None:
        """Say nothing until the client has left."""
        self.connection.settimeout(1.0)
        while True:
            try:
                if not self.connection.recv(1):
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        self.close_connection = True

    def _stream(self, message: Mapping[str, Any]) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True
        text = message["content"][0]["text"]
        start = {**message, "content": [], "stop_reason": None, "usage": {**message["usage"], "output_tokens": 1}}
        block = {"type": "text", "text": ""}
        delta = {"type": "text_delta", "text": text}
        end = {"stop_reason": message["stop_reason"], "stop_sequence": None}
        usage = {"output_tokens": message["usage"]["output_tokens"]}
        for event in (
            {"type": "message_start", "message": start},
            {"type": "content_block_start", "index": 0, "content_block": block},
            {"type": "content_block_delta", "index": 0, "delta": delta},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": end, "usage": usage},
            {"type": "message_stop"},
        ):
            self.wfile.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())

    def _error(self, status: int, kind: str, text: str, headers: Mapping[str, str] | None = None) -> None:
        self._send(status, {"type": "error", "error": {"type": kind, "message": f"[offline stand-in] {text}"}}, headers)

    def _send(self, status: int, body: Any, headers: Mapping[str, str] | None = None) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"content-type": "application/json", "content-length": str(len(raw)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the library's name
        """Requests are counted, not logged: their paths tell nothing."""


def _problem(body: Any) -> str:
    """What is wrong with a request, as the API words it; "" when nothing is."""
    if not isinstance(body, dict):
        return "Input should be a valid dictionary"
    for name in ("model", "messages", "max_tokens"):
        if name not in body:
            return f"{name}: Field required"
    if not isinstance(body["max_tokens"], int) or body["max_tokens"] < 1:
        return "max_tokens: Input should be greater than or equal to 1"
    if not isinstance(body["messages"], list) or not body["messages"]:
        return "messages: at least one message is required"
    return ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--latency-s", type=float, default=0.0, help="how long each answer takes")
    chosen = parser.parse_args()
    StandIn(chosen.port, latency_s=chosen.latency_s).serve_forever()


if __name__ == "__main__":
    main()
