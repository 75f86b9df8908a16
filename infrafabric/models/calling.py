"""One call of the Messages API through the SDK, and its errors in our words. Importing this imports the SDK."""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar

import anthropic
from anthropic.types import Message
from pydantic import BaseModel, ValidationError

from infrafabric.models import errors
from infrafabric.models.usage import Usage

T = TypeVar("T", bound=BaseModel)


def send(
    client: Any, *, model: str, system: list[dict[str, Any]], user: str, schema: type[BaseModel], max_tokens: int,
    timeout_s: float,
) -> Message:  # fmt: skip
    """Raises ``errors.ModelError`` for whatever keeps an answer from coming."""
    try:
        return client.messages.create(
            model=model,
            max_tokens=max_tokens,
            system=system,
            messages=[{"role": "user", "content": user}],
            output_config={"format": {"type": "json_schema", "schema": _schema(schema)}},
            timeout=timeout_s,
        )
    except anthropic.APITimeoutError:
        raise errors.TimedOut(f"no answer within {timeout_s:.0f} s") from None
    except anthropic.APIConnectionError as error:
        raise errors.Unreachable(f"the model API cannot be reached: {type(error.__cause__ or error).__name__}") from None
    except anthropic.APIStatusError as error:
        raise _translated(error) from None


def read(message: Message, output: type[T], usage: Usage, max_tokens: int) -> T:
    """The answer as ``output``. Raises ``errors.ModelError`` with the usage: an answer that cannot be used is paid too."""
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
        raise errors.BadAnswer(f"the answer does not fit {output.__name__}: {where}: {first['msg']}", usage=usage) from None


@cache
def _schema(output: type[BaseModel]) -> dict[str, Any]:
    return anthropic.transform_schema(output)


def _translated(error: anthropic.APIStatusError) -> errors.ModelError:
    status = error.status_code
    if isinstance(error, anthropic.RateLimitError) or status in (503, 529):
        return errors.Throttled(f"the model API answered {status}", retry_after_s=_retry_after(error))
    if status in (401, 403):
        return errors.NotAllowed(
            f"the model API answered {status}: put a valid key into the secret that API_KEY_SECRET_ARN names, or let the "
            "role invoke the model on Bedrock"
        )
    if status == 402:
        return errors.OutOfCredit("the model API answered 402: the account has no credit left")
    if status == 413:
        return errors.TooLarge("the model API answered 413: the task or its goal is too large")
    if status in (408, 504):
        return errors.TimedOut(f"the model API answered {status}")
    if status >= 500:
        return errors.Unreachable(f"the model API answered {status}")
    return errors.BadRequest(f"the model API answered {status} ({error.type or 'no type'})")


def _retry_after(error: anthropic.APIStatusError) -> float:
    text = error.response.headers.get("retry-after", "")
    try:
        return max(0.0, float(text))
    except ValueError:
        return 0.0  # an HTTP date: our own backoff decides
