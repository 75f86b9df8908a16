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

_ABSENT = object()


@dataclass(frozen=True)
class Project:
    """Folders of a Pulumi project that runs ``program`` and keeps its state in files."""

    folder: Path  # Pulumi.yaml, stack files, links to the program
    state: Path  # Pulumi's backend
    passphrase: Path  # file with the passphrase of the secrets in the state; only its owner can read it
    sources: Path  # per stack, the configuration from which its file was last written
    program: Path = stackfile.ROOT  # checkout that the links lead to

    @classmethod
    def below(cls, home: Path) -> Project:
        """Return the project in ``home``, which may not exist yet."""
        return cls(home / "project", home / "state", home / "passphrase", home / "sources")

    def create(self) -> None:
        """Create the folders, links and passphrase; state and stack files from an earlier run are deleted."""
        for folder in (self.folder, self.state, self.sources):
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
        return Project(self.folder, self.state, self.passphrase, self.sources, program)

    def write_stack(
        self, stack: str, settings: Mapping[str, Any], source: Path, changes: Mapping[str, Any] | None = None
    ) -> None:
        """Write the project's stack file: the file in ``source`` with the settings of this machine.

        What ``pulumi config`` or ``changes`` altered in the project's file stays: settings, secrets, the secrets' salt.

        Args:
            settings: settings of this machine by dotted path, as for :func:`infra.settings.stackfile.read`.
            changes: settings by dotted path to alter in the project's file.
        """
        file, written = self.folder / f"Pulumi.{stack}.yaml", self.sources / f"{stack}.json"
        own, before = {}, {}
        if file.exists():  # pulumi stack rm deletes it
            own = yaml.safe_load(file.read_text()) or {}
            before = json.loads(written.read_text()) if written.exists() else {}
        now = {key: _value(text) for key, text in stackfile.read(stack, settings, source).items()}
        config = stackfile.with_changes(_merge(before, own.get("config", {}), now), changes or {})
        file.write_text(yaml.safe_dump({**own, "config": config}))
        written.write_text(json.dumps(now))

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


def _merge(before: Any, own: Any, now: Any) -> Any:
    """Return ``now`` with the differences between ``before`` and ``own``, key by key in nested objects."""
    if not (isinstance(own, dict) and isinstance(now, dict)):
        return now if own == before else own
    old = before if isinstance(before, dict) else {}
    merged = {
        key: _merge(old.get(key, _ABSENT), own.get(key, _ABSENT), now.get(key, _ABSENT)) for key in {**now, **own}
    }
    return {key: value for key, value in merged.items() if value is not _ABSENT}


def _value(text: str) -> Any:
    return json.loads(text) if text.startswith(("{", "[")) else text
