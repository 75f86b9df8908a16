"""What the API looks like from outside, as data: routes, the check of a body, errors, and the line logged per request.

docs/openapi.yaml describes it to clients. The function checks what a request means, and names the field that is wrong;
the gateway refuses what is no request at all before it costs an invocation.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pulumi import Output

STAGE = "v1"


@dataclass(frozen=True)
class Route:
    """A path below the entrance, and what it answers to."""

    name: str  # logical
    path: tuple[str, ...]
    methods: tuple[str, ...]


ROUTES = (
    Route("sessions", ("sessions",), ("GET", "POST")),
    Route("session", ("sessions", "{id}"), ("DELETE", "GET")),
    Route("report", ("sessions", "{id}", "report"), ("GET",)),
)

HEALTH_PATH = "/health"  # beside the routes: it takes no key, and the gateway answers it itself
HEALTHY = json.dumps({"status": "ok"})

# The gateway's own messages do not name the member that has a wrong type, so types inside are the function's to check.
NEW_SESSION = {
    "$schema": "http://json-schema.org/draft-04/schema#",
    "title": "NewSession",
    "type": "object",
    "minProperties": 1,
    "maxProperties": 16,
}


@dataclass(frozen=True)
class Refusal:
    """A gateway response: what the gateway says when it answers in the function's stead."""

    response_type: str
    status: int | None  # None: whatever it is
    title: str


REFUSALS = (
    Refusal("ACCESS_DENIED", 403, "Forbidden"),
    Refusal("BAD_REQUEST_BODY", 400, "Bad Request"),
    Refusal("DEFAULT_4XX", None, "Request refused"),
    Refusal("DEFAULT_5XX", None, "The service cannot answer now"),
    Refusal("INTEGRATION_FAILURE", 502, "Bad Gateway"),
    Refusal("INTEGRATION_TIMEOUT", 504, "Gateway Timeout"),
    Refusal("INVALID_API_KEY", 403, "Forbidden: header x-api-key is missing or unknown"),
    Refusal("MISSING_AUTHENTICATION_TOKEN", 403, "Forbidden: no such route, or a request that is not signed"),
    Refusal("QUOTA_EXCEEDED", 429, "Quota of this API key is used up for the month"),
    Refusal("REQUEST_TOO_LARGE", 413, "Content Too Large: 10 MB at most"),
    Refusal("THROTTLED", 429, "Too Many Requests"),
    Refusal("UNSUPPORTED_MEDIA_TYPE", 415, "Unsupported Media Type"),
)

PROBLEM_HEADERS = {"gatewayresponse.header.Content-Type": "'application/problem+json'"}


def problem(refusal: Refusal) -> str:
    """The template of an RFC 9457 problem document; ``messageString`` comes with its quotes.

    Where only the gateway knows the status, the document leaves it out: ``$context.status`` is for access logs alone,
    and a variable that a template does not know would leave a hole in the JSON (API Gateway Developer Guide, "Variables
    for data transformations").
    """
    status = "" if refusal.status is None else f'"status":{refusal.status},'
    return (
        f'{{"type":"about:blank","title":{json.dumps(refusal.title)},{status}'
        '"detail":$context.error.messageString,"instance":"urn:uuid:$context.requestId"}'
    )


def access_log_format() -> str:
    """One JSON line a request, without addresses of clients or keys."""
    fields = {
        "time": "$context.requestTime",
        "request_id": "$context.requestId",
        "method": "$context.httpMethod",
        "route": "$context.resourcePath",
        "status": "$context.status",
        "error": "$context.error.responseType",
        "latency_ms": "$context.responseLatency",
        "integration_latency_ms": "$context.integrationLatency",
        "response_bytes": "$context.responseLength",
        "api_key_id": "$context.identity.apiKeyId",
        "caller": "$context.identity.userArn",
        "tls": "$context.tlsVersion",
    }
    return json.dumps(fields)


def digest(declared: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """SHA-256 of what the API declares: logical names and inputs of its resources, in their order.

    A deployment is a snapshot, so it is made again whenever this changes (API Gateway Developer Guide, "Updates to REST
    APIs that require redeployment"). An Output counts as present only: its value is an identifier, and a method that
    refers to another resource has another name or another plain input as well.
    """
    plain = [[name, _plain(inputs)] for name, inputs in declared]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, Output):
        return "output"
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value
