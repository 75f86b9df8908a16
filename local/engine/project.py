"""Pulumi project of a rehearsal: the checkout's program, with stack files and state in a folder of their own.

Pulumi writes into a stack file (settings, the salt of its secrets) and runs only programs below the project's folder.
So the project has copies of the stack files, and links to the program.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from infra.foundation import packages
from infra.settings import stackfile


@dataclass(frozen=True)
class Project:
    """Folders of a Pulumi project that runs ``program`` and keeps its state in files."""

    folder: Path  # Pulumi.yaml, stack files, links to the program
    state: Path  # Pulumi's backend
    passphrase: Path  # file with the passphrase of the secrets in the state; only its owner can read it
    program: Path = stackfile.ROOT  # checkout that the links lead to

    @classmethod
    def below(cls, home: Path) -> Project:
        """Return the project in ``home``, which may not exist yet."""
        return cls(home / "project", home / "state", home / "passphrase")

    def create(self) -> None:
        """Create the folders, links and passphrase; state and stack files from an earlier run are deleted."""
        for folder in (self.folder, self.state):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        shutil.copy(self.program / "Pulumi.yaml", self.folder)
        self._link(self.program)
        (self.folder / ".venv").symlink_to(sys.prefix, target_is_directory=True)
        self.passphrase.unlink(missing_ok=True)
        self.passphrase.touch(mode=0o600)
        self.passphrase.write_text(secrets.token_urlsafe(24))

    def running(self, program: Path) -> Project:
        """Return the same project and state with the program of another checkout."""
        self._link(program)
        return Project(self.folder, self.state, self.passphrase, program)

    def write_stack(self, stack: str, settings: Mapping[str, Any], source: Path) -> None:
        """Write the project's stack file: the file in ``source`` with changed settings.

        Configuration that only the project's file has stays, such as secrets and the salt that encrypts them.

        Args:
            settings: settings by dotted path, as for :func:`infra.settings.stackfile.read`.
        """
        file = self.folder / f"Pulumi.{stack}.yaml"
        own = (yaml.safe_load(file.read_text()) or {}) if file.exists() else {}
        config = {key: _value(text) for key, text in stackfile.read(stack, settings, source).items()}
        file.write_text(yaml.safe_dump({**own, "config": {**own.get("config", {}), **config}}))

    def environment(self, provider_port: int, package_folder: Path) -> dict[str, str]:
        """Return the environment variables with which ``pulumi`` uses this project and the emulator's provider."""
        return {
            "PULUMI_BACKEND_URL": f"file://{self.state}",
            "PULUMI_CONFIG_PASSPHRASE_FILE": str(self.passphrase),
            "PULUMI_DEBUG_PROVIDERS": f"aws:{provider_port}",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",  # the engine would download the AWS plugin
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_ERROR_OUTPUT_STRING": "true",
            packages.OVERRIDE: str(package_folder),
            **self._python_path(),
        }

    def _python_path(self) -> dict[str, str]:
        """Return the variable with which another checkout's program imports its own code, not the installed one."""
        if self.program == stackfile.ROOT:
            return {}
        return {"PYTHONPATH": os.pathsep.join(filter(None, (str(self.program), os.environ.get("PYTHONPATH"))))}

    def _link(self, program: Path) -> None:
        for linked in ("infra", "policy"):
            (self.folder / linked).unlink(missing_ok=True)
            (self.folder / linked).symlink_to(program / linked, target_is_directory=True)


def _value(text: str) -> Any:
    return json.loads(text) if text.startswith(("{", "[")) else text
