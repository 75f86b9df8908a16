"""One call of the Messages API through the SDK, and the translation of its errors. Importing this imports the SDK."""

from __future__ import annotations

import json
import math
import re
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import cache
from typing import Any, TypeVar

import anthropic
import httpx2
from anthropic import types
from anthropic.lib.bedrock import AnthropicBedrock
from pydantic import BaseModel, ValidationError

from infrafabric.models import errors
from infrafabric.models.usage import Usage

T = TypeVar("T", bound=BaseModel)
Client = anthropic.Anthropic | AnthropicBedrock

_CONNECT_S = 5.0  # connect timeout: an API that takes longer is unreachable
_ACCESS = "put a valid key into the secret that API_KEY_SECRET_ARN names; on Bedrock, let the role invoke the model"
_ADVICE: dict[int, tuple[type[errors.ModelError], str]] = {
    401: (errors.NotAllowed, _ACCESS),
    402: (errors.OutOfCredit, "the account cannot pay: add credit, or raise its limit"),
    403: (errors.NotAllowed, _ACCESS),
    413: (errors.TooLarge, "the task or its goal is too large"),
}
# What the SDK would repeat, and Bedrock's 503 for want of capacity. Any other 5xx is an internal error.
_LATER: dict[int, type[errors.ModelError]] = {
    408: errors.Unreachable,
    409: errors.Unreachable,
    429: errors.Throttled,
    503: errors.Throttled,
    504: errors.TimedOut,
    529: errors.Throttled,
}
# What the API says where credit or a limit is used up: its status is 400 then.
_NO_CREDIT = re.compile(r"credit balance is too low", re.IGNORECASE)
_USAGE_LIMIT = re.compile(r"usage limits?\b", re.IGNORECASE)
_ACCESS_RETURNS = re.compile(r"regain access on (\d{4}-\d{2}-\d{2})(?: at (\d{2}:\d{2}) UTC)?")
_NOTHING_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)


def send(
    client: Client,
    *,
    model: str,
    system: list[types.TextBlockParam],
    user: str,
    schema: type[BaseModel],
    max_tokens: int,
    timeout_s: float,
) -> types.Message:
    """Send one request, without retries.

    Raises:
        errors.ModelError: no answer, for any reason.
    """

    def create() -> types.Message:
        return client.messages.create(
            model=model,
            max_tokens=max_tokens,
            system=system,
            messages=[{"role": "user", "content": user}],
            output_config={"format": {"type": "json_schema", "schema": _schema(schema)}},
            timeout=anthropic.Timeout(timeout_s, connect=min(_CONNECT_S, timeout_s / 2)),
        )

    try:
        return _within(timeout_s, create)
    except anthropic.APIConnectionError as error:
        raise _unanswered(error, timeout_s) from None
    except anthropic.APIStatusError as error:
        raise _translated(error, model) from None
    except TimeoutError:
        raise errors.TimedOut(f"no answer within {timeout_s:.3g} s") from None
    except json.JSONDecodeError:
        raise errors.BadAnswer("the answer is not JSON, so it is not from a model API", cost_unknown=True) from None
    except RuntimeError as error:  # the SDK's error for missing AWS credentials
        raise errors.NotAllowed(f"the call could not be signed: {error}") from None


def usage_of(message: types.Message) -> Usage:
    """Return the tokens that a call used. The SDK accepts any JSON as a message, so its structure is checked here.

    Raises:
        errors.BadAnswer: the answer is not a message.
    """
    used = getattr(message, "usage", None)
    counts = [getattr(used, name, None) for name in ("input_tokens", "output_tokens")]
    if not isinstance(getattr(message, "content", None), list) or not all(isinstance(count, int) for count in counts):
        raise errors.BadAnswer("the answer is not a message of the Messages API", cost_unknown=True)
    return Usage(
        input_tokens=message.usage.input_tokens,
        output_tokens=message.usage.output_tokens,
        cache_read_tokens=message.usage.cache_read_input_tokens or 0,
        cache_write_tokens=message.usage.cache_creation_input_tokens or 0,
    )


