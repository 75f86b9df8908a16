"""Migrator: applies SQL migrations; the deployment invokes it when a migration was added."""

from __future__ import annotations

from typing import Any

from infrafabric.environment import MigratorEnvironment
from infrafabric.recorder import connect, migrate
from infrafabric.telemetry import EventLog

env = MigratorEnvironment.read()
log = EventLog("migrator", env.log_level)


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:  # noqa: ARG001  Lambda's signature
    """Apply pending migrations. Returns their names and the schema's version."""
    with connect.by_secret(env, env.master_secret_arn) as connection:
        applied = migrate.apply(connection, writer=env.recorder_user)
    log.info("migrated", applied=applied, version=migrate.version())
    return {"applied": applied, "version": migrate.version()}
