"""What ``fabric local`` and ``fabric demo`` do."""

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

HOME = Path(os.environ.get("FABRIC_HOME") or platform.ROOT / ".local")  # logs, and what is remembered of a platform
_STATE = HOME / "platform.json"
_FACTS = HOME / "facts.json"


class AlreadyRunningError(Exception):
    """Another command is starting or stopping the platform, or what runs is not what was asked for."""


# What a user can do something about: one line each, without a traceback.
EXPECTED = (
    processes.PartFailedError, types.CreationFailedError, PackagingError, pulumi.RunError, ApiError,
    AlreadyRunningError, stackfile.NoStackError, stackfile.BadSettingError,
)  # fmt: skip


def up(args: argparse.Namespace) -> int:
    """Start everything, deploy, and leave it running; when it runs already, say so and where."""
    view, changed = view_for(args.json), stackfile.changes_of(args.settings)
    stackfile.check(args.stack)
    with _alone():
        running = _running()
        if running is not None:
            facts = json.loads(_FACTS.read_text())
            if changed or args.stack != facts["stack"]:
                raise AlreadyRunningError(
                    f"the platform is already running, with stack {facts['stack']}: "
                    "fabric local down stops it, then another stack or setting can come up"
                )
            view.note("the platform is already running")
        else:
            facts = _start(args.stack, changed, view)
    _show(facts, args.json)
    return 0


def down(args: argparse.Namespace) -> int:
    """Stop what ``up`` started."""
    with _alone():
        known = _STATE.exists()
        if known:
            platform.Platform.load(_STATE).stop()
            _STATE.unlink()
            _FACTS.unlink(missing_ok=True)
    _say({"stopped": known}, args.json, "stopped" if known else "the platform was not running")
    return 0


def status(args: argparse.Namespace) -> int:
    """Exit status 0 when it runs, 1 when it does not."""
    running = _running()
    if running is None:
        _say({"running": False}, args.json, "the platform is not running: fabric local up")
        return 1
    parts = {part.name: part.pid for part in running.parts}
    text = "\n".join([f"running at {running.endpoint_url}", *(f"  {name}: pid {pid}" for name, pid in parts.items())])
    _say({"running": True, "endpoint_url": running.endpoint_url, "parts": parts}, args.json, text)
    return 0


def demo(args: argparse.Namespace) -> int:
    """The main job end to end; everything it starts is stopped again."""
    return run_demo(HOME / "demo", view_for(args.json), goal=args.goal, agents=args.agents)


def _start(stack_name: str, changed: dict[str, Any], view: View) -> dict[str, Any]:
    started = platform.start(HOME / "up", progress=view.part)
    try:
        deployed = stack.put_up(started, stack_name, changed, report=view.step)
        for it in filter(None, (deployed.primary, deployed)):
            view.note(f"stack {it.stack} in {it.region}")
            view.deployed(it.deployment)
        stack.warm(started, deployed)
        started.save(_STATE)
    except BaseException:
        started.stop()
        raise
    facts = stack.facts(started, deployed)
    _FACTS.touch(mode=0o600)
    _FACTS.write_text(json.dumps(facts))
    return facts


def _running() -> platform.Platform | None:
    """The platform that ``up`` left running; what is left of one that died is cleared away."""
    if not _STATE.exists():
        return None
    known = platform.Platform.load(_STATE)
    if all(part.alive() for part in known.parts):
        return known
    known.stop()
    _STATE.unlink()
    return None


@contextmanager
def _alone() -> Iterator[None]:
    """One ``up`` or ``down`` at a time."""
    HOME.mkdir(parents=True, exist_ok=True)
    with (HOME / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunningError("another fabric local up or down is at work: wait for it to end") from None
        yield


def _show(facts: dict[str, Any], as_json: bool) -> None:
    exports = {
        "AWS_ENDPOINT_URL": facts["endpoint_url"],
        "AWS_ACCESS_KEY_ID": facts["credentials"]["access_key_id"],
        "AWS_SECRET_ACCESS_KEY": facts["credentials"]["secret_access_key"],
        "AWS_DEFAULT_REGION": facts["region"],
        "FABRIC_API_URL": facts["api"]["url"],
        "FABRIC_API_KEY": facts["api"]["key"],
        **({"DATABASE_URL": facts["database_url"]} if facts["database_url"] else {}),
    }
    lines = [f"export {name}={shlex.quote(value)}" for name, value in exports.items()]
    text = "\n".join(
        ["# the platform is up; paste these lines, then try: fabric session start --goal '…' --watch", *lines,
         "# stop it with: fabric local down"]
    )  # fmt: skip
    _say(facts, as_json, text)


def _say(document: Any, as_json: bool, text: str) -> None:
    print(json.dumps(document, indent=2) if as_json else text)