def read(message: types.Message, output: type[T], usage: Usage, max_tokens: int) -> T:
    """Parse the answer as ``output``.

    Raises:
        errors.ModelError: with ``usage``, because an unusable answer is billed too.
    """
    if message.stop_reason == "refusal":
        raise errors.RefusedToAnswer("the model declined to answer", usage=usage)
    if message.stop_reason in ("max_tokens", "model_context_window_exceeded"):
        raise errors.CutOff(f"the answer did not fit {max_tokens} tokens", usage=usage)
    text = "".join(block.text for block in message.content if block.type == "text")
    try:
        return output.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole"
        detail = f"the answer does not fit {output.__name__}: {where}: {first['msg']}"
        raise errors.BadAnswer(detail, usage=usage) from None


def _within(timeout_s: float, create: Callable[[], types.Message]) -> types.Message:
    """Return ``create()``, or raise ``TimeoutError`` after ``timeout_s``.

    The SDK's own timeouts bound each read, not their sum: an answer that arrives slowly would outlive the function. An
    abandoned call ends with its connection, unnoticed.
    """
    answer: Future[types.Message] = Future()

    def run() -> None:
        try:
            answer.set_result(create())
        except BaseException as error:  # noqa: BLE001  raised again by answer.result
            answer.set_exception(error)

    threading.Thread(target=run, name="model call", daemon=True).start()
    return answer.result(timeout_s)


@cache
def _schema(output: type[BaseModel]) -> dict[str, Any]:
    return anthropic.transform_schema(output)


def _unanswered(error: anthropic.APIConnectionError, timeout_s: float) -> errors.ModelError:
    cause = error.__cause__
    if isinstance(cause, _NOTHING_SENT):
        return errors.Unreachable(f"the model API cannot be reached: {type(cause).__name__}")
    if isinstance(error, anthropic.APITimeoutError):
        return errors.TimedOut(f"no answer within {timeout_s:.3g} s")
    broken = f"the connection to the model API broke: {type(cause or error).__name__}"
    return errors.Unreachable(broken, cost_unknown=True)


def _translated(error: anthropic.APIStatusError, model: str) -> errors.ModelError:
    status = error.status_code
    text = f"the model API answered {status}"
    no_credit = _no_credit(error) if status in (400, 403, 429) else ""
    if no_credit:
        return errors.OutOfCredit(f"{text}: {no_credit}")
    later = _LATER.get(status, errors.Unreachable if status >= 500 else None)
    if later is not None:
        return later(text, retry_after_s=_retry_after_s(error.response.headers))
    if status in _ADVICE:
        kind, advice = _ADVICE[status]
        return kind(f"{text}: {advice}")
    if status == 404:
        return errors.BadRequest(f"{text}: unknown model {model!r}: change model.agentId or model.coordinatorId")
    if status < 400:
        detail = ", a redirect, which gets no key: change model.baseUrl to the API's own address"
    else:
        detail = f" ({error.type or 'no type'})"
    return errors.BadRequest(f"{text}{detail}")


def _no_credit(error: anthropic.APIStatusError) -> str:
    """Return what to do if the API says that credit or a usage limit is used up, else ""."""
    said = str(error)
    if _NO_CREDIT.search(said):
        return "the credit balance is too low: add credit in the provider's console"
    if not _USAGE_LIMIT.search(said):
        return ""
    returns = _ACCESS_RETURNS.search(said)
    at = f" {returns[2]} UTC" if returns and returns[2] else ""
    until = f" until {returns[1]}{at}" if returns else ""
    return f"the usage limit is reached{until}: raise the limit in the provider's console, or wait"


def _retry_after_s(headers: httpx2.Headers) -> float:
    try:
        seconds = float(headers.get("retry-after", ""))
    except ValueError:
        return 0.0  # an HTTP date: our own backoff decides
    return seconds if math.isfinite(seconds) and seconds > 0 else 0.0
