"""Fake model server on a free port, and clients of the server."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import pytest

from infrafabric.models import prompts
from local.model_server import FakeModelServer

HEADERS = {"x-api-key": "offline", "anthropic-version": "2026-10-21", "content-type": "application/json"}
ASK = {"model": "claude-haiku-5-5", "max_tokens": 500, "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture(scope="module")
def _server() -> Iterator[FakeModelServer]:
    server = FakeModelServer(0)
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    serving.start()
    yield server
    server.shutdown()
    server.server_close()
    serving.join()


@pytest.fixture
def server(_server: FakeModelServer) -> FakeModelServer:
    _server.faults.clear()
    _server.reset_counts()
    return _server


@pytest.fixture
def client(server: FakeModelServer) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(
        api_key="offline", base_url=f"http://127.0.0.1:{server.server_port}", max_retries=0, timeout=10
    ) as client:
        yield client


Send = Callable[..., tuple[int, Any]]


@pytest.fixture
def send(server: FakeModelServer) -> Iterator[Send]:
    """Send one request on a connection that stays open. Returns status and JSON."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)

    def run(method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        connection.request(method, path, raw, HEADERS if headers is None else headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())

    yield run
    connection.close()


def ask(task: str, agent: str = "h01", goal: str = "g", **more: Any) -> dict[str, Any]:
    prompt = prompts.agent(agent=agent, session_id="s", goal=goal, task=task)
    return {**ASK, "system": prompt.system, "messages": [{"role": "user", "content": prompt.user}], **more}
