"""The fake Messages API as the real SDK's clients use it."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anthropic
import pytest

from local.model_server import FakeModelServer
from tests.unit.local.conftest import ASK, HEADERS, Send, ask

# -- answers ----------------------------------------------------------------------------------------------------------


def test_the_same_request_always_has_the_same_answer(send: Send) -> None:
    first, second = (send("POST", "/v1/messages", ask("Describe the hull")) for _ in range(2))
    assert first == second
    assert send("POST", "/v1/messages", ask("Describe the keel"))[1]["content"] != first[1]["content"]


def test_another_server_gives_the_same_answer(send: Send) -> None:
    other = FakeModelServer(0)
    serving = threading.Thread(target=other.serve_forever, kwargs={"poll_interval": 0.01})
    serving.start()
    connection = http.client.HTTPConnection("127.0.0.1", other.server_port)
    connection.request("POST", "/v1/messages", json.dumps(ask("x")), HEADERS)
    answer = json.loads(connection.getresponse().read())
    connection.close()
    other.shutdown()
    other.server_close()
    serving.join()
    assert answer == send("POST", "/v1/messages", ask("x"))[1]


def test_plain_text_says_that_it_is_offline(send: Send) -> None:
    _, answer = send("POST", "/v1/messages", ASK)
    assert answer["content"][0]["text"].startswith("[offline stand-in]")
    assert answer["stop_reason"] == "end_turn"


def test_max_tokens_cuts_an_answer_off_and_is_what_is_billed(send: Send) -> None:
    _, answer = send("POST", "/v1/messages", {**ASK, "max_tokens": 3})
    assert answer["stop_reason"] == "max_tokens"
    assert answer["usage"]["output_tokens"] == 3
    assert len(answer["content"][0]["text"]) == 12


def test_usage_is_about_four_characters_a_token(send: Send) -> None:
    usage = send("POST", "/v1/messages", {**ASK, "messages": [{"role": "user", "content": "x" * 4000}]})[1]["usage"]
    assert usage["input_tokens"] == 1000
    assert (usage["cache_read_input_tokens"], usage["cache_creation_input_tokens"]) == (0, 0)


def test_a_stream_tells_what_the_whole_answer_tells(client: anthropic.Anthropic, send: Send) -> None:
    with client.messages.stream(
        model="claude-haiku-5-5", max_tokens=500, messages=[{"role": "user", "content": "Hello"}]
    ) as stream:
        parts = list(stream.text_stream)
        final = stream.get_final_message()
    whole = send("POST", "/v1/messages", ASK)[1]
    assert len(parts) > 1
    assert "".join(parts) == whole["content"][0]["text"]
    assert (final.stop_reason, final.usage.output_tokens) == ("end_turn", whole["usage"]["output_tokens"])
    assert final.usage.input_tokens == whole["usage"]["input_tokens"]


def test_bedrocks_route_answers_alike(send: Send) -> None:
    signed = {"authorization": "AWS4-HMAC-SHA256 Credential=x", "content-type": "application/json"}
    body = {key: value for key, value in ASK.items() if key != "model"}
    status, answer = send("POST", "/model/eu.anthropic.claude-haiku-5-5-v1%3A0/invoke", body, signed)
    assert (status, answer["model"]) == (200, "eu.anthropic.claude-haiku-5-5-v1:0")


# -- bad requests -----------------------------------------------------------------------------------------------------


def test_without_a_key_there_is_no_answer(send: Send, server: FakeModelServer) -> None:
    status, answer = send("POST", "/v1/messages", ASK, {"anthropic-version": "2026-10-21"})
    assert (status, answer["error"]["type"]) == (401, "authentication_error")
    assert server.counts() == [], "what the API would not take is not counted"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "not valid JSON"),
        (b"\xff", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        ([1], "Input should be a valid dictionary"),
        ({**ASK, "model": 5}, "model: Input should be a valid string"),
        ({"model": "m", "max_tokens": 5}, "messages: Field required"),
        ({**ASK, "max_tokens": 0}, "max_tokens: Input should be greater than or equal to 1"),
        ({**ASK, "max_tokens": True}, "max_tokens: Input"),
        ({**ASK, "max_tokens": "5"}, "max_tokens: Input"),
        ({**ASK, "messages": []}, "at least one message is required"),
        ({**ASK, "messages": ["Hello"]}, "messages.0: Input should be a valid dictionary"),
        (
            {**ASK, "messages": [{"role": "boat", "content": "x"}]},
            "messages.0.role: Input should be 'user' or 'assistant'",
        ),
        ({**ASK, "messages": [{"role": "user"}]}, "messages.0.content: Input should be a valid string or list"),
        ({**ASK, "messages": [{"role": "user", "content": ["x"]}]}, "messages.0.content.0.type: Field required"),
        ({**ASK, "messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages.0.content.0.text: Field"),
        ({**ASK, "system": 5}, "system: Input should be a valid string or list"),
        ({**ASK, "output_config": 5}, "output_config: Input should be a valid dictionary"),
        (
            {**ASK, "output_config": {"format": {"type": "xml"}}},
            "output_config.format.type: Input should be 'json_schema'",
        ),
        ({**ASK, "output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema: Input should be"),
    ],
)
def test_a_malformed_request_is_refused_as_the_api_words_it(send: Send, body: Any, message: str) -> None:
    status, answer = send("POST", "/v1/messages", body)
    assert (status, answer["type"], answer["error"]["type"]) == (400, "error", "invalid_request_error")
    assert message in answer["error"]["message"]


def test_the_version_header_is_required(send: Send) -> None:
    status, answer = send("POST", "/v1/messages", ASK, {"x-api-key": "k"})
    assert status == 400
    assert "anthropic-version" in answer["error"]["message"]


@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("POST", "/v1/complete"), ("DELETE", "/v1/messages")])
def test_other_paths_are_not_found(send: Send, method: str, path: str) -> None:
    status, answer = send(method, path, ASK if method == "POST" else None)
    assert (status, answer["error"]["type"]) == (404, "not_found_error")


def test_a_body_beyond_the_apis_limit_is_too_large_and_the_connection_lives_on(send: Send) -> None:
    status, answer = send("POST", "/v1/messages", b" " * (32 * 1024 * 1024 + 1))
    assert (status, answer["error"]["type"]) == (413, "request_too_large")
    assert send("GET", "/health") == (200, {"status": "ok"})


@pytest.mark.parametrize("header", ["content-length: -5", "content-length: many", "transfer-encoding: chunked"])
def test_a_body_of_unknown_length_is_refused(server: FakeModelServer, header: str) -> None:
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=5) as raw:
        raw.sendall(f"POST /v1/messages HTTP/1.1\r\nhost: x\r\n{header}\r\n\r\n".encode())
        assert b" 411 " in b"".join(iter(lambda: raw.recv(4096), b"")), (
            "and the connection is closed: its rest means nothing"
        )


# -- load and clients that misbehave ----------------------------------------------------------------------------------


def threads_end(before: int) -> bool:
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    return threading.active_count() <= before


@pytest.mark.parametrize("mark", ["hang", "hang=600"])
def test_a_client_that_gives_up_on_a_hanging_model_leaves_no_thread(server: FakeModelServer, mark: str) -> None:
    before = threading.active_count()
    raw = json.dumps(ask(f"[[offline:{mark}]]")).encode()
    head = "".join(f"{name}: {value}\r\n" for name, value in {**HEADERS, "content-length": str(len(raw))}.items())
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", server.server_port)) as connection:
            connection.sendall(f"POST /v1/messages HTTP/1.1\r\n{head}\r\n".encode() + raw)
            while not any(row["outcome"] == "hang" for row in server.counts()):
                threading.Event().wait(0.005)
            server.reset_counts()
    assert threads_end(before)


def test_a_hang_with_an_end_drops_the_connection(send: Send) -> None:
    with pytest.raises(http.client.RemoteDisconnected):
        send("POST", "/v1/messages", ask("[[offline:hang=0.05]]"))


def test_a_client_that_leaves_before_its_answer_is_no_error(
    server: FakeModelServer, capfd: pytest.CaptureFixture[str]
) -> None:
    before = threading.active_count()
    raw = json.dumps(ask("[[offline:delay=0.1]]")).encode()
    head = "".join(f"{name}: {value}\r\n" for name, value in {**HEADERS, "content-length": str(len(raw))}.items())
    for _ in range(3):
        connection = socket.create_connection(("127.0.0.1", server.server_port))
        connection.sendall(f"POST /v1/messages HTTP/1.1\r\n{head}\r\n".encode() + raw)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # leave with a reset
        while not server.counts():
            threading.Event().wait(0.005)
        connection.close()
        server.reset_counts()
    assert threads_end(before)
    assert "Traceback" not in capfd.readouterr().err


def test_fifty_clients_are_answered_side_by_side(server: FakeModelServer) -> None:
    """Each answer takes 0.2 s: one after another they would take ten."""
    body, started = json.dumps(ask("[[offline:delay=0.2]]")), time.monotonic()

    def one(_: int) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
        connection.request("POST", "/v1/messages", body, HEADERS)
        status = connection.getresponse().status
        connection.close()
        return status

    with ThreadPoolExecutor(50) as clients:
        assert list(clients.map(one, range(50))) == [200] * 50
    assert time.monotonic() - started < 5
    assert server.counts()[0]["count"] == 50


def test_a_port_that_is_taken_is_one_line(server: FakeModelServer) -> None:
    command = [sys.executable, "-m", "local.model_server", "--port", str(server.server_port)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    assert result.returncode == 1
    assert result.stderr.startswith(f"model stand-in: port {server.server_port} of 127.0.0.1 cannot be used")
    assert result.stderr.count("\n") == 1
