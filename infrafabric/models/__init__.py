"""Models behind one small interface, all through the official ``anthropic`` SDK.

    model = open_model(env, fetch_secret=...)      # asks and imports nothing yet
    model.warm()                                   # imports the SDK and builds the client; in a thread, it costs a second
    answer = model.ask(prompt, prompts.agent_answer(), max_tokens=4096, timeout_s=60)

Importing this package does not import the SDK: that is 3,000 modules and most of a cold start.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from infrafabric.environment import ModelEnvironment, Provider
from infrafabric.models import errors
from infrafabric.models.prices import Prices
from infrafabric.models.prompts import Prompt
from infrafabric.models.usage import Usage

if TYPE_CHECKING:
    from anthropic.types import Message
    from pydantic import BaseModel

T = TypeVar("T", bound="BaseModel")

_CACHE_FROM_CHARS = 2_048  # 512 tokens, the least that Haiku 5.5 caches, at four characters a token
_HIDDEN_TOKENS = 1_500  # what the API adds of its own for structured output; generous
_LONGEST_CALL_S = 600.0
__all__ = ["Answer", "Model", "Prompt", "Usage", "errors", "open_model"]


@dataclass(frozen=True, kw_only=True)
class Answer(Generic[T]):
    """What a model answered. ``offline`` marks the stand-in's answers."""

    value: T
    usage: Usage
    model_id: str
    offline: bool


class Model:
    """One model of one provider. Safe to use from several threads."""

    def __init__(
        self, provider: Provider, model_id: str, *, prices: Prices, api_key: Callable[[], str], base_url: str | None
    ) -> None:
        """``api_key`` is called once, when the client is built.

        Raises:
            BadPricesError: the model has no price.
        """
        prices.of(model_id)
        self.provider, self._asked, self._prices = provider, model_id, prices
        self._api_key, self._base_url = api_key, base_url
        self._lock = threading.Lock()
        self._client: Any = None

    @property
    def model_id(self) -> str:
        """As results show it: the stand-in is never mistaken for the model it stands for."""
        return f"offline stand-in for {self._asked}" if self.provider == "offline" else self._asked

    def warm(self) -> None:
        """Import the SDK and build the client, once."""
        with self._lock:
            if self._client is None:
                self._client = self._build()

    def ask(self, prompt: Prompt, output: type[T], *, max_tokens: int, timeout_s: float) -> Answer[T]:
        """One call, without retries: whoever asks knows the deadline.

        Args:
            timeout_s: after which :class:`errors.TimedOut` is raised.

        Raises:
            errors.ModelError
        """
        self.warm()
        from infrafabric.models import calling  # noqa: PLC0415  late, like the SDK

        message = calling.send(
            self._client,
            model=self._asked,
            system=_system(prompt),
            user=prompt.user,
            schema=output,
            max_tokens=max_tokens,
            timeout_s=min(timeout_s, _LONGEST_CALL_S),
        )
        usage = _usage(message)
        value = calling.read(message, output, usage, max_tokens)
        return Answer(value=value, usage=usage, model_id=self.model_id, offline=self.provider == "offline")

    def cost_nusd(self, usage: Usage) -> int:
        return self._prices.cost_nusd(self._asked, usage)

    def worst_nusd(self, prompt: Prompt, max_tokens: int) -> int:
        """The most that asking can cost. A token stands for one byte at least, so bytes bound the tokens."""
        return self._prices.worst_nusd(self._asked, _bound(prompt), max_tokens)

    def _build(self) -> Any:
        import anthropic  # noqa: PLC0415  a second and 3,000 modules

        if self.provider == "bedrock":
            return anthropic.AnthropicBedrock(
                aws_region=os.environ["AWS_REGION"], base_url=self._base_url, max_retries=0
            )
        return anthropic.Anthropic(api_key=self._api_key(), base_url=self._base_url, max_retries=0)


def open_model(env: ModelEnvironment, *, fetch_secret: Callable[[str], str]) -> Model:
    """The model that a function's environment names. Reads the key's secret only when the first call needs it.

    Raises:
        BadPricesError: the model has no price, or the override cannot be read.
    """

    def api_key() -> str:
        if env.model_provider == "offline":
            return "offline"
        if not env.api_key_secret_arn:
            raise errors.NotAllowed("API_KEY_SECRET_ARN is not set: deploy the stack with model.provider anthropic")
        return fetch_secret(env.api_key_secret_arn).strip()

    prices = Prices.load(env.price_table)
    return Model(env.model_provider, env.model_id, prices=prices, api_key=api_key, base_url=env.model_base_url)


def _system(prompt: Prompt) -> list[dict[str, Any]]:
    block: dict[str, Any] = {"type": "text", "text": prompt.system}
    if len(prompt.system) >= _CACHE_FROM_CHARS:
        block["cache_control"] = {"type": "ephemeral"}
    return [block]


def _bound(prompt: Prompt) -> int:
    sent = json.dumps([prompt.system, prompt.user], ensure_ascii=False)
    return len(sent.encode()) + _HIDDEN_TOKENS


def _usage(message: Message) -> Usage:
    used = message.usage
    return Usage(
        input_tokens=used.input_tokens,
        output_tokens=used.output_tokens,
        cache_read_tokens=used.cache_read_input_tokens or 0,
        cache_write_tokens=used.cache_creation_input_tokens or 0,
    )
