"""Commands of ``fabric local`` and ``fabric demo``: execution and printed output."""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import shlex
import sys
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
from local.engine import cli as engine_cli
from local.engine import commands as engine
from local.engine.rehearsal import Rehearsal
from local.view import View, view_for

HOME = Path(os.environ.get("FABRIC_HOME") or platform.ROOT / ".local").absolute()  # logs and state of the platform
_STATE = HOME / "platform.json"
_PULUMI = HOME / "pulumi"  # project and state of the stacks that Pulumi's engine deployed
_CONNECTION = HOME / "connection.json"  # output of ``fabric local up --json``


class AlreadyRunningError(Exception):
    """Conflict with another command, or with a platform that runs another stack or other settings."""


class NotRunningError(Exception):
    """No platform runs, or none that Pulumi's engine manages, and the command needs one."""


class HomeError(Exception):
    """Folder of the platform's logs and state that cannot be written."""


# Errors that a user can act on: printed as one line, without a traceback.
EXPECTED = (
    processes.ProcessFailedError,
    types.CreationFailedError,
    PackagingError,
    pulumi.RunError,
    ApiError,
    AlreadyRunningError,
    NotRunningError,
    HomeError,
    engine_cli.EngineError,
    stackfile.NoStackError,
    stackfile.BadStackFileError,
    stackfile.BadSettingError,
)


def up(args: argparse.Namespace) -> int:
    """Start the platform, deploy the stack and leave both running; print the connection, also of a running platform."""
    view, overrides = view_for(args.json), stackfile.changes_of(args.settings)
    stackfile.read(args.stack, overrides)  # a mistake in the file is told before anything starts
    if args.engine:
        engine_cli.find()  # before anything starts
    with _exclusive():
        running = _running_platform()
        if running is not None:
            connection = _again(running, args, overrides, view)
        elif args.engine:
            started, deployed = engine.deploy(HOME, _STATE, args.stack, overrides, view, as_json=args.json)
            connection = stack.connection(started, deployed)
        else:
            connection = _start(args.stack, overrides, view)
    _print_connection(connection, args.json)
    return 0


def pulumi_command(args: argparse.Namespace) -> int:
    """Run a command of the Pulumi CLI on the running platform. Return its exit status."""
    words = args.words[1:] if args.words[:1] == ["--"] else args.words
    if not words:
        print("fabric: name a command of Pulumi's, such as: fabric local pulumi -- preview --diff", file=sys.stderr)
        return 2
    settings = stackfile.changes_of(args.settings)
    running, rehearsal = _rehearsing()
    with _no_up_or_down():  # a platform that stopped meanwhile would leave Pulumi's state behind
        status = engine.run_pulumi(running, rehearsal, words, stack_name=args.stack, settings=settings)
    with _no_up_or_down(wait=True), _one_at_a_time():
        running = _running_platform()  # another command may have stopped it meanwhile
        rehearsal = Rehearsal.load(_PULUMI)
        if running and rehearsal:
            engine.make_ready(running, rehearsal, _STATE)
    return status


def env(args: argparse.Namespace) -> int:
    """Print the variables with which a shell uses the platform, as lines for ``eval`` or as JSON."""
    with _no_up_or_down(), _one_at_a_time():
        running = _running_platform()
        if running is None:
            raise NotRunningError("the platform is not running: fabric local up")
        rehearsal, notes = Rehearsal.load(_PULUMI), []
        if rehearsal is None:
            connection = json.loads(_CONNECTION.read_text())
            if args.stack not in (None, connection["stack"]):
                raise NotRunningError(f"there is no stack {args.stack} on the platform: it has {connection['stack']}")
            variables = _exports(connection)
        else:
            deployed = engine.make_ready(running, rehearsal, _STATE, args.stack)
            region = rehearsal.find(args.stack).region
            if deployed is None:
                notes.append("# the stack is not deployed, so it has no API: fabric local pulumi -- up")
            of_stack = _exports(stack.connection(running, deployed)) if deployed else _aws_exports(running, region)
            variables = {**of_stack, **rehearsal.environment(args.stack)}
            folder, name = shlex.quote(str(rehearsal.project.folder)), rehearsal.find(args.stack).name
            notes.append(f"# on the platform's stack: pulumi -C {folder} preview --stack {name}")
    _print(variables, args.json, "\n".join([*notes, *_export_lines(variables)]))
    return 0


def down(args: argparse.Namespace) -> int:
    """Stop the platform that ``up`` started."""
    with _exclusive():
        running = _STATE.exists()
        if running:
            platform.Platform.load(_STATE).stop()
            _forget()
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


