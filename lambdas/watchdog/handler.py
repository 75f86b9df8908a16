"""Watchdog function: one round over the live sessions, every ten minutes."""

from __future__ import annotations

import os
import time
from functools import cache
from typing import Any

from infrafabric.aws_adapters.clients import client
from infrafabric.aws_adapters.executions import CoordinatorExecutions
from infrafabric.aws_adapters.session_store import SessionStore, log_unreadable
from infrafabric.environment import WatchdogEnvironment
from infrafabric.swarm.watchdog import SessionWatchdog, WatchdogDeps
from infrafabric.telemetry import EventLog, meter

env = WatchdogEnvironment.read()
log = EventLog("watchdog", env.log_level)


@cache
def aws_deps() -> WatchdogDeps:
    """Build the AWS adapters on the first event."""
    return WatchdogDeps(
        now_ms=lambda: time.time_ns() // 1_000_000,
        store=SessionStore(
            dynamodb=client("dynamodb"),
            table=env.sessions_table,
            home=os.environ["AWS_REGION"],
            on_unreadable=log_unreadable(log),
        ),
        executions=CoordinatorExecutions(client("lambda"), env.coordinator_arn),
        measure=meter(env.stack),
        log=log,
        stuck_ms=env.stuck_minutes * 60_000,
    )


def handler(event: dict[str, Any], context: Any) -> dict[str, int]:  # noqa: ARG001  Lambda's signature
    """Run one round. Returns the number of sessions per health."""
    return SessionWatchdog(aws_deps()).run()
