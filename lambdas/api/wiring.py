"""Services of the API function with their AWS adapters."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from infrafabric.api.health import HealthCheck, HealthDeps
from infrafabric.api.service import ApiDeps, SessionService
from infrafabric.aws_adapters.clients import client, health_client
from infrafabric.aws_adapters.executions import CoordinatorExecutions
from infrafabric.aws_adapters.health_checks import key_check, table_check, topic_check
from infrafabric.aws_adapters.objects import S3Objects
from infrafabric.aws_adapters.secrets import ModelKeyCheck
from infrafabric.aws_adapters.session_store import SessionStore, log_unreadable
from infrafabric.concurrency import run_concurrently_on
from infrafabric.environment import ApiEnvironment
from infrafabric.telemetry import EventLog


def session_service(env: ApiEnvironment, home: str, log: EventLog) -> SessionService:
    """Return the service for sessions; ``home`` is this function's region."""
    dynamodb = client("dynamodb")
    deps = ApiDeps(
        now_ms=lambda: time.time_ns() // 1_000_000,
        store=SessionStore(dynamodb=dynamodb, table=env.sessions_table, home=home, on_unreadable=log_unreadable(log)),
        executions=CoordinatorExecutions(client("lambda"), env.coordinator_arn),
        objects=S3Objects(client("s3"), env.results_bucket),
        missing_key=ModelKeyCheck(env.model_provider, env.api_key_secret_arn),
        fleet=env.agents,
        model=env.model_id,
        homes=[region for region in (home, env.peer_region) if region],
        log=log,
    )
    return SessionService(deps)


def health_check(env: ApiEnvironment, log: EventLog) -> HealthCheck:
    """Return the check of what a session needs in this region."""
    checks = {
        "sessions-table": table_check(health_client("dynamodb"), env.sessions_table),
        "topic": topic_check(health_client("sns"), env.topic_arn),
        "signing-key": key_check(health_client("kms"), env.coordinator_key_arn),
    }
    run_concurrently = run_concurrently_on(ThreadPoolExecutor(len(checks) - 1))  # one runs in the calling thread
    return HealthCheck(HealthDeps(checks=checks, run_concurrently=run_concurrently, now_s=time.monotonic, log=log))
