"""Deployment of stacks to a running platform by the real Pulumi engine, with what later commands need to go on."""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO, Any

from infra.packager import build as packager
from infra.settings import stackfile
from local import processes, stack
from local.engine import cli
from local.engine.cli import EngineError, PulumiCli
from local.engine.project import Project
from local.platform import ACCOUNT, REGION, Platform

_FILE = "rehearsal.json"
_PASSWORD = "infrafabric:databasePassword"  # noqa: S105  the name of the secret


@dataclass(frozen=True)
class EngineStack:
    """Stack of a rehearsal. It has a provider of its own, because a provider serves one Region at a time."""

    name: str
    region: str
    provider_port: int


@dataclass
class Rehearsal:
    """Stacks that the Pulumi engine manages on a platform. Created by :func:`start`, saved for later commands."""

    home: Path
    stacks: list[EngineStack] = field(default_factory=list)  # a primary before its standby

    @cached_property
    def _pulumi(self) -> Path:
        return cli.find()

    @cached_property
    def _packages(self) -> Path:
        return packager.build(packager.Target.here()).code.parent

    @property
    def project(self) -> Project:
        """Pulumi project of the stacks."""
        return Project.below(self.home)

    @property
    def last(self) -> EngineStack:
        """Requested stack; the other stacks are primaries."""
        return self.stacks[-1]

    def find(self, name: str | None) -> EngineStack:
        """Return a stack by name; None for the stack that was asked for.

        Raises:
            EngineError: the rehearsal has no such stack.
        """
        if name is None:
            return self.last
        for found in self.stacks:
            if found.name == name.rpartition("/")[2]:
                return found
        names = ", ".join(found.name for found in self.stacks)
        raise EngineError(f"there is no stack {name} on the platform: it has {names}")

    def environment(self, name: str | None = None) -> dict[str, str]:
        """Return the environment variables with which ``pulumi`` works on a stack, for a shell.

        They do not choose the stack: in the checkout's root Pulumi would take it up, and write into its stack file.
        """
        return self.project.environment(self.find(name).provider_port, self._packages)

    def cli(self, name: str | None = None) -> PulumiCli:
        """Return the CLI for a stack, with packages of the present sources.

        Raises:
            EngineError: there is no usable CLI, or no such stack.
            packager.PackagingError: a package could not be built.
        """
        variables = {**self.environment(name), "PULUMI_STACK": self.find(name).name}
        return PulumiCli(self._pulumi, self.project.folder, {**os.environ, **variables})

    def outputs(self, name: str | None = None) -> dict[str, Any]:
        """Return the outputs of a stack, secrets in clear; empty for a stack that is not deployed, or was removed."""
        pulumi = self.cli(name)
        stacks = json.loads(pulumi.read("stack", "ls", "--json"))
        if all(known["name"].rpartition("/")[2] != self.find(name).name for known in stacks):
            return {}
        return json.loads(pulumi.read("stack", "output", "--json", "--show-secrets", "--non-interactive"))

    def write_settings(self, platform: Platform, changes: Mapping[str, Mapping[str, Any]]) -> None:
        """Write the project's stack files from the checkout's, with changed settings (by stack), which stay."""
        settings = {**stack.local_settings(platform), **stack.ACCOUNT_SETTINGS}
        for one in self.stacks:
            self.project.write_stack(one.name, settings, stackfile.FOLDER, changes.get(one.name))

    def deploy(self, *, stdout: IO[Any] | None = None) -> bool:
        """Run ``pulumi up`` for each stack, a primary first, until one fails. Return whether all succeeded."""
        words = ["up", "--yes", "--skip-preview", "--suppress-outputs"]
        return all(self.cli(one.name).show(*words, stdout=stdout) == 0 for one in self.stacks)

    def save(self) -> None:
        """Write the rehearsal for :meth:`load`."""
        document = {"stacks": [asdict(one) for one in self.stacks]}
        (self.home / _FILE).write_text(json.dumps(document))

    @classmethod
    def load(cls, home: Path) -> Rehearsal | None:
        """Return the rehearsal that another command saved; None without one."""
        if not (home / _FILE).exists():
            return None
        document = json.loads((home / _FILE).read_text())
        return cls(home, [EngineStack(**one) for one in document["stacks"]])


def start(platform: Platform, stack_name: str, overrides: Mapping[str, Any], home: Path) -> Rehearsal:
    """Start a provider per stack and create Pulumi's project and stacks. Nothing is deployed yet.

    Args:
        stack_name: stack to deploy; the primary of a standby is deployed as well.
        overrides: settings of that stack by dotted path.

    Raises:
        EngineError: there is no usable CLI, or it refused a stack.
        processes.ProcessFailedError: a provider did not start.
    """
    rehearsal = Rehearsal(home)
    rehearsal.project.create()
    for name, tree in reversed(list(_with_primaries(stack_name, overrides))):
        port = processes.free_port()
        region = str(tree.get("region") or REGION)  # the program refuses settings without one
        platform.processes.append(_start_provider(platform, name, region, port))
        rehearsal.stacks.append(EngineStack(name, region, port))
    rehearsal.write_settings(platform, {stack_name: overrides})
    for one in rehearsal.stacks:
        pulumi = rehearsal.cli(one.name)
        pulumi.read("stack", "init", one.name, "--no-select", "--non-interactive")
        # Also for a stack that does not need one: a setting can change that later.
        pulumi.read("config", "set", "--secret", _PASSWORD, "--non-interactive", stdin=secrets.token_urlsafe(24))
    rehearsal.save()
    return rehearsal


def stack_in(words: Iterable[str]) -> str | None:
    """Return the stack that the words of a Pulumi command name with ``--stack``, ``-s``; None without one."""
    words = list(words)
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word in ("--stack", "-s"):
            return following
        if word.startswith("--stack="):
            return word.removeprefix("--stack=")
        if word.startswith("-s"):  # -sprod, -s=prod
            return word.removeprefix("-s").removeprefix("=")
    return None


def _with_primaries(name: str, overrides: Mapping[str, Any]) -> Iterable[tuple[str, dict[str, Any]]]:
    """Yield a stack and its primary, each with its settings."""
    tree = _tree(name, overrides)
    yield name, tree
    if isinstance(primary := tree.get("primary"), dict) and primary.get("stack"):
        of_primary = str(primary["stack"]).rpartition("/")[2]
        # A primary has no primary of its own, which the program checks; without this two stacks could name each other.
        yield of_primary, _tree(of_primary, {})


def _tree(name: str, overrides: Mapping[str, Any]) -> dict[str, Any]:
    return json.loads(stackfile.read(name, overrides)["infrafabric:settings"])


def _start_provider(platform: Platform, name: str, region: str, port: int) -> processes.PlatformProcess:
    command: list[str | Path] = [sys.executable, "-m", "local.engine.provider", "--endpoint-url", platform.endpoint_url]
    command += ["--region", region, "--account", ACCOUNT, "--port", str(port)]
    command += ["--postgres", platform.scratch / "pg", str(platform.database_port)]
    log = platform.log(f"provider-{name}")
    return processes.start(f"provider of {name}", command, log=log, ready=processes.listens(port))
