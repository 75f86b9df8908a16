"""Every way in which asking can fail, through the real SDK against real servers."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence

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
        ("error=408", errors.TimedOut, None),
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
