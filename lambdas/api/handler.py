"""The API behind API Gateway: routes to the operations, and problems to documents."""

from __future__ import annotations

import json
import time
from functools import cache, partial
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError

from infrafabric import cloud
from infrafabric.api import requests, service
from infrafabric.api.problems import CONTENT_TYPE, ProblemError
from infrafabric.environment import ApiEnvironment
from infrafabric.swarm.store import SessionStore
from infrafabric.telemetry import EventLog

env = ApiEnvironment.read()
log = EventLog("api", env.log_level)
app = APIGatewayRestResolver(strip_prefixes=["/iam"])  # the same operations, signed with SigV4 instead of a key


@cache
def aws_deps() -> service.ApiDeps:
    """Built on the first event and kept."""
    objects, executions = cloud.Objects(cloud.client("s3"), env.results_bucket), cloud.client("lambda")
    return service.ApiDeps(
        now_ms=lambda: time.time_ns() // 1_000_000,
        store=SessionStore(dynamodb=cloud.client("dynamodb"), table=env.sessions_table),
        start=partial(cloud.start_session, executions, env.coordinator_arn),
        wrap_up=partial(cloud.wrap_up_session, executions, env.coordinator_arn),
        fetch=objects.find,
        find_all=objects.find_all,
        missing_key=cloud.KeyCheck(env.model_provider, env.api_key_secret_arn),
        fleet=env.agents,
        model=env.model_id,
    )


def _json(answer: service.Answer) -> Response[str]:
    body = json.dumps(answer.document, ensure_ascii=False)
    return Response(answer.status, "application/json", body, headers=dict(answer.headers))


@app.post("/sessions")
def create() -> Response[str]:
    event = app.current_event
    return _json(service.create(requests.text_of(event.body, is_base64=bool(event.is_base64_encoded)), aws_deps()))


@app.get("/sessions")
def listing() -> Response[str]:
    return _json(service.listing(dict(app.current_event.query_string_parameters or {}), aws_deps()))


@app.get("/sessions/<session_id>")
def read(session_id: str) -> Response[str]:
    return _json(service.read(session_id, aws_deps()))


@app.get("/sessions/<session_id>/report")
def report(session_id: str) -> Response[str]:
    return _json(service.report(session_id, aws_deps()))


@app.delete("/sessions/<session_id>")
def cancel(session_id: str) -> Response[str]:
    return _json(service.cancel(session_id, aws_deps()))


@app.exception_handler(ProblemError)
def problem(error: ProblemError) -> Response[str]:
    return Response(error.status, CONTENT_TYPE, error.document(), headers=dict(error.headers))


@app.not_found
def unknown_path(_: NotFoundError) -> Response[str]:
    where = f"{app.current_event.http_method} {app.current_event.path[:80]}"
    return problem(ProblemError(404, "unknown-path", "There is nothing here", f"{where} is not part of this API"))


@app.exception_handler(Exception)
def broken(error: Exception) -> Response[str]:
    log.logger.exception("request failed")
    kind = type(error).__name__
    detail = f"the request could not be served ({kind}); it may be sent again, with the same session_id"
    return problem(ProblemError(500, "internal-error", "Something went wrong on our side", detail))


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    return app.resolve(event, context)
