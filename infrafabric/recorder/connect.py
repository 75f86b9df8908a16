"""Connections to PostgreSQL: TLS with a verified certificate, IAM token or master secret, and a limit to every wait."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

from infrafabric.aws_adapters.clients import client
from infrafabric.environment import DatabaseEnvironment
from infrafabric.recorder.history import BadRowError, DatabaseUnavailableError

_IDLE_S = 60.0  # longest time without use after which a connection is used again
_WAKE_S = 0.1  # interval at which psycopg looks at its time limit


@dataclass(frozen=True, kw_only=True)
class Timeouts:
    """Limits of every wait for the database, in seconds.

    The server ends a statement before the client gives up, so that the server's own error is seen. The client's limit
    is for a server that is stopped, or behind a device that acknowledges packets and forwards none: only the client
    ends such a wait.
    """

    connect_s: int = 5  # per address of the host; libpq's connect_timeout
    lock_s: float = 4  # lock_timeout
    statement_s: float = 8  # statement_timeout
    idle_in_transaction_s: float = 30
    answer_s: float = 10  # the client's own limit per statement

    def parameters(self) -> dict[str, Any]:
        """Return the limits as parameters of libpq (PostgreSQL documentation, "Parameter Key Words")."""
        limits = {
            "lock_timeout": self.lock_s,
            "statement_timeout": self.statement_s,
            "idle_in_transaction_session_timeout": self.idle_in_transaction_s,
        }
        return {
            "connect_timeout": self.connect_s,
            "options": " ".join(f"-c {name}={round(limit_s * 1000)}" for name, limit_s in limits.items()),
            "tcp_user_timeout": round(self.statement_s * 1000),  # sent, and not acknowledged by the peer's kernel
            "keepalives_idle": 5,  # a peer that is gone while the server works
            "keepalives_interval": 1,
            "keepalives_count": 3,
        }


RECORDER_TIMEOUTS = Timeouts()
# A migration may rewrite a table. It waits no longer for a lock, because all later queries wait behind it.
MIGRATOR_TIMEOUTS = Timeouts(lock_s=30, statement_s=240, answer_s=250)


class BoundedConnection(psycopg.Connection[Any]):
    """Connection that is closed if a statement is not answered within ``answer_s``."""

    answer_s = RECORDER_TIMEOUTS.answer_s

    def wait(self, gen: Any, interval: float = _WAKE_S, timeout: float | None = None) -> Any:
        """Wait for the answer to a statement.

        Raises:
            psycopg.OperationalError: no answer in time; the connection is closed.
        """
        limit_s = self.answer_s if timeout is None else timeout
        try:
            return super().wait(gen, interval, limit_s)
        except psycopg.OperationalError as error:
            if error.sqlstate or self.closed:  # the server answered, or the connection broke
                raise
            self.close()  # an answer that comes later would be taken for the next statement's
            raise psycopg.OperationalError(f"no answer within {limit_s:g} s") from error


def by_token(env: DatabaseEnvironment) -> BoundedConnection:
    """Connect as ``env.db_user`` with an IAM token; the token expires after 15 minutes, the connection does not."""
    token = client("rds").generate_db_auth_token(DBHostname=env.db_host, Port=env.db_port, DBUsername=env.db_user)
    return open_connection(env, env.db_user, token, RECORDER_TIMEOUTS)


def by_secret(env: DatabaseEnvironment, secret_arn: str) -> BoundedConnection:
    """Connect as the master user, whose name and password are the secret's JSON."""
    secret = json.loads(client("secretsmanager").get_secret_value(SecretId=secret_arn)["SecretString"])
    return open_connection(env, secret["username"], secret["password"], MIGRATOR_TIMEOUTS)


def open_connection(env: DatabaseEnvironment, user: str, password: str, timeouts: Timeouts) -> BoundedConnection:
    """Connect with a verified certificate.

    Raises:
        psycopg.OperationalError: the database refused, or did not answer in time.
    """
    connection = BoundedConnection.connect(
        host=env.db_host,
        port=env.db_port,
        dbname=env.db_name,
        user=user,
        password=password,
        sslmode="verify-full",
        sslrootcert=env.db_root_cert,
        autocommit=True,
        application_name="infrafabric",
        **timeouts.parameters(),
    )
    connection.answer_s = timeouts.answer_s
    return connection


class Executor:
    """Executes statements on one connection, and replaces a connection that broke.

    The statements are idempotent, so a statement whose connection broke is executed once more on the new connection.
    """

    def __init__(
        self, connect: Callable[[], psycopg.Connection[Any]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._connect, self._clock = connect, clock
        self._connection: psycopg.Connection[Any] | None = None
        self._used_at = 0.0

    def __call__(self, statement: str, values: Mapping[str, Any]) -> None:
        """Execute one statement and commit it.

        Raises:
            BadRowError: the table never accepts these values.
            DatabaseUnavailableError: any other error; a retry may succeed.
        """
        try:
            self._execute(statement, values)
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            raise BadRowError(_described(error)) from None
        except psycopg.Error as error:
            raise DatabaseUnavailableError(_described(error)) from None

    def _execute(self, statement: str, values: Mapping[str, Any]) -> None:
        connection = self._usable_connection()
        self._used_at = self._clock()
        if connection is not None:
            try:
                connection.execute(statement.encode(), values)
            except psycopg.OperationalError:
                if not connection.closed:
                    raise
            else:
                return
        self._connection = None  # stays so if the database accepts no connection
        self._connection = self._connect()
        self._connection.execute(statement.encode(), values)

    def _usable_connection(self) -> psycopg.Connection[Any] | None:
        """Return the open connection, unless it was idle for so long that it may be dead without a sign.

        Lambda freezes a function between invocations: it answers no keepalive, and a connection that AWS stops to track
        (after 350 seconds without traffic on newer hosts) or whose server was replaced answers nothing. A statement on
        it would take seconds to fail, a new connection takes milliseconds.
        """
        if self._connection is None or self._connection.closed:
            return None
        if self._clock() - self._used_at > _IDLE_S:
            self._connection.close()
            return None
        return self._connection


def _described(error: psycopg.Error) -> str:
    """Return an error's class and first line; the lines after it would quote the row."""
    text = error.diag.message_primary or str(error)
    return f"{type(error).__name__}: {text.splitlines()[0] if text else 'no message'}"
