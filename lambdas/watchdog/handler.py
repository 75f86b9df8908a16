"""The watchdog: every ten minutes, one look at the sessions that have not ended."""

from __future__ import annotations

import time
from functools import cache, partial
from typing import Any

from infrafabric import cloud
from infrafabric.environment import WatchdogEnvironment
from infrafabric.swarm.store import SessionStore
from infrafabric.swarm.watch import WatchDeps, look
from infrafabric.telemetry import EventLog, meter

env = WatchdogEnvironment.read()
log = EventLog("watchdog", env.log_level)


@cache
def aws_deps() -> WatchDeps:
    """Built on the first event and kept."""
    executions = cloud.client("lambda")
    return WatchDeps(
        now_ms=lambda: time.time_ns() // 1_000_000,
        store=SessionStore(dynamodb=cloud.client("dynamodb"), table=env.sessions_table),
        start=partial(cloud.start_session, executions, env.coordinator_arn),
        wrap_up=partial(cloud.wrap_up_session, executions, env.coordinator_arn),
        measure=meter(env.stack),
        log=log,
        stuck_ms=env.stuck_minutes * 60_000,
    )


def handler(event: dict[str, Any], context: Any) -> dict[str, int]:  # noqa: ARG001  Lambda's signature
    return look(aws_deps())
