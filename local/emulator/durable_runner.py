"""Client of AWS's local runner for durable executions. Errors become those of the Lambda API."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from lambda_errors import HttpResponse, LambdaApiError, known_code

# The runner reports each failure of a callback as "not found"; these are the texts for a callback that is closed.
_CLOSED = ("is not in STARTED state", "is not active")
_PAGE = 1000


class DurableRunner:
    """The local runner, given by its URL."""

    def __init__(self, endpoint: str) -> None:
        self._address = urlsplit(endpoint)

    def start(self, request: dict[str, Any]) -> str:
        """Start an execution and return its ARN."""
        _, _, body = self.send("POST", "/start-durable-execution", json.dumps(request).encode())
        return json.loads(body)["ExecutionArn"]

    def describe(self, execution_arn: str) -> dict[str, Any]:
        """Return an execution in the shape of GetDurableExecution."""
        return json.loads(self.send("GET", f"/2025-12-01/durable-executions/{quote(execution_arn, safe='')}")[2])

    def executions(self, function_name: str) -> list[dict[str, Any]]:
        """Return all executions of all versions of a function, in the shape of ListDurableExecutionsByFunction."""
        found: list[dict[str, Any]] = []
        query: dict[str, Any] = {"MaxItems": _PAGE}
        while True:
            target = f"/2025-12-01/functions/{quote(function_name, safe='')}/durable-executions?{urlencode(query)}"
            page = json.loads(self.send("GET", target)[2])
            found += page["DurableExecutions"]
            if not page.get("NextMarker"):
                return found
            query["Marker"] = page["NextMarker"]

    def send(self, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None) -> HttpResponse:
        """Send a request and return the response.

        Raises:
            LambdaApiError: the runner returned an error, or cannot be reached.
        """
        address = self._address
        connection = http.client.HTTPConnection(address.hostname or "127.0.0.1", address.port, timeout=60)
        try:
            connection.request(method, target, body, headers or {})
            response = connection.getresponse()
            status, content = response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            raise LambdaApiError("ServiceException", f"the durable-execution runner does not answer: {error}") from None
        finally:
            connection.close()
        if status >= 300:
            raise _error(status, content)
        return status, {"content-type": response.headers.get("content-type", "application/json")}, content


def _error(status: int, content: bytes) -> LambdaApiError:
    """Convert an error of the runner, whose body has the code in ``Type`` and whose header has none."""
    try:
        body = json.loads(content)
    except ValueError:
        body = {}
    message = str(body.get("message") or body.get("Message") or "")
    if any(text in message for text in _CLOSED):
        return LambdaApiError("CallbackTimeoutException", message)
    return LambdaApiError(known_code(str(body.get("Type")), status), message)
