"""Starting, watching and ending the platform's processes: each with a log of its own, none left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

START_S = 60.0  # a part that has not answered by then is taken for broken
_LOOK_S = 0.02  # how often a starting part is asked


class PartFailedError(Exception):
    """A part of the platform did not come up. The message names it, its log, and the log's last lines."""


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass(frozen=True)
class Part:
    """A running process of the platform."""

    name: str
    pid: int
    log: Path

    def alive(self) -> bool:
        try:
            return psutil.Process(self.pid).status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False


def start(
    name: str,
    command: Sequence[str | Path],
    *,
    log: Path,
    ready: Callable[[], bool],
    env: Mapping[str, str] | None = None,
    user: int | None = None,
    within_s: float = START_S,
) -> Part:
    """Start ``command`` in a session of its own, and return once ``ready`` says so.

    A session of its own keeps the terminal's Ctrl-C away from it: we end the parts, in our order.

    Raises:
        PartFailedError: it ended, or was not ready within ``within_s`` seconds. It is stopped then.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    who: dict[str, Any] = {} if user is None else {"user": user, "group": user, "extra_groups": []}
    with log.open("ab") as out:
        process = subprocess.Popen(  # noqa: S603
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=dict(os.environ if env is None else env),
            start_new_session=True,
            **who,
        )
    part, deadline = Part(name, process.pid, log), time.monotonic() + within_s
    while not ready():
        if process.poll() is not None:
            raise PartFailedError(f"{name} ended with code {process.returncode} before it was ready. {_tail(log)}")
        if time.monotonic() > deadline:
            stop([part])
            raise PartFailedError(f"{name} was not ready within {within_s:.0f} s. {_tail(log)}")
        time.sleep(_LOOK_S)
    return part


def stop(parts: Sequence[Part], *, grace_s: float = 5.0) -> None:
    """End the parts, last started first, with all that they started; what does not go in time is killed."""
    for part in reversed(parts):
        try:
            root = psutil.Process(part.pid)
            family = [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            continue
        _signal([root], signal.SIGINT if part.name == "PostgreSQL" else signal.SIGTERM)  # SIGINT is its fast shutdown
        left = outlasting([root], grace_s)
        _signal([*left, *(child for child in family[1:] if child.is_running())], signal.SIGKILL)
        outlasting(family, grace_s)


def outlasting(processes: Sequence[psutil.Process], within_s: float) -> list[psutil.Process]:
    """Those that still run after ``within_s`` seconds; returns as soon as there are none.

    One that has ended and waits for its parent to ask how is not waited for: whoever took our parts over from a command
    that ended may ask every few seconds only, or never, as the first process of many containers.
    """
    deadline = time.monotonic() + within_s
    while (left := [process for process in processes if _runs(process)]) and time.monotonic() < deadline:
        time.sleep(_LOOK_S)
    return left


def _runs(process: psutil.Process) -> bool:
    with suppress(psutil.Error):  # gone meanwhile, or not ours to wait for
        if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            return True
        process.wait(timeout=0)  # if it is a child of ours, it is gone for good now
    return False


def _signal(processes: Sequence[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue


def _tail(log: Path, lines: int = 8) -> str:
    text = log.read_text(errors="replace").rstrip().splitlines()[-lines:]
    return f"Its log is {log}; the last lines:\n  " + "\n  ".join(text or ["(empty)"])


def answers(url: str) -> Callable[[], bool]:
    """Whether an HTTP GET of ``url`` is answered with a success."""

    def ready() -> bool:
        try:
            with urllib.request.urlopen(url, timeout=1) as response:  # noqa: S310
                return response.status < 300
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    return ready


def listens(port: int) -> Callable[[], bool]:
    """Whether something accepts connections on 127.0.0.1:``port``."""

    def ready() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            return False
        return True

    return ready
