"""The stand-in on a free port, and models that ask it through the real SDK."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest

from infrafabric.environment import ModelEnvironment
from infrafabric.models import Model, errors, open_model, prompts, schemas
from infrafabric.models.prompts import Prompt
from local.model_server import FakeModelServer

HAIKU, SONNET = "claude-haiku-5-5", "claude-sonnet-5-5"


@contextmanager
def _serving(server: socketserver.BaseServer) -> Iterator[None]:
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    serving.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        serving.join()


@pytest.fixture(scope="session")
def _stand_in() -> Iterator[FakeModelServer]:
    server = FakeModelServer(0)
    with _serving(server):
        yield server


@pytest.fixture
def stand_in(_stand_in: FakeModelServer) -> FakeModelServer:
    """Without rules and with nothing counted."""
    _stand_in.faults.clear()
    _stand_in.reset_counts()
    return _stand_in


def model_at(url: str, model_id: str = HAIKU) -> Model:
    env = ModelEnvironment(model_provider="offline", model_id=model_id, model_base_url=url)
    return open_model(env, fetch_secret=lambda _: "")


@pytest.fixture
def model(stand_in: FakeModelServer) -> Model:
    return model_at(f"http://127.0.0.1:{stand_in.server_port}")


def prompt_of(task: str, agent: str = "h01") -> Prompt:
    return prompts.agent(agent=agent, session_id="s", goal="Know the boats", task=task)


@pytest.fixture
def answering() -> Iterator[Callable[[Sequence[bytes]], str]]:
    """A server that answers whatever it is sent with these bytes, a tenth of a second apart; returns its address."""
    left = threading.Event()  # set when the test is over, so that nobody waits for a slow answer

    def serve(chunks: Sequence[bytes]) -> str:
        class Raw(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                self.request.recv(65536)
                for chunk in chunks:
                    self.request.sendall(chunk)
                    if left.wait(0.1 if len(chunks) > 1 else 0):
                        return

        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Raw)
        server.daemon_threads = True
        started.append(_serving(server))
        started[-1].__enter__()
        return f"http://127.0.0.1:{server.server_address[1]}"

    started = []
    yield serve
    left.set()
    for serving in started:
        serving.__exit__(None, None, None)


def asked(model: Model, task: str, *, timeout_s: float = 10, max_tokens: int = 1000) -> schemas.AgentAnswer:
    return model.ask(prompt_of(task), prompts.agent_answer(), max_tokens=max_tokens, timeout_s=timeout_s).value


def failure(model: Model, task: str, *, timeout_s: float = 10, max_tokens: int = 1000) -> errors.ModelError:
    with pytest.raises(errors.ModelError) as raised:
        asked(model, task, timeout_s=timeout_s, max_tokens=max_tokens)
    return raised.value


def calls(stand_in: FakeModelServer) -> int:
    return sum(row["count"] for row in stand_in.counts())
