"""The API as a client sees it: JSON in, JSON out, problems as errors."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any


class ApiError(Exception):
    """What the API, or the way to it, had against a request. One line, ready for a user."""

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True)
class ApiClient:
    """``url`` is the stack's output ``api_url``, ``key`` its ``api_key``.

    Raises:
        ApiError: when made with what cannot be either.
    """

    url: str
    key: str

    def __post_init__(self) -> None:
        if not self.url.startswith(("https://", "http://")):
            raise ApiError(f"FABRIC_API_URL = {self.url!r}: it must be https://…, the stack's output api_url")
        if not (self.key.isascii() and self.key.isprintable()):
            raise ApiError("FABRIC_API_KEY holds what no key holds: it must be the stack's output api_key")

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The answer's JSON. ``path`` is quoted. Raises :class:`ApiError` with the problem document's detail."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"x-api-key": self.key, "content-type": "application/json"}
        try:
            request = urllib.request.Request(f"{self.url}{path}", data, headers, method=method)  # noqa: S310
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise ApiError(_detail(error), error.code) from None
        except (urllib.error.URLError, OSError, http.client.HTTPException) as error:
            raise ApiError(f"{self.url} cannot be reached: {getattr(error, 'reason', error)}") from None
        except ValueError as error:
            raise ApiError(f"{self.url} is not the API of a stack, whose output api_url is: {error}") from None


def _detail(error: urllib.error.HTTPError) -> str:
    raw = error.read()
    try:
        problem = json.loads(raw)
        said = str(problem.get("detail") or problem.get("message") or problem)
    except (ValueError, AttributeError):
        said = f"the API answered {error.code}"
    return f"{said} (403: is FABRIC_API_KEY the output api_key of this stack?)" if error.code == 403 else said
