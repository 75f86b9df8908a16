"""Workspace of the real engine: the repository's program or a release's, with its state in a folder.

The provider runs in this process; the engine connects to it by ``PULUMI_DEBUG_PROVIDERS`` and needs no plugin. The
workspace has links to the program and to the tests' environment, so that Pulumi's changes of a stack file do not affect
the repository.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from pulumi import automation as auto

from infra.foundation import packages
from infra.packager import build as packager
from infra.preview.events import Preview, parse
from infra.settings import stackfile
from local import platform as local_platform
from local import provider, stack

NO_CLI = pytest.mark.skipif(
    shutil.which("pulumi") is None,
    reason="the Pulumi CLI is not on the PATH: install 3.272 or newer (https://www.pulumi.com/docs/install/)",
)


@dataclass(frozen=True)
class Workspace:
    """Pulumi project with links to a program, and with stack files for this machine."""

    folder: Path
    state: Path
    platform: local_platform.Platform
    environment: Mapping[str, str]
    stacks: Path = stackfile.REFERENCE  # folder of the stack files that its own are made from

    def stack(self, name: str, **changes: Any) -> auto.Stack:
        """Write the stack's file and select the stack; ``fleet__size=2`` overrides a setting."""
        settings = {
            **stack.local_settings(self.platform),
            **{path.replace("__", "."): v for path, v in changes.items()},
        }
        file = self.folder / f"Pulumi.{name}.yaml"
        previous = yaml.safe_load(file.read_text()) if file.exists() else {}  # has the salt of the secrets
        config = {key: _value(text) for key, text in stackfile.read(name, settings, self.stacks).items()}
        file.write_text(yaml.safe_dump({**previous, "config": config}))
        options = auto.LocalWorkspaceOptions(env_vars=self.environment)
        return auto.create_or_select_stack(name, work_dir=str(self.folder), opts=options)

    def preview(self, name: str) -> Preview:
        """Return what ``fabric preview summarize`` reads of a preview, with the verdict of the policy pack."""
        command = ["pulumi", "preview", "--stack", name, "--json", "--non-interactive", "--policy-pack", "policy"]
        environment = {**os.environ, **self.environment, "PULUMI_ENABLE_STREAMING_JSON_PREVIEW": "true"}
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
        return parse(done.stdout, name)

    def backend_text(self) -> str:
        """Return all files of the backend as text. (``Stack.export_stack`` would decrypt secrets.)"""
        files = (path for path in self.state.rglob("*") if path.is_file())
        return "\n".join(path.read_text(errors="replace") for path in files)

    def running(self, program: Path, package_folder: Path, stacks: Path) -> Workspace:
        """Return the same project and state with the program, packages and stack files of another checkout."""
        for linked in ("infra", "policy"):
            (self.folder / linked).unlink()
            (self.folder / linked).symlink_to(program / linked, target_is_directory=True)
        environment = {**self.environment, packages.OVERRIDE: str(package_folder), "PYTHONPATH": _path(program)}
        return Workspace(self.folder, self.state, self.platform, environment, stacks)


@contextmanager
def workspace_on(platform: local_platform.Platform, folder: Path, state: Path) -> Iterator[Workspace]:
    """Serve a provider for ``platform``, and yield a workspace with this repository's program, until the block ends."""
    shutil.copy(stackfile.ROOT / "Pulumi.yaml", folder)
    for linked in ("infra", "policy"):
        (folder / linked).symlink_to(stackfile.ROOT / linked, target_is_directory=True)
    (folder / ".venv").symlink_to(sys.prefix, target_is_directory=True)
    package = packager.build(packager.Target.here())
    with provider.serving(stack.emulator_context(platform)) as port:
        environment = {
            "PULUMI_BACKEND_URL": f"file://{state}",
            "PULUMI_CONFIG_PASSPHRASE": "correct-horse-battery",
            "PULUMI_DEBUG_PROVIDERS": f"aws:{port}",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",  # the engine would download the AWS plugin
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_ERROR_OUTPUT_STRING": "true",
            packages.OVERRIDE: str(package.code.parent),
            "PYTHONPATH": _path(stackfile.ROOT),
        }
        yield Workspace(folder, state, platform, environment)


def _path(program: Path) -> str:
    return os.pathsep.join(filter(None, (str(program), os.environ.get("PYTHONPATH"))))


def _value(text: str) -> Any:
    return json.loads(text) if text.startswith(("{", "[")) else text
