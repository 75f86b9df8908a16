"""The API as a client sees it: JSON in, JSON out, problems as errors."""

from __future__ import annotations

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
    """``url`` is the stack's output ``api_url``, ``key`` its ``api_key``."""

    url: str
    key: str

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The answer's JSON. Raises :class:`ApiError` with the problem document's detail."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"x-api-key": self.key, "content-type": "application/json"}
        request = urllib.request.Request(f"{self.url}{path}", data, headers, method=method)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise ApiError(_detail(error), error.code) from None
        except (urllib.error.URLError, OSError) as error:
            raise ApiError(f"{self.url} cannot be reached: {getattr(error, 'reason', error)}") from None


def _detail(error: urllib.error.HTTPError) -> str:
    raw = error.read()
    try:
        problem = json.loads(raw)
        return str(problem.get("detail") or problem.get("message") or problem)
    except (ValueError, AttributeError):
        return f"the API answered {error.code}"
