"""Every way in which asking can fail, through the real SDK against real servers."""

from __future__ import annotations

import json
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest

from infrafabric.models import Model, errors
from local.model_server import FakeModelServer
from tests.unit.models.conftest import HAIKU, calls, failure, model_at, prompt_of

Answering = Callable[[Sequence[bytes]], str]


# -- errors that the API answers with ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mark", "kind", "billed"),
    [
        ("throttle", errors.Throttled, False),
        ("overload", errors.Throttled, False),
        ("error=503", errors.Throttled, False),
        ("error", errors.Unreachable, False),
        ("error=502", errors.Unreachable, False),
        ("error=504", errors.TimedOut, None),
        ("error=408", errors.Unreachable, False),
        ("error=409", errors.Unreachable, False),
        ("error=400", errors.BadRequest, False),
        ("error=401", errors.NotAllowed, False),
        ("error=402", errors.OutOfCredit, False),
        ("error=403", errors.NotAllowed, False),
        ("error=404", errors.BadRequest, False),
        ("error=413", errors.TooLarge, False),
        ("error=422", errors.BadRequest, False),
        ("refuse", errors.RefusedToAnswer, True),
        ("cutoff", errors.CutOff, True),
        ("garbage", errors.BadAnswer, True),
        ("hang=0", errors.Unreachable, None),  # the connection breaks after the request was sent
    ],
)
def test_each_end_of_a_call_has_its_error(
    model: Model, stand_in: FakeModelServer, mark: str, kind: type[errors.ModelError], billed: bool | None
) -> None:
    error = failure(model, f"A private matter [[offline:{mark}]]")
    assert type(error) is kind
    assert error.billed is billed
    assert (error.usage is not None) is (billed is True), "what was billed is known by its usage"
    assert "private" not in str(error), "no prompt in a message"
    assert "\n" not in str(error)
    assert calls(stand_in) == 1, "the SDK must not try again by itself"


def test_an_answer_that_cannot_be_used_carries_what_it_used(model: Model) -> None:
    prompt = prompt_of("x [[offline:refuse]]")
    for mark in ("refuse", "cutoff", "garbage"):
        usage = failure(model, f"x [[offline:{mark}]]").usage
        assert usage
        assert usage.input_tokens == pytest.approx(len(prompt.system + prompt.user) / 4, rel=0.05)
        assert usage.output_tokens > 0


def test_an_answer_longer_than_max_tokens_is_cut_off_and_billed_in_full(model: Model) -> None:
    error = failure(model, "Describe the hull", max_tokens=10)
    assert isinstance(error, errors.CutOff)
    assert error.usage
    assert error.usage.output_tokens == 10
    assert "10 tokens" in str(error)


def test_an_error_tells_what_to_do(model: Model) -> None:
    assert "API_KEY_SECRET_ARN" in str(failure(model, "[[offline:error=401]]"))
    assert "add credit" in str(failure(model, "[[offline:error=402]]"))
    assert HAIKU in str(failure(model, "[[offline:error=404]]")), "which model is unknown"
    assert "model.agentId" in str(failure(model, "[[offline:error=404]]"))
    assert "AgentAnswer" in str(failure(model, "[[offline:garbage]]"))


@pytest.mark.parametrize(("asked_for", "seconds"), [("2", 2.0), ("0.5", 0.5), ("900", 900.0)])
def test_the_wait_that_the_api_asks_for_is_passed_on(model: Model, asked_for: str, seconds: float) -> None:
    error = failure(model, f"[[offline:throttle,retry-after={asked_for}]]")
    assert isinstance(error, errors.Throttled)
    assert error.retry_after_s == seconds


@pytest.mark.parametrize("header", ["", "Wed, 21 Oct 2026 07:28:00 GMT", "nan", "inf", "-3", "1e999"])
def test_a_wait_that_is_no_number_of_seconds_is_none(answering: Answering, header: str) -> None:
    body = b"HTTP/1.1 429 Too Many\r\nretry-after: %s\r\ncontent-length: 2\r\n\r\n{}" % header.encode()
    error = failure(model_at(answering([body])), "x")
    assert isinstance(error, errors.Throttled)
    assert error.retry_after_s == 0.0


REFUSED = b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
CREDIT = "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade."
LIMIT = "You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC."
WORKSPACE = "You have reached your specified workspace API usage limits. You will regain access on 2026-12-01."


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (CREDIT, "the credit balance is too low: add credit"),
        (LIMIT, "the usage limit is reached until 2026-12-01 00:00 UTC: raise the limit"),
        (WORKSPACE, "the usage limit is reached until 2026-12-01: raise the limit"),
    ],
)
def test_a_bad_request_for_want_of_money_is_told_apart_with_its_date(
    answering: Answering, said: str, told: str
) -> None:
    body = json.dumps({"type": "error", "error": {"type": "invalid_request_error", "message": said}}).encode()
    error = failure(model_at(answering([REFUSED % (len(body), body)])), "x")
    assert isinstance(error, errors.OutOfCredit)
    assert told in str(error)
    assert (error.retryable, error.billed) == (False, False)


