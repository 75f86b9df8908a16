"""Commands ``fabric local up|down|status`` and ``fabric demo``: execution and printed output."""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pulumi

from infra.packager.build import PackagingError
from infra.settings import stackfile
from infrafabric.cli.api_client import ApiError
from local import platform, processes, stack, types
from local.demo import run as run_demo
from local.view import View, view_for

HOME = Path(os.environ.get("FABRIC_HOME") or platform.ROOT / ".local")  # logs and state of the platform
_STATE = HOME / "platform.json"
_CONNECTION = HOME / "connection.json"  # output of ``fabric local up --json``


class AlreadyRunningError(Exception):
    """Conflict with another command, or with a platform that runs another stack or other settings."""


# Errors that a user can act on: printed as one line, without a traceback.
EXPECTED = (
    processes.ProcessFailedError,
    types.CreationFailedError,
    PackagingError,
    pulumi.RunError,
    ApiError,
    AlreadyRunningError,
    stackfile.NoStackError,
    stackfile.BadSettingError,
)


def up(args: argparse.Namespace) -> int:
    """Start the platform, deploy the stack and leave both running; print the connection, also of a running platform."""
    view, overrides = view_for(args.json), stackfile.changes_of(args.settings)
    stackfile.check(args.stack)
    with _exclusive():
        running = _running_platform()
        if running is not None:
            connection = json.loads(_CONNECTION.read_text())
            if overrides or args.stack != connection["stack"]:
                raise AlreadyRunningError(
                    f"the platform is already running, with stack {connection['stack']}: "
                    "fabric local down stops it, then another stack or setting can come up"
                )
            view.note("the platform is already running")
        else:
            connection = _start(args.stack, overrides, view)
    _print_connection(connection, args.json)
    return 0


def down(args: argparse.Namespace) -> int:
    """Stop the platform that ``up`` started."""
    with _exclusive():
        running = _STATE.exists()
        if running:
            platform.Platform.load(_STATE).stop()
            _STATE.unlink()
            _CONNECTION.unlink(missing_ok=True)
    _print({"stopped": running}, args.json, "stopped" if running else "the platform was not running")
    return 0


def status(args: argparse.Namespace) -> int:
    """Print whether the platform runs. Return exit status 0 if the platform runs, else 1."""
    running = _running_platform()
    if running is None:
        _print({"running": False}, args.json, "the platform is not running: fabric local up")
        return 1
    pids = {process.name: process.pid for process in running.processes}
    text = "\n".join([f"running at {running.endpoint_url}", *(f"  {name}: pid {pid}" for name, pid in pids.items())])
    _print({"running": True, "endpoint_url": running.endpoint_url, "parts": pids}, args.json, text)
    return 0


def demo(args: argparse.Namespace) -> int:
    """Run a session end to end on a new platform, and stop the platform."""
    return run_demo(HOME / "demo", view_for(args.json), goal=args.goal, agents=args.agents)


def _start(stack_name: str, overrides: dict[str, Any], view: View) -> dict[str, Any]:
    started = platform.start(HOME / "up", progress=view.starting)
    try:
        deployed = stack.deploy_stack(started, stack_name, overrides, report=view.step)
        for deployed_stack in filter(None, (deployed.primary, deployed)):
            view.note(f"stack {deployed_stack.stack} in {deployed_stack.region}")
            view.deployed(deployed_stack.deployment)
        stack.warm_up(started, deployed)
        started.save(_STATE)
    except BaseException:
        started.stop()
        raise
    connection = stack.connection(started, deployed)
    _CONNECTION.touch(mode=0o600)
    _CONNECTION.write_text(json.dumps(connection))
    return connection


def _running_platform() -> platform.Platform | None:
    """Return the platform that ``up`` left running, or None. Stop the remaining processes of a broken platform."""
    if not _STATE.exists():
        return None
    saved = platform.Platform.load(_STATE)
    if all(process.alive() for process in saved.processes):
        return saved
    saved.stop()
    _STATE.unlink()
    return None


@contextmanager
def _exclusive() -> Iterator[None]:
    """Lock out other ``up`` and ``down`` commands.

    Raises:
        AlreadyRunningError: another command holds the lock.
    """
    HOME.mkdir(parents=True, exist_ok=True)
    with (HOME / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunningError(
                "another fabric local up or down is running; wait until the other command has ended"
            ) from None
        yield


def _print_connection(connection: dict[str, Any], as_json: bool) -> None:
    exports = {
        "AWS_ENDPOINT_URL": connection["endpoint_url"],
        "AWS_ACCESS_KEY_ID": connection["credentials"]["access_key_id"],
        "AWS_SECRET_ACCESS_KEY": connection["credentials"]["secret_access_key"],
        "AWS_DEFAULT_REGION": connection["region"],
        "FABRIC_API_URL": connection["api"]["url"],
        "FABRIC_API_KEY": connection["api"]["key"],
        **({"DATABASE_URL": connection["database_url"]} if connection["database_url"] else {}),
    }
    lines = [f"export {name}={shlex.quote(value)}" for name, value in exports.items()]
    head = "# the platform runs; paste these lines, then try: fabric session start --goal '…' --watch"
    text = "\n".join([head, *lines, "# stop the platform with: fabric local down"])
    _print(connection, as_json, text)


def _print(document: Any, as_json: bool, text: str) -> None:
    print(json.dumps(document, indent=2) if as_json else text)