def _again(
    running: platform.Platform, args: argparse.Namespace, overrides: dict[str, Any], view: View
) -> dict[str, Any]:
    """Return the connection of a platform that runs already, after another ``pulumi up`` where Pulumi manages it.

    Raises:
        AlreadyRunningError: the command asks for another stack, engine or setting.
    """
    rehearsal = Rehearsal.load(_PULUMI)
    known = rehearsal.last.name if rehearsal else json.loads(_CONNECTION.read_text())["stack"]
    if overrides or args.stack != known or bool(args.engine) != (rehearsal is not None):
        by = " and Pulumi's engine" if rehearsal else ""
        raise AlreadyRunningError(
            f"the platform is already running, with stack {known}{by}: "
            "fabric local down stops it, then another stack or setting can come up"
        )
    view.note("the platform is already running")
    if rehearsal is None:
        return json.loads(_CONNECTION.read_text())
    return stack.connection(running, engine.resume(running, rehearsal, _STATE, as_json=args.json))


def _rehearsing() -> tuple[platform.Platform, Rehearsal]:
    """Return the running platform and what Pulumi manages on it.

    Raises:
        NotRunningError: no platform runs, or Pulumi does not manage it.
    """
    with _no_up_or_down(), _one_at_a_time():
        running, rehearsal = _running_platform(), Rehearsal.load(_PULUMI)
    if running is None:
        raise NotRunningError("the platform is not running: fabric local up --engine pulumi")
    if rehearsal is None:
        raise NotRunningError(
            "the platform was deployed without Pulumi's engine: fabric local down, then fabric local up --engine pulumi"
        )
    return running, rehearsal


def _forget() -> None:
    """Delete what the commands know of a platform that was stopped."""
    _STATE.unlink(missing_ok=True)
    _CONNECTION.unlink(missing_ok=True)
    engine.discard(HOME)


def _running_platform() -> platform.Platform | None:
    """Return the platform that ``up`` left running, or None. Stop the remaining processes of a broken platform."""
    if not _STATE.exists():
        return None
    saved = platform.Platform.load(_STATE)
    ended = [process for process in saved.processes if not process.alive()]
    if not ended:
        return saved
    names, logs = ", ".join(process.name for process in ended), ", ".join(str(process.log) for process in ended)
    print(f"fabric: the platform was stopped, because these processes have ended: {names} ({logs})", file=sys.stderr)
    saved.stop()
    _forget()
    return None


@contextmanager
def _exclusive() -> Iterator[None]:
    """Lock out all other commands: the platform starts or stops.

    Raises:
        AlreadyRunningError: another command holds the lock.
    """
    with _lock("lock", fcntl.LOCK_EX | fcntl.LOCK_NB):
        yield


@contextmanager
def _no_up_or_down(*, wait: bool = False) -> Iterator[None]:
    """Lock out ``up`` and ``down`` commands, but no others.

    Args:
        wait: wait until a running ``up`` or ``down`` has ended.

    Raises:
        AlreadyRunningError: ``up`` or ``down`` runs, and the command does not wait.
    """
    with _lock("lock", fcntl.LOCK_SH | (0 if wait else fcntl.LOCK_NB)):
        yield


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Wait until no other command reads or completes the platform that runs."""
    with _lock("lock-ready", fcntl.LOCK_EX):
        yield


@contextmanager
def _lock(file: str, operation: int) -> Iterator[None]:
    try:
        HOME.mkdir(parents=True, exist_ok=True)
        lock = (HOME / file).open("w")
    except OSError as error:
        raise HomeError(
            f"{HOME} cannot keep the platform's state ({error.strerror}): "
            "set FABRIC_HOME to a folder that can be written"
        ) from None
    with lock:
        try:
            fcntl.flock(lock, operation)
        except BlockingIOError:
            raise AlreadyRunningError(
                "another fabric local command is at work on the platform; wait until the other command has ended"
            ) from None
        yield


def _print_connection(connection: dict[str, Any], as_json: bool) -> None:
    head = "# the platform runs; paste these lines, then try: fabric session start --goal '…' --watch"
    text = "\n".join([head, *_export_lines(_exports(connection)), "# stop the platform with: fabric local down"])
    _print(connection, as_json, text)


def _exports(connection: dict[str, Any]) -> dict[str, str]:
    """Return the environment variables of clients, by name."""
    return {
        "AWS_ENDPOINT_URL": connection["endpoint_url"],
        "AWS_ACCESS_KEY_ID": connection["credentials"]["access_key_id"],
        "AWS_SECRET_ACCESS_KEY": connection["credentials"]["secret_access_key"],
        "AWS_DEFAULT_REGION": connection["region"],
        "FABRIC_API_URL": connection["api"]["url"],
        "FABRIC_API_KEY": connection["api"]["key"],
        **({"DATABASE_URL": connection["database_url"]} if connection["database_url"] else {}),
    }


def _aws_exports(running: platform.Platform, region: str) -> dict[str, str]:
    """Return the environment variables of AWS clients alone."""
    return {
        "AWS_ENDPOINT_URL": running.endpoint_url,
        "AWS_ACCESS_KEY_ID": platform.CREDENTIALS["access_key_id"],
        "AWS_SECRET_ACCESS_KEY": platform.CREDENTIALS["secret_access_key"],
        "AWS_DEFAULT_REGION": region,
    }


def _export_lines(variables: dict[str, str]) -> list[str]:
    return [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]


def _print(document: Any, as_json: bool, text: str) -> None:
    print(json.dumps(document, indent=2) if as_json else text)
