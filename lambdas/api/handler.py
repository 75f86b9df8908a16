"""API function behind API Gateway: routes to operations, and problems to documents."""

from __future__ import annotations

import json
import os
from functools import cache
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError

from infrafabric.api import requests, service
from infrafabric.api.health import HealthCheck
from infrafabric.api.owners import Caller, Callers
from infrafabric.api.paths import SIGNED_PATHS
from infrafabric.api.problems import CONTENT_TYPE, ProblemError, internal_error, session_unreadable, unknown_path
from infrafabric.environment import ApiEnvironment
from infrafabric.swarm.shapes.shape import BadShapeError
from infrafabric.telemetry import EventLog
from lambdas.api import wiring

env = ApiEnvironment.read()
log = EventLog("api", env.log_level)
app = APIGatewayRestResolver(strip_prefixes=[*SIGNED_PATHS])  # the same operations for other callers
callers = Callers.of(env)


@cache
def sessions() -> service.SessionService:
    """Build the service with its AWS adapters on the first event."""
    return wiring.session_service(env, os.environ["AWS_REGION"], log)


@cache
def health() -> HealthCheck:
    """Build the health check with its AWS adapters on the first health request."""
    return wiring.health_check(env, log)


def _caller() -> Caller:
    return callers.of_event(app.current_event.raw_event)


def _json(response: service.Response) -> Response[str]:
    body = json.dumps(response.document, ensure_ascii=False)
    return Response(response.status, "application/json", body, headers=dict(response.headers))


@app.get("/health")
def read_health() -> Response[str]:
    """Handle ``GET /health``, which has no caller."""
    return _json(health().respond())


@app.post("/sessions")
def create_session() -> Response[str]:
    """Handle ``POST /sessions``."""
    event = app.current_event
    body = requests.decoded_body(event.body, is_base64=bool(event.is_base64_encoded))
    return _json(sessions().create(_caller(), body))


@app.get("/sessions")
def list_sessions() -> Response[str]:
    """Handle ``GET /sessions``."""
    return _json(sessions().list(_caller(), app.current_event.query_string_parameters or {}))


@app.get("/sessions/<session_id>")
def read_session(session_id: str) -> Response[str]:
    """Handle ``GET /sessions/{id}``."""
    return _json(sessions().read(_caller(), session_id))


@app.get("/sessions/<session_id>/report")
def read_report(session_id: str) -> Response[str]:
    """Handle ``GET /sessions/{id}/report``."""
    return _json(sessions().report(_caller(), session_id))


@app.delete("/sessions/<session_id>")
def cancel_session(session_id: str) -> Response[str]:
    """Handle ``DELETE /sessions/{id}``."""
    return _json(sessions().cancel(_caller(), session_id))


@app.exception_handler(ProblemError)
def respond_with_problem(error: ProblemError) -> Response[str]:
    """Return a refused request's problem document."""
    return Response(error.status, CONTENT_TYPE, error.document(), headers=dict(error.headers))


@app.exception_handler(BadShapeError)
def respond_unreadable(error: BadShapeError) -> Response[str]:
    """Log an item that does not have the shape of its kind, and return 500 with the member's name, without values."""
    log.logger.exception("request failed")
    return respond_with_problem(session_unreadable(error))


@app.not_found
def respond_not_found(_: NotFoundError) -> Response[str]:
    """Return 404 for a path that the API does not have."""
    return respond_with_problem(unknown_path(app.current_event.http_method, app.current_event.path))


@app.exception_handler(Exception)
def respond_internal_error(error: Exception) -> Response[str]:
    """Log an unexpected error and return 500 without its details."""
    log.logger.exception("request failed")
    return respond_with_problem(internal_error(error))


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Handle a proxied request of API Gateway."""
    return app.resolve(event, context)
