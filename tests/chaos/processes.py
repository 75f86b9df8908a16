"""Processes of a platform that a run may kill or stop: workers of functions, and the platform's own processes."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from contextlib import suppress

import psutil

from local.platform import Platform

EMULATOR = "AWS emulator"


def workers(platform: Platform, function: str) -> list[psutil.Process]:
    """Return the processes in which the emulator runs a function: its children, and no others of this machine."""
    emulator = next(process for process in platform.processes if process.name == EMULATOR)
    return [child for child in psutil.Process(emulator.pid).children() if _runs(child, function)]


def kill_workers(platform: Platform, function: str) -> int:
    """Kill all workers of a function with SIGKILL. Returns how many were killed."""
    return _signal(workers(platform, function), signal.SIGKILL)


def stop_for(found: list[psutil.Process], seconds: float) -> int:
    """Stop processes with SIGSTOP, and continue them after ``seconds``. Returns how many were stopped."""
    stopped = _signal(found, signal.SIGSTOP)
    timer = threading.Timer(seconds, lambda: _signal(found, signal.SIGCONT))
    timer.start()
    return stopped


def platform_process(platform: Platform, name: str) -> list[psutil.Process]:
    """Return a process of the platform by its name, with its children; empty if it has ended."""
    started = next(process for process in platform.processes if process.name == name)
    with suppress(psutil.NoSuchProcess):
        root = psutil.Process(started.pid)
        return [root, *root.children(recursive=True)]
    return []


def kill_and_restart(platform: Platform, name: str, restart: Callable[[Platform, str], None]) -> int:
    """Kill a process of the platform with SIGKILL, and start it again. Returns 1, or 0 if it had ended before."""
    found = platform_process(platform, name)
    killed = _signal(found, signal.SIGKILL)
    psutil.wait_procs(found, timeout=5)
    restart(platform, name)
    return min(killed, 1)


def _runs(process: psutil.Process, function: str) -> bool:
    try:
        return process.environ().get("AWS_LAMBDA_FUNCTION_NAME") == function
    except psutil.Error:  # it has ended meanwhile
        return False


def _signal(found: list[psutil.Process], number: signal.Signals) -> int:
    count = 0
    for process in found:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)
            count += 1
    return count
