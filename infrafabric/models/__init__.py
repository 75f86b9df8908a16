"""Model clients behind one small interface, all through the official ``anthropic`` SDK.

    model = open_model(env, fetch_secret=...)      # makes no call and imports no SDK yet
    model.warm()                                   # imports the SDK, which takes a second: in a thread
    completion = model.ask(prompt, prompts.agent_answer(), max_tokens=4096, timeout_s=60)

Importing this package does not import the SDK, whose 3,000 modules are most of a cold start.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from infrafabric.environment import ModelEnvironment, Provider
from infrafabric.models import errors
from infrafabric.models.prices import Prices
from infrafabric.models.pricing import SCHEMA_BYTES, PricedModel
from infrafabric.models.prompts import Prompt
from infrafabric.models.usage import Usage

if TYPE_CHECKING:
    from anthropic.types import Message, TextBlockParam
    from pydantic import BaseModel

    from infrafabric.models.calling import Client

T = TypeVar("T", bound="BaseModel")

_CACHE_FROM_CHARS = 2_048  # 512 tokens, the least that Haiku 5.5 caches, at four characters a token
_LONGEST_CALL_S = 600.0
_SHORTEST_CALL_S = 0.1
__all__ = ["SCHEMA_BYTES", "Completion", "Model", "PricedModel", "Prompt", "Usage", "errors", "open_model"]


@dataclass(frozen=True, kw_only=True)
class Completion(Generic[T]):
    """Answer of a model. ``offline`` marks answers of the offline stand-in."""

    value: T
    usage: Usage
    model_id: str
    offline: bool


class Model(PricedModel):
    """Thread-safe client of a model."""

    def __init__(
        self, provider: Provider, model_id: str, *, prices: Prices, api_key: Callable[[], str], base_url: str | None
    ) -> None:
        """Check that the model has a price.

        ``api_key`` is called when the client is built, and again after the provider has refused the key.

        Raises:
            BadPricesError: the model has no price.
        """
        super().__init__(model_id, prices)
        self.provider, self._asked = provider, model_id
        self._api_key, self._base_url = api_key, base_url
        self._lock = threading.Lock()
        self._client: Client | None = None

    @property
    def model_id(self) -> str:
        """Model id as results show it; the offline stand-in is never mistaken for the model."""
        return f"offline stand-in for {self._asked}" if self.provider == "offline" else self._asked

    def warm(self) -> None:
        """Import the SDK and build the client, once. ``ask`` raises the error of a build that failed."""
        with suppress(errors.ModelError):
            self._ready()

    def forget(self) -> None:
        """Drop the client, connections and key; the next call builds a new client."""
        with self._lock:
            self._client = None

    def ask(self, prompt: Prompt, output: type[T], *, max_tokens: int, timeout_s: float) -> Completion[T]:
        """Make one call without retries: the caller knows the deadline and retries.

        Args:
            output: a pydantic model; its JSON schema takes at most ``SCHEMA_BYTES``.
            timeout_s: timeout of the whole call, at most ten minutes.

        Raises:
            errors.ModelError: the tree in ``errors``.
        """
        client = self._ready()
        from infrafabric.models import calling  # noqa: PLC0415  late, like the SDK

        ends_at = time.monotonic() + min(timeout_s, _LONGEST_CALL_S)

        def send(client: Client) -> Message:
            return calling.send(
                client,
                model=self._asked,
                system=_system(prompt),
                user=prompt.user,
                schema=output,
                max_tokens=max_tokens,
                timeout_s=max(ends_at - time.monotonic(), _SHORTEST_CALL_S),
            )

        try:
            message = send(client)
        except errors.NotAllowed:
            renewed = self._with_another_key(client)
            if renewed is None:
                raise
            message = send(renewed)
        usage = calling.usage_of(message)
        value = calling.read(message, output, usage, max_tokens)
        return Completion(value=value, usage=usage, model_id=self.model_id, offline=self.provider == "offline")

    def _ready(self) -> Client:
        with self._lock:
            if self._client is None:
                self._client = self._build()
            return self._client

    def _with_another_key(self, refused: Client) -> Client | None:
        """Return a client with the key that the secret has now; None if that is the refused one.

        A key is rotated, or a typo in it mended, while functions are warm.
        """
        with self._lock:
            if self._client is not None and self._client is not refused:
                return self._client  # another thread has renewed it
            built = self._build()
            if getattr(built, "api_key", None) == getattr(refused, "api_key", None):
                return None
            self._client = built
            return built

    def _build(self) -> Client:
        from infrafabric.models import calling  # noqa: PLC0415  a second and 3,000 modules
        from infrafabric.models.http_client import RenewingHttpClient  # noqa: PLC0415  likewise

        http_client = RenewingHttpClient()
        if self.provider == "bedrock":
            return calling.AnthropicBedrock(
                aws_region=_region(), base_url=self._base_url, max_retries=0, http_client=http_client
            )
        return calling.anthropic.Anthropic(
            api_key=_usable(self._api_key()),
            base_url=self._base_url,
            max_retries=0,
            http_client=http_client,
        )


def open_model(env: ModelEnvironment, *, fetch_secret: Callable[[str], str]) -> Model:
    """Return the model of a function's environment. The key's secret is read only when the client is built.

    Raises:
        BadPricesError: the model has no price, or the override cannot be read.
    """

    def api_key() -> str:
        return fetch_secret(env.api_key_secret_arn).strip() if env.api_key_secret_arn else env.model_provider

    prices = Prices.load(env.price_table)
    return Model(env.model_provider, env.model_id, prices=prices, api_key=api_key, base_url=env.model_base_url)


def _usable(key: str) -> str:
    """Refuse a key that no header can carry: the HTTP client would quote the key in its error."""
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise errors.NotAllowed("the secret that API_KEY_SECRET_ARN names holds no valid API key: store one")
    return key


def _region() -> str:
    region = os.environ.get("AWS_REGION")
    if not region:
        raise errors.BadRequest("AWS_REGION is not set: provider bedrock needs the region of its endpoint")
    return region


def _system(prompt: Prompt) -> list[TextBlockParam]:
    block: TextBlockParam = {"type": "text", "text": prompt.system}
    if len(prompt.system) >= _CACHE_FROM_CHARS:
        block["cache_control"] = {"type": "ephemeral"}
    return [block]
