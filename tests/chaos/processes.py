"""Processes of a platform that a run may kill or stop: workers of functions, and the platform's own processes."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import psutil
import psycopg

from local import processes
from local.platform import Platform

EMULATOR = "AWS emulator"


def workers(platform: Platform, function: str) -> list[psutil.Process]:
    """Return the processes in which the emulator runs a function: its children, and no others of this machine."""
    emulator = next(process for process in platform.processes if process.name == EMULATOR)
    return [child for child in psutil.Process(emulator.pid).children() if _runs(child, function)]


def running_for(platform: Platform, function: str, seconds: float) -> int:
    """Return how many workers of a function have run for this time."""
    return sum(time.time() - worker.create_time() >= seconds for worker in workers(platform, function))


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


def kill_and_restart(platform: Platform, name: str) -> int:
    """Kill a process of the platform with SIGKILL, and start it again with the same command. Returns 1.

    Raises:
        ProcessFailedError: the process did not start again.
    """
    index = next(index for index, process in enumerate(platform.processes) if process.name == name)
    root, log = psutil.Process(platform.processes[index].pid), platform.processes[index].log
    command, environment, user = root.cmdline(), root.environ(), root.uids().real
    found = [root, *root.children(recursive=True)]
    _signal(found, signal.SIGKILL)
    psutil.wait_procs(found, timeout=5)
    platform.processes[index] = processes.start(
        name,
        command,
        log=log,
        ready=_ready(platform, name),
        env=environment,
        user=None if user == os.geteuid() else user,
    )
    return 1


def _ready(platform: Platform, name: str) -> Callable[[], bool]:
    if name == "PostgreSQL":
        return lambda: _accepts(platform)
    urls = {"model stand-in": platform.model_url, "durable runner": f"http://127.0.0.1:{platform.durable_port}"}
    return processes.responds(f"{urls[name]}/health")


def _accepts(platform: Platform) -> bool:
    try:
        psycopg.connect(platform.database_url or "", connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


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
