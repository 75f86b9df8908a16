"""Connections to PostgreSQL: always TLS with a verified certificate; an IAM token or the master's secret signs in."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import psycopg

from infrafabric.aws_adapters.clients import client
from infrafabric.environment import DatabaseEnvironment
from infrafabric.recorder.history import BadRowError

_CONNECT_S = 10


def by_token(env: DatabaseEnvironment) -> psycopg.Connection[Any]:
    """As ``env.db_user`` with a token that IAM signs: it is good for 15 minutes, the connection for longer."""
    token = client("rds").generate_db_auth_token(DBHostname=env.db_host, Port=env.db_port, DBUsername=env.db_user)
    return _connect(env, env.db_user, token)


def by_secret(env: DatabaseEnvironment, secret_arn: str) -> psycopg.Connection[Any]:
    """As the master user, whose name and password are the secret's JSON."""
    secret = json.loads(client("secretsmanager").get_secret_value(SecretId=secret_arn)["SecretString"])
    return _connect(env, secret["username"], secret["password"])


def _connect(env: DatabaseEnvironment, user: str, password: str) -> psycopg.Connection[Any]:
    return psycopg.connect(
        host=env.db_host,
        port=env.db_port,
        dbname=env.db_name,
        user=user,
        password=password,
        sslmode="verify-full",
        sslrootcert=env.db_root_cert,
        connect_timeout=_CONNECT_S,
        autocommit=True,
        application_name="infrafabric",
    )


class Executor:
    """Runs statements on one connection, and makes a new one when a failover or an idle cut has ended it.

    The statement that met the end raises ``psycopg.OperationalError``; its message comes again.
    """

    def __init__(self, connect: Callable[[], psycopg.Connection[Any]]) -> None:
        self._connect = connect
        self._connection: psycopg.Connection[Any] | None = None

    def __call__(self, statement: str, values: Mapping[str, Any]) -> None:
        if self._connection is None or self._connection.closed:
            self._connection = self._connect()
        try:
            self._connection.execute(statement.encode(), values)
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            said = error.diag.message_primary or str(error)  # the whole would quote the row
            raise BadRowError(f"{type(error).__name__}: {said}") from None
