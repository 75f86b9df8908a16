"""Dead, silent and stopped connections to a real PostgreSQL: what a statement costs, and what it leaves."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace

import psycopg
import pytest

from infra.history import recorder as component
from infrafabric.recorder import batch
from infrafabric.recorder.connect import (
    RECORDER_TIMEOUTS,
    BoundedConnection,
    Executor,
    Timeouts,
    open_connection,
)
from infrafabric.recorder.history import DatabaseUnavailableError
from local import postgres
from tests.unit.recorder.conftest import WRITER, Database

SHORT = Timeouts(connect_s=2, lock_s=0.2, statement_s=0.3, answer_s=0.5)  # connect: the shortest that libpq knows
INSERT = """
INSERT INTO sessions (session_id, status, created_at, ended_at, budget_usd, cost_usd, tasks, model, report_key)
VALUES (%(id)s, 'COMPLETE', now(), now(), 0, 0, 0, 'm', '') ON CONFLICT DO NOTHING
"""


class Opened:
    """Connections that an executor opened."""

    def __init__(self, database: Database, timeouts: Timeouts = SHORT, port: int = 0) -> None:
        self._environment = database.environment.model_copy(update={"db_port": port or database.port})
        self._timeouts = timeouts
        self.connections: list[BoundedConnection] = []

    def __call__(self) -> BoundedConnection:
        self.connections.append(open_connection(self._environment, WRITER, "a token", self._timeouts))
        return self.connections[-1]


@pytest.fixture
def opened(database: Database) -> Iterator[Opened]:
    with database.connect() as connection:
        connection.execute("TRUNCATE sessions, task_results, records")
    opened = Opened(database)
    yield opened
    for connection in opened.connections:
        connection.close()


class SilentProxy:
    """TCP proxy that acknowledges and forwards nothing any more once ``silence`` is called, as a device that died."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = [self._listener]
        self._silent: set[int] = set()  # indexes of connections
        self.accepted = 0
        self.accepts_silently = False
        threading.Thread(target=self._accept, daemon=True).start()

    def silence(self, *, new: bool) -> None:
        """Fall silent on the connections so far, and also on those that come."""
        self._silent |= set(range(self.accepted))
        self.accepts_silently = new

    def close(self) -> None:
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._port))
                self._sockets += near, far
                number, self.accepted = self.accepted, self.accepted + 1
                if self.accepts_silently:
                    self._silent.add(number)
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._forward, args=(number, source, sink), daemon=True).start()

    def _forward(self, number: int, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if number not in self._silent:
                    sink.sendall(data)


@pytest.fixture
def proxy(database: Database) -> Iterator[SilentProxy]:
    proxy = SilentProxy(database.port)
    yield proxy
    proxy.close()


def sessions(database: Database) -> list[str]:
    return [name for (name,) in database.rows("SELECT session_id FROM sessions ORDER BY 1")]


def test_a_statement_whose_pooled_connection_was_cut_is_executed_on_a_new_one(
    database: Database, opened: Opened
) -> None:
    execute = Executor(opened)
    execute(INSERT, {"id": "before"})
    with psycopg.connect(postgres.url(database.folder, database.port)) as admin:
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", (WRITER,))
    execute(INSERT, {"id": "after"})
    assert sessions(database) == ["after", "before"]
    assert len(opened.connections) == 2


def test_a_statement_whose_backend_was_stopped_is_executed_on_a_new_connection(
    database: Database, opened: Opened
) -> None:
    execute = Executor(opened)
    execute(INSERT, {"id": "before"})
    stopped = opened.connections[0].info.backend_pid
    os.kill(stopped, signal.SIGSTOP)
    try:
        execute(INSERT, {"id": "after"})
        assert sessions(database) == ["after", "before"]
        assert [connection.closed for connection in opened.connections] == [True, False]
    finally:
        os.kill(stopped, signal.SIGCONT)


def test_a_statement_whose_connection_fell_silent_is_executed_on_a_new_one(
    database: Database, opened: Opened, proxy: SilentProxy
) -> None:
    through = Opened(database, SHORT, proxy.port)
    execute = Executor(through)
    execute(INSERT, {"id": "before"})
    proxy.silence(new=False)
    execute(INSERT, {"id": "after"})
    assert sessions(database) == ["after", "before"]
    assert len(through.connections) == 2


def test_a_database_that_is_silent_for_all_ends_the_statement_by_the_connection_timeout(
    database: Database, opened: Opened, proxy: SilentProxy
) -> None:
    through = Opened(database, SHORT, proxy.port)
    execute = Executor(through)
    execute(INSERT, {"id": "before"})
    proxy.silence(new=True)
    with pytest.raises(DatabaseUnavailableError, match=r"^ConnectionTimeout: "):
        execute(INSERT, {"id": "after"})
    assert (len(through.connections), sessions(database)) == (1, ["before"])


def test_a_connection_that_breaks_when_new_is_not_replaced_a_second_time(
    database: Database, opened: Opened, proxy: SilentProxy
) -> None:
    tries: list[int] = []

    def connect() -> psycopg.Connection:
        tries.append(proxy.accepted)
        connection = Opened(database, SHORT, proxy.port)()
        proxy.silence(new=False)
        return connection

    with pytest.raises(DatabaseUnavailableError, match=r"^OperationalError: no answer within 0.5 s$"):
        Executor(connect)(INSERT, {"id": "never"})
    assert tries == [0]


def test_a_locked_table_ends_the_statement_and_keeps_the_connection(database: Database, opened: Opened) -> None:
    execute = Executor(opened)
    with database.connect() as other, other.transaction():
        other.execute("LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(DatabaseUnavailableError, match=r"^LockNotAvailable: "):
            execute(INSERT, {"id": "later"})
    execute(INSERT, {"id": "later"})
    assert (len(opened.connections), sessions(database)) == (1, ["later"])


def test_a_statement_that_takes_too_long_is_ended_by_the_server(opened: Opened) -> None:
    with pytest.raises(DatabaseUnavailableError, match="QueryCanceled: canceling statement due to statement timeout"):
        Executor(opened)("SELECT pg_sleep(%(seconds)s)", {"seconds": 60})


def test_a_connection_that_was_idle_for_more_than_a_minute_is_replaced_without_a_try(
    database: Database, opened: Opened
) -> None:
    """Lambda freezes the function meanwhile, and AWS forgets idle connections: nothing would answer."""
    now_s = [0.0]
    execute = Executor(opened, clock=lambda: now_s[0])
    for now_s[0] in (0, 60, 121):
        execute(INSERT, {"id": f"at {now_s[0]:g}"})
    assert sessions(database) == ["at 0", "at 121", "at 60"]
    assert [connection.closed for connection in opened.connections] == [True, False]


def setting(connection: BoundedConnection, name: str) -> str:
    ((value,),) = connection.execute("SELECT current_setting(%s)", (name,)).fetchall()
    return str(value)


def test_server_and_kernel_know_the_limits_of_a_recorders_connection(database: Database) -> None:
    with open_connection(database.environment, WRITER, "a token", RECORDER_TIMEOUTS) as connection:
        names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
        assert [setting(connection, name) for name in names] == ["8s", "4s", "30s"]
        kernel = socket.socket(fileno=os.dup(connection.pgconn.socket))
        options: dict[str, Callable[[], int]] = {
            name: lambda name=name: kernel.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))
            for name in ("TCP_USER_TIMEOUT", "TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT")
        }
        with kernel:
            assert {name: read() for name, read in options.items()} == {
                "TCP_USER_TIMEOUT": 8000,
                "TCP_KEEPIDLE": 5,
                "TCP_KEEPINTVL": 1,
                "TCP_KEEPCNT": 3,
            }
            assert kernel.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1


def test_the_longest_wait_of_a_message_ends_well_before_the_functions_timeout() -> None:
    """A statement without an answer, a new connection, and the statement again."""
    longest_s = 2 * RECORDER_TIMEOUTS.answer_s + RECORDER_TIMEOUTS.connect_s
    assert longest_s < batch.LEAST_LEFT_MS / 1000 <= component.TIMEOUT_S / 2
    assert RECORDER_TIMEOUTS.lock_s < RECORDER_TIMEOUTS.statement_s < RECORDER_TIMEOUTS.answer_s
    assert replace(RECORDER_TIMEOUTS, lock_s=1).parameters() != RECORDER_TIMEOUTS.parameters()
