"""The engine's part of ``fabric local``: deployment by Pulumi, Pulumi's own commands, and the environment for both."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from local import platform as local_platform
from local import stack
from local.engine import rehearsal as rehearsals
from local.engine.cli import EngineError
from local.engine.rehearsal import Rehearsal
from local.platform import Platform
from local.stack import DeployedStack
from local.view import View

_RUNNER = "durable runner"  # process that executes durable functions; it starts once they exist


def deploy(
    home: Path, state: Path, stack_name: str, overrides: Mapping[str, Any], view: View, *, as_json: bool
) -> tuple[Platform, DeployedStack]:
    """Start a platform and deploy a stack to it by ``pulumi up``.

    Args:
        home: folder of logs, Pulumi's project and its state.
        state: file in which the platform is saved.
        as_json: standard output belongs to a JSON document, so Pulumi writes to standard error.

    Raises:
        EngineError: Pulumi cannot be used, or the deployment failed. After a failed deployment the platform keeps
            running, so that another ``pulumi up`` can go on.
    """
    started = local_platform.start(home / "up", progress=view.starting)
    try:
        view.starting("Pulumi")
        rehearsal = rehearsals.start(started, stack_name, overrides, home / "pulumi")
        started.save(state)
        complete = rehearsal.deploy(stdout=sys.stderr if as_json else None)
        deployed = make_ready(started, rehearsal, state) if complete else None
    except BaseException:
        started.stop()
        state.unlink(missing_ok=True)
        discard(home)
        raise
    if deployed is None:
        raise EngineError(
            "pulumi up failed. The platform keeps running: "
            "fabric local pulumi -- up goes on, fabric local down stops it"
        )
    return started, deployed


def resume(platform: Platform, rehearsal: Rehearsal, state: Path, *, as_json: bool) -> DeployedStack:
    """Run ``pulumi up`` again on a platform that runs, which creates what an earlier run did not.

    Raises:
        EngineError: the deployment failed again.
    """
    rehearsal.write_settings(platform, {})
    complete = rehearsal.deploy(stdout=sys.stderr if as_json else None)
    deployed = make_ready(platform, rehearsal, state) if complete else None
    if deployed is None:
        raise EngineError("pulumi up failed again: fabric local pulumi -- up goes on, fabric local down stops all")
    return deployed


def make_ready(
    platform: Platform, rehearsal: Rehearsal, state: Path, stack_name: str | None = None
) -> DeployedStack | None:
    """Return a stack of the rehearsal with its outputs; None if it is not deployed.

    The first time that the stack which was asked for is deployed, its functions become able to run sessions.
    """
    chain: DeployedStack | None = None
    for one in rehearsal.stacks:
        outputs = rehearsal.outputs(one.name)
        if "api_url" not in outputs:
            return None
        chain = DeployedStack(stack=one.name, region=one.region, outputs=outputs, primary=chain)
        if one == rehearsal.last and all(process.name != _RUNNER for process in platform.processes):
            stack.start_runner(platform, chain)
            platform.save(state)
            stack.warm_up(platform, chain)
        if one == rehearsal.find(stack_name):
            return chain
    return chain


def run_pulumi(
    platform: Platform, rehearsal: Rehearsal, words: Sequence[str], *, stack_name: str | None, settings: Any
) -> int:
    """Run a command of Pulumi's own on a stack. Return Pulumi's exit status.

    Args:
        settings: settings that change first, by dotted path; they stay, as those of ``pulumi up --config`` do.

    Raises:
        EngineError: Pulumi cannot be used, or the platform has no such stack.
    """
    chosen = rehearsal.find(rehearsals.stack_in(words) or stack_name)
    rehearsal.write_settings(platform, {chosen.name: settings})
    return rehearsal.cli(chosen.name).show(*words)


def discard(home: Path) -> None:
    """Delete Pulumi's project and state: the resources are gone with the platform."""
    shutil.rmtree(home / "pulumi", ignore_errors=True)
