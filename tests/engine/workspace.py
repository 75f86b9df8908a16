"""Workspace of the real engine: the repository's program or a release's, with its state in a folder.

It is the project of ``fabric local up --engine pulumi``, with two differences: the provider runs in this process, and
Pulumi's Automation API runs the commands.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pulumi import automation as auto

from infra.packager import build as packager
from infra.preview.events import Preview, parse
from infra.settings import stackfile
from local import platform as local_platform
from local import stack
from local.engine import provider
from local.engine.project import Project
from tests.engine.faults import Fault, faulty_context

NO_CLI = pytest.mark.skipif(
    shutil.which("pulumi") is None,
    reason="the Pulumi CLI is not on the PATH: install 3.272 or newer (https://www.pulumi.com/docs/install/)",
)


@dataclass(frozen=True)
class Workspace:
    """Pulumi project on a platform, with a provider in this process."""

    project: Project
    platform: local_platform.Platform
    environment: Mapping[str, str]
    provider_port: int
    fault: Fault
    stacks: Path = stackfile.REFERENCE  # folder of the stack files that the project's are made from

    @property
    def folder(self) -> Path:
        """Folder in which Pulumi runs."""
        return self.project.folder

    def stack(self, name: str, **changes: Any) -> auto.Stack:
        """Write the stack's file and select the stack; ``fleet__size=2`` overrides a setting."""
        settings = {
            **stack.local_settings(self.platform),
            **{path.replace("__", "."): v for path, v in changes.items()},
        }
        self.project.write_stack(name, settings, self.stacks)
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
        files = (path for path in self.project.state.rglob("*") if path.is_file())
        return "\n".join(path.read_text(errors="replace") for path in files)

    def running(self, program: Path, package_folder: Path, stacks: Path) -> Workspace:
        """Return the same project and state with the program, packages and stack files of another checkout."""
        project = self.project.running(program)
        environment = project.environment(self.provider_port, package_folder)
        return Workspace(project, self.platform, environment, self.provider_port, self.fault, stacks)


@contextmanager
def workspace_on(platform: local_platform.Platform, home: Path) -> Iterator[Workspace]:
    """Serve a provider for ``platform``, and yield a workspace with this repository's program, until the block ends."""
    project = Project.below(home)
    project.create()
    package = packager.build(packager.Target.here())
    context = faulty_context(platform)
    with provider.serving(context) as port:
        yield Workspace(project, platform, project.environment(port, package.code.parent), port, context.fault)