def test_what_the_sdk_would_repeat_is_retryable_and_nothing_else() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.ModelError)]
    assert {kind.__name__ for kind in kinds if kind.retryable} == {"Throttled", "TimedOut", "Unreachable"}


# -- errors without an answer -----------------------------------------------------------------------------------------


def test_a_silent_model_times_out_and_what_it_cost_is_unknown(model: Model) -> None:
    started = time.monotonic()
    error = failure(model, "[[offline:hang]]", timeout_s=0.2)
    assert isinstance(error, errors.TimedOut)
    assert error.billed is None
    assert 0.2 <= time.monotonic() - started < 1
    assert "0.2 s" in str(error)


def test_an_answer_that_trickles_times_out_all_the_same(answering: Answering) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n"
    trickle = answering([head, *[b" "] * 50])
    started = time.monotonic()
    assert isinstance(failure(model_at(trickle), "x", timeout_s=0.4), errors.TimedOut)
    assert time.monotonic() - started < 1.5


def test_an_api_that_is_not_there_costs_nothing() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        error = failure(model_at(f"http://127.0.0.1:{free.getsockname()[1]}"), "x")
    assert isinstance(error, errors.Unreachable)
    assert error.billed is False


def test_an_api_that_does_not_pick_up_costs_nothing() -> None:
    with socket.socket() as deaf, socket.socket() as one, socket.socket() as other:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for filler in (one, other):  # the queue of connections is full: Linux lets further ones wait
            filler.setblocking(False)
            filler.connect_ex(deaf.getsockname())
        error = failure(model_at(f"http://127.0.0.1:{deaf.getsockname()[1]}"), "x", timeout_s=0.4)
    assert isinstance(error, errors.Unreachable)
    assert error.billed is False


ANSWER = b"HTTP/1.1 429 Too Many\r\ncontent-length: 2\r\n\r\n{}"  # an answer of the API, and no error of a connection


@contextmanager
def closing(connections: Sequence[Sequence[bytes]]) -> Iterator[tuple[str, list[int]]]:
    """Serve connections that each answer requests with these bytes, one after the other, and then close.

    The last request of a connection is read and never answered where its answer is empty. Yields the address, and the
    number of the connection for each request that was read.
    """
    requests: list[int] = []
    planned = iter(enumerate(connections))

    class Raw(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            number, answers = next(planned)
            for answer in answers:
                while not self.request.recv(65536).endswith(b"}"):
                    pass
                requests.append(number)
                self.request.sendall(answer)

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Raw)
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    serving.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", requests
    finally:
        server.shutdown()
        server.server_close()
        serving.join()


def test_a_request_on_a_connection_that_died_while_idle_is_sent_once_more_and_costs_nothing() -> None:
    with closing([[ANSWER, b""], [ANSWER]]) as (url, requests):
        model = model_at(url)
        assert isinstance(failure(model, "x"), errors.Throttled)
        assert isinstance(failure(model, "x"), errors.Throttled), "answered on the new connection"
    assert requests == [0, 0, 1]


def test_a_request_that_breaks_on_a_new_connection_is_not_repeated() -> None:
    with closing([[ANSWER, b""], [b""], [ANSWER]]) as (url, requests):
        model = model_at(url)
        assert isinstance(failure(model, "x"), errors.Throttled)
        broken = failure(model, "x")
    assert isinstance(broken, errors.Unreachable)
    assert broken.billed is None, "it may have been read"
    assert requests == [0, 0, 1]


def test_an_answer_that_breaks_off_is_not_asked_for_again() -> None:
    half = b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{"
    with closing([[ANSWER, half], [ANSWER]]) as (url, requests):
        model = model_at(url)
        failure(model, "x")
        broken = failure(model, "x")
    assert (type(broken), broken.billed) == (errors.Unreachable, None)
    assert requests == [0, 0]


JSON = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 5\r\n\r\nLogin",
        JSON % (2, b"{}"),
        JSON % (4, b"null"),
        JSON % (5, b"{oops"),
        JSON % (29, b'{"content": 1, "usage": "all"}'[:29]),
        JSON % (42, b'{"content": [], "usage": {"cost": "a lot"}}'[:42]),
    ],
    ids=["html", "empty", "null", "broken", "cut", "other"],
)
def test_what_is_no_model_api_is_a_bad_answer_of_unknown_cost(answering: Answering, raw: bytes) -> None:
    error = failure(model_at(answering([raw])), "x")
    assert isinstance(error, errors.BadAnswer)
    assert error.billed is None
    assert error.usage is None
