"""SQL migrations: applied once, in order, in one transaction; a migration that was rewritten is refused."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources
from typing import Any

from psycopg import Connection, sql

_LOCK = 7_318_046_511  # any constant of ours: keeps two deployments from migrating at once


class MigrationError(Exception):
    """Migration file that differs from the applied migration; the message names the file."""


@dataclass(frozen=True)
class Migration:
    """SQL file, applied once."""

    name: str
    text: str

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


def migrations() -> list[Migration]:
    """Return the migrations of this package, in order."""
    folder = resources.files("infrafabric.recorder") / "migrations"
    files = (Migration(entry.name, entry.read_text()) for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return sorted(files, key=lambda migration: migration.name)


def version() -> str:
    """Return a digest of all migrations; the deployment runs the migrator when the digest changes."""
    return hashlib.sha256("".join(m.name + m.digest for m in migrations()).encode()).hexdigest()


def apply(connection: Connection[Any], *, writer: str) -> list[str]:
    """Apply pending migrations in one transaction. Returns their names.

    Args:
        writer: the recorder's database role, which may read and insert history.

    Raises:
        MigrationError: a migration that was applied before has another content today.
    """
    applied_now = []
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        connection.execute(
            "CREATE TABLE IF NOT EXISTS migrations"
            " (name text PRIMARY KEY, digest text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        applied = dict(connection.execute("SELECT name, digest FROM migrations").fetchall())
        for migration in migrations():
            if migration.name in applied:
                if applied[migration.name] != migration.digest:
                    raise MigrationError(
                        f"{migration.name} was changed after it was applied: put its text back and add a new migration"
                    )
                continue
            connection.execute(migration.text.encode())
            done = (migration.name, migration.digest)
            connection.execute("INSERT INTO migrations (name, digest) VALUES (%s, %s)", done)
            applied_now.append(migration.name)
        _grant_insert(connection, writer)
    return applied_now


def _grant_insert(connection: Connection[Any], writer: str) -> None:
    role = sql.Identifier(writer)
    if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (writer,)).fetchone():
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(role))
    connection.execute(sql.SQL("GRANT rds_iam TO {}").format(role))
    connection.execute(sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(role))
    connection.execute(sql.SQL("GRANT SELECT, INSERT ON sessions, task_results, records TO {}").format(role))
