"""Definition of the HTTP API as data: routes, request validation, error responses and access log format.

docs/openapi.yaml describes the API to clients. API Gateway rejects malformed requests before an invocation is billed;
the function validates the content, and names the wrong field.
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
    """Resource path of the API with its HTTP methods."""

    name: str  # part of the logical names
    path: tuple[str, ...]
    methods: tuple[str, ...]


ROUTES = (
    Route("sessions", ("sessions",), ("GET", "POST")),
    Route("session", ("sessions", "{id}"), ("DELETE", "GET")),
    Route("report", ("sessions", "{id}", "report"), ("GET",)),
)

HEALTH_PATH = "/health"  # not one of ROUTES: needs no key, and has limits of its own
# Requests per second. Route 53 sends one every two to three seconds (Developer Guide, "Values that you specify when you
# create or update health checks"); the rest is room for people and monitors, so that nobody's calls use up the bucket.
HEALTH_RATE, HEALTH_BURST = 50, 100

# API Gateway's error messages do not name the member with a wrong type, so the function checks the members' types.
NEW_SESSION = {
    "$schema": "http://json-schema.org/draft-04/schema#",
    "title": "NewSession",
    "type": "object",
    "minProperties": 1,
    "maxProperties": 16,
}


@dataclass(frozen=True)
class Refusal:
    """Gateway response: error document that API Gateway sends without invoking the function."""

    response_type: str
    status: int | None  # None: the status varies
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
    """Return the mapping template of an RFC 9457 problem document; ``messageString`` includes its quotes.

    A document without a fixed status has no ``status`` member: ``$context.status`` exists only in access logs, and an
    unknown variable in a template would leave a gap in the JSON (API Gateway Developer Guide, "Variables for data
    transformations").
    """
    status = "" if refusal.status is None else f'"status":{refusal.status},'
    return (
        f'{{"type":"about:blank","title":{json.dumps(refusal.title)},{status}'
        '"detail":$context.error.messageString,"instance":"urn:uuid:$context.requestId"}'
    )


def access_log_format() -> str:
    """Return the access log format: one JSON line per request, without client addresses or keys."""
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
    """Return the SHA-256 of the API's declaration: logical names and inputs of its resources, in order.

    A deployment is a snapshot, so a changed digest must create a new deployment (API Gateway Developer Guide, "Updates
    to REST APIs that require redeployment"). An Output counts only as present: its value is an identifier, and a method
    that refers to another resource differs in its name or in a plain input as well.
    """
    plain = [[name, _plain(inputs)] for name, inputs in declared]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, Output):
        return "output"
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value
