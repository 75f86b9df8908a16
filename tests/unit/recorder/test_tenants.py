"""Rows of tenants, kept apart by a real PostgreSQL."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from infrafabric.recorder import migrate
from local import postgres, processes

APP = "navidocs"


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[Path, int]]:
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)  # as root the server runs as another user, who must get in
        folder, port = Path(place) / "server", processes.free_port()
        parts = postgres.start(folder, port=port, log=Path(place) / "log")
        try:
            postgres.create_database(folder, port, name="history", user="master", password="secret")
            with connect(folder, port, "master") as master:
                migrate.apply(master, writer="if_recorder")
                master.execute(f"CREATE ROLE {APP} LOGIN PASSWORD 'secret'".encode())
                master.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON tenants, tenant_documents TO {APP}".encode())
            with connect(folder, port, APP) as app:
                for tenant in ("aurora", "borealis"):
                    become(app, tenant)
                    app.execute("INSERT INTO tenants (tenant_id, name) VALUES (%s, %s)", (tenant, tenant.title()))
                    app.execute(
                        "INSERT INTO tenant_documents (document_id, s3_key) VALUES ('manual', %s)",
                        (f"tenants/{tenant}/manual.pdf",),
                    )
            yield folder, port
        finally:
            processes.stop(parts)


def connect(folder: Path, port: int, user: str) -> psycopg.Connection[Any]:
    url = postgres.url(folder, port, user=user, password="secret", database="history")
    return psycopg.connect(url, autocommit=True)


def become(connection: psycopg.Connection[Any], tenant: str) -> None:
    connection.execute("SELECT set_config('app.tenant', %s, false)", (tenant,))


@pytest.fixture
def app(server: tuple[Path, int]) -> Iterator[psycopg.Connection[Any]]:
    with connect(*server, APP) as connection:
        yield connection


def test_a_connection_that_names_no_tenant_sees_no_row(app: psycopg.Connection[Any]) -> None:
    assert app.execute("SELECT * FROM tenant_documents").fetchall() == []
    assert app.execute("SELECT * FROM tenants").fetchall() == []


def test_a_tenant_sees_its_own_rows_and_no_others(app: psycopg.Connection[Any]) -> None:
    become(app, "aurora")
    assert app.execute("SELECT tenant_id, s3_key FROM tenant_documents").fetchall() == [
        ("aurora", "tenants/aurora/manual.pdf")
    ]
    become(app, "borealis")
    assert app.execute("SELECT tenant_id FROM tenants").fetchall() == [("borealis",)]


def test_a_tenant_cannot_write_into_anothers_rows(app: psycopg.Connection[Any]) -> None:
    become(app, "aurora")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        app.execute("INSERT INTO tenant_documents VALUES ('borealis', 'stolen', 'tenants/borealis/x')")
    assert app.execute("DELETE FROM tenant_documents WHERE tenant_id = 'borealis'").rowcount == 0


def test_a_row_cannot_point_at_another_tenants_object(app: psycopg.Connection[Any]) -> None:
    become(app, "aurora")
    with pytest.raises(psycopg.errors.CheckViolation):
        app.execute("INSERT INTO tenant_documents (document_id, s3_key) VALUES ('x', 'tenants/borealis/manual.pdf')")


def test_not_even_the_owner_of_the_tables_sees_past_the_policy(server: tuple[Path, int]) -> None:
    with connect(*server, "master") as master:
        (superuser,) = master.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone() or (
            None,
        )
        assert superuser is False, "as in RDS: a superuser would pass every policy"
        assert master.execute("SELECT * FROM tenant_documents").fetchall() == []
