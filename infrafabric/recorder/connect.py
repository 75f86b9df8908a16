"""Connections to PostgreSQL: TLS with a verified certificate, authenticated by IAM token or by the master secret."""

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
    """Connect as ``env.db_user`` with an IAM token; the token expires after 15 minutes, the connection does not."""
    token = client("rds").generate_db_auth_token(DBHostname=env.db_host, Port=env.db_port, DBUsername=env.db_user)
    return _connect(env, env.db_user, token)


def by_secret(env: DatabaseEnvironment, secret_arn: str) -> psycopg.Connection[Any]:
    """Connect as the master user, whose name and password are the secret's JSON."""
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
    """Executes statements on one connection, and reconnects after a failover or an idle timeout has ended it.

    The statement on the ended connection raises ``psycopg.OperationalError``; SQS delivers its message again.
    """

    def __init__(self, connect: Callable[[], psycopg.Connection[Any]]) -> None:
        self._connect = connect
        self._connection: psycopg.Connection[Any] | None = None

    def __call__(self, statement: str, values: Mapping[str, Any]) -> None:
        """Execute one statement and commit it.

        Raises:
            BadRowError: the table never accepts these values.
            psycopg.Error: any other error; a retry may succeed.
        """
        if self._connection is None or self._connection.closed:
            self._connection = self._connect()
        try:
            self._connection.execute(statement.encode(), values)
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            text = error.diag.message_primary or str(error)  # the full error would quote the row
            raise BadRowError(f"{type(error).__name__}: {text}") from None
