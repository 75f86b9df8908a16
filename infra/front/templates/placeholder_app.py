#!/usr/bin/python3
"""Answers until an application is released: what a fresh stack shows, and what its health checks find.

Runs on the instance's own Python, with nothing but the standard library.
"""

from __future__ import annotations

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PAGE = b"<!doctype html><title>NaviDocs</title><p>This stack runs. Release an application: app.blue.artifactKey.</p>\n"


class Placeholder(BaseHTTPRequestHandler):
    """``/healthz`` for the load balancer, ``/`` for people."""

    server_version = "placeholder"
    sys_version = ""  # nobody outside needs to know the interpreter's

    def do_GET(self) -> None:
        if self.path == "/healthz":
            document = {"status": "ok", "colour": os.environ.get("COLOUR", "")}
            self._answer(200, "application/json", json.dumps(document).encode())
        elif self.path in ("/", "/index.html"):
            self._answer(200, "text/html; charset=utf-8", PAGE)
        else:
            self._answer(404, "text/plain; charset=utf-8", b"not found\n")

    def do_HEAD(self) -> None:
        self.do_GET()

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


if __name__ == "__main__":
    port = int(os.environ.get("PORT", "8080"))
    ThreadingHTTPServer(("0.0.0.0", port), Placeholder).serve_forever()  # noqa: S104  the security group decides who
