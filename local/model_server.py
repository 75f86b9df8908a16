"""Fake Anthropic Messages API: the stand-in (stub, mock server) for models on one machine, with fault injection.

``python -m local.model_server --port 8080`` serves the real SDK, so requests, errors and timeouts are the real ones.
Equal requests get equal responses, and every text says that no model wrote the text.

A client injects faults (throttling, overload, errors, delays, hangs, bad output) by marks in the task
(``[[offline:throttle=2,retry-after=1]]``) or by rules (``POST /_fabric/rules``); see docs/models.md.
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

from local.model_faults import Fault, Faults
from local.model_requests import invalid_request_message, prompt_text
from local.model_responses import response

_MAX_BODY = 32 * 1024 * 1024  # the Messages API's limit
_CHUNK = 1024 * 1024
_MESSAGES, _RULES, _REQUESTS = "/v1/messages", "/_fabric/rules", "/_fabric/requests"
_BEDROCK, _INVOKE = "/model/", "/invoke"
_CONTENT_FAULTS = ("refuse", "cutoff", "garbage", "alter")
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


class FakeModelServer(ThreadingHTTPServer):
    """HTTP server of the fake Messages API, with its fault rules and its counts of requests by model and outcome."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, port: int, *, latency_s: float = 0.0) -> None:
        """Listen on ``port`` of 127.0.0.1; 0 selects a free port, see ``server_port``.

        Args:
            latency_s: added to each response, in seconds.
        """
        super().__init__(("127.0.0.1", port), _Handler)
        self.faults = Faults()
        self.latency_s = latency_s
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, str]] = Counter()

    def count(self, model: str, outcome: str) -> None:
        """Count a request; ``outcome`` is "answered" or the kind of the injected fault."""
        with self._lock:
            self._requests[model, outcome] += 1

    def counts(self) -> list[dict[str, Any]]:
        """Return the counts as ``{"model", "outcome", "count"}``, sorted by model and outcome."""
        with self._lock:
            return [{"model": m, "outcome": e, "count": n} for (m, e), n in sorted(self._requests.items())]

    def reset_counts(self) -> None:
        """Set all counts to zero."""
        with self._lock:
            self._requests.clear()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print a traceback, except for a client that disconnected: clients disconnect after a timeout."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: FakeModelServer  # pyright: ignore[reportIncompatibleVariableOverride]  set by socketserver
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 60.0  # seconds without data, within a request and between requests

    def do_GET(self) -> None:
        if self.path == "/health":
            self._send(200, {"status": "ok"})
        elif self.path == _REQUESTS:
            self._send(200, self.server.counts())
        elif self.path == _RULES:
            self._send(200, self.server.faults.rules())
        else:
            self._not_found()

    def do_DELETE(self) -> None:
        if self.path == _REQUESTS:
            self.server.reset_counts()
        elif self.path == _RULES:
            self.server.faults.clear()
        else:
            self._not_found()
            return
        self._send(200, {})

    def do_POST(self) -> None:
        raw = self._body()
        if raw is None:
            return
        on_bedrock = self.path.startswith(_BEDROCK) and self.path.endswith(_INVOKE)
        if self.path not in (_MESSAGES, _RULES) and not on_bedrock:
            self._not_found()
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
        """Read the request body. Return None after an error response."""
        length = self.headers.get("content-length") or "0"
        if "transfer-encoding" in self.headers or not length.isdecimal():
            self.close_connection = True
            self._error(411, "A request needs a content-length")
            return None
        left = int(length)
        if left <= _MAX_BODY:
            return self.rfile.read(left)
        # Read the body to its end: a client that still sends would see a connection reset instead of the response.
        while left > 0 and (chunk := self.rfile.read(min(left, _CHUNK))):
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
        error = invalid_request_message(body)
        if "authorization" not in self.headers and "x-api-key" not in self.headers:
            self._error(401, "x-api-key header is required")
        elif self.path == _MESSAGES and "anthropic-version" not in self.headers:
            self._error(400, "anthropic-version: header is required")
        elif error:
            self._error(400, error)
        else:
            fault = self.server.faults.due(prompt_text(body))
            delay_s = (fault.delay_s or 0.0) if fault and fault.kind == "delay" else 0.0
            time.sleep(self.server.latency_s + delay_s)
            self.server.count(body["model"], fault.kind if fault and fault.kind != "delay" else "answered")
            self._respond(body, fault)

    def _respond(self, body: Mapping[str, Any], fault: Fault | None) -> None:
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
            self._respond_with_message(body, fault.kind if fault and fault.kind in _CONTENT_FAULTS else "")

    def _respond_with_message(self, body: Mapping[str, Any], fault: str) -> None:
        try:
            message = response(body, fault)
        except (ValueError, TypeError, AttributeError) as error:  # a client's schema can have any content
            self._error(400, f"{error}")
            return
        if body.get("stream"):
            self._stream(message)
        else:
            self._send(200, message)

    def _hang(self, seconds: float) -> None:
        """Send nothing for ``seconds`` or until the client disconnects; then drop the connection."""
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

    def _not_found(self) -> None:
        self._error(404, f"{self.path[:60]} does not exist; the Messages API is at {_MESSAGES}")

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
        """Log nothing: requests are counted instead, and their paths are all the same."""


def main() -> int:
    """Run the server until a signal ends the process. Return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m local.model_server", description="Fake Anthropic Messages API with fault injection."
    )
    parser.add_argument("--port", type=int, required=True, help="port of 127.0.0.1")
    parser.add_argument("--latency-s", type=float, default=0.0, help="seconds that each response takes")
    args = parser.parse_args()
    try:
        server = FakeModelServer(args.port, latency_s=max(0.0, args.latency_s))
    except (OSError, OverflowError) as error:
        print(f"model stand-in: port {args.port} of 127.0.0.1 cannot be used: {error}", file=sys.stderr)
        return 1
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
