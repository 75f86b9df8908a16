"""Start and stop of the platform's processes; each process has its own log, and none is left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from local import run_as_user

START_TIMEOUT_S = 60.0
_POLL_S = 0.02


class ProcessFailedError(Exception):
    """Failed start of a process. The message has the process's name, its log file and the log's last lines."""


def free_port() -> int:
    """Return a free TCP port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass(frozen=True)
class PlatformProcess:
    """A running process of the platform."""

    name: str
    pid: int
    log: Path

    def alive(self) -> bool:
        """Return whether the process runs; a zombie does not."""
        try:
            return psutil.Process(self.pid).status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False


def as_user(user: int | None, command: Sequence[str | Path]) -> list[str]:
    """Return the command that runs ``command`` with user and group ID ``user``; None: unchanged.

    The first word of ``command`` is an absolute path.
    """
    words = [str(word) for word in command]
    return words if user is None else [sys.executable, "-I", run_as_user.__file__, str(user), *words]


def start(
    name: str,
    command: Sequence[str | Path],
    *,
    log: Path,
    ready: Callable[[], bool],
    env: Mapping[str, str] | None = None,
    user: int | None = None,
    within_s: float = START_TIMEOUT_S,
) -> PlatformProcess:
    """Start ``command`` in a new session, and return as soon as ``ready`` returns True.

    In a new session the process does not receive the terminal's Ctrl-C; :func:`stop` ends the processes in order.

    Args:
        env: environment of the process; this process's environment if None.
        user: user and group ID of the process; this process's user if None.

    Raises:
        ProcessFailedError: the process ended, or was not ready within ``within_s`` seconds and was stopped. An
            interruption stops the process, too.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        process = subprocess.Popen(  # noqa: S603
            as_user(user, command),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=dict(os.environ if env is None else env),
            start_new_session=True,
        )
    started, deadline = PlatformProcess(name, process.pid, log), time.monotonic() + within_s
    try:
        while not ready():
            if process.poll() is not None:
                raise ProcessFailedError(
                    f"{name} ended with code {process.returncode} before it was ready. {_tail(log)}"
                )
            if time.monotonic() > deadline:
                raise ProcessFailedError(f"{name} was not ready within {within_s:.0f} s. {_tail(log)}")
            time.sleep(_POLL_S)
    except BaseException:  # by Ctrl-C as well: the caller does not know the process yet
        stop([started])
        raise
    return started


def stop(started: Sequence[PlatformProcess], *, grace_s: float = 5.0) -> None:
    """Terminate processes and their children, last started first; kill those that run longer than ``grace_s``."""
    for process in reversed(started):
        try:
            root = psutil.Process(process.pid)
            family = [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            continue
        # SIGINT is PostgreSQL's "fast shutdown".
        _signal([root], signal.SIGINT if process.name == "PostgreSQL" else signal.SIGTERM)
        remaining = still_running([root], grace_s)
        _signal([*remaining, *(child for child in family[1:] if child.is_running())], signal.SIGKILL)
        still_running(family, grace_s)


def still_running(processes: Sequence[psutil.Process], within_s: float) -> list[psutil.Process]:
    """Wait at most ``within_s`` seconds for processes to end. Return the processes that still run.

    A zombie counts as ended. (After the command that started a process has ended, another process is the parent. Some
    parents collect zombies only every few seconds, or never: process 1 of many containers.)
    """
    deadline = time.monotonic() + within_s
    while (running := [process for process in processes if _runs(process)]) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    return running


def _runs(process: psutil.Process) -> bool:
    with suppress(psutil.Error):  # the process is gone, or not a child of this process
        if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            return True
        process.wait(timeout=0)  # collects the zombie, if the process is a child
    return False


def _signal(processes: Sequence[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue


def _tail(log: Path, lines: int = 8) -> str:
    text = log.read_text(errors="replace").rstrip().splitlines()[-lines:]
    return f"Last lines of {log}:\n  " + "\n  ".join(text or ["(empty)"])


def responds(url: str) -> Callable[[], bool]:
    """Return a check for :func:`start`: an HTTP GET of ``url`` succeeds."""

    def ready() -> bool:
        try:
            with urllib.request.urlopen(url, timeout=1) as response:  # noqa: S310
                return response.status < 300
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    return ready


def listens(port: int) -> Callable[[], bool]:
    """Return a check for :func:`start`: a process accepts connections on 127.0.0.1:``port``."""

    def ready() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            return False
        return True

    return ready
