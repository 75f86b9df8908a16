"""The Pulumi CLI as a process: found on the PATH, and run for its output or in front of the user."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

MINIMUM = (3, 272)


class EngineError(Exception):
    """Failed command of the Pulumi CLI, or no CLI that can be used. The message has the remedy."""


def find() -> Path:
    """Return the path of the Pulumi CLI.

    Raises:
        EngineError: no CLI is on the PATH, or one that is older than ``MINIMUM``.
    """
    remedy = (
        f"install {'.'.join(map(str, MINIMUM))} or newer (https://www.pulumi.com/docs/install/), "
        "or leave out --engine pulumi"
    )
    found = shutil.which("pulumi")
    if found is None:
        raise EngineError(f"pulumi is not on the PATH: {remedy}")
    done = subprocess.run([found, "version"], capture_output=True, text=True, check=False)  # noqa: S603
    version = re.match(r"v?(\d+)\.(\d+)\.", done.stdout)
    if version is None or tuple(map(int, version.groups())) < MINIMUM:
        text = done.stdout.strip() or "no version"
        raise EngineError(f"{found} is {text}: {remedy}")
    return Path(found)


@dataclass(frozen=True)
class PulumiCli:
    """The CLI in a project's folder, for one stack."""

    path: Path
    folder: Path
    environment: Mapping[str, str]

    def read(self, *words: str, stdin: str = "") -> str:
        """Run a command and return its standard output.

        Raises:
            EngineError: the command failed; the message has what it wrote to standard error.
        """
        done = subprocess.run(  # noqa: S603
            [self.path, *words],
            cwd=self.folder,
            env=dict(self.environment),
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise EngineError(f"pulumi {' '.join(words)} failed: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def show(self, *words: str, stdout: IO[Any] | None = None) -> int:
        """Run a command with the user's terminal, and return its exit status.

        Args:
            stdout: where its standard output goes; None for this process's.

        Raises:
            KeyboardInterrupt: the command was interrupted, and has ended.
        """
        with _Interruptions.passed_on() as interruptions:
            process = subprocess.Popen(  # noqa: S603
                [self.path, *words], cwd=self.folder, env=dict(self.environment), stdout=stdout
            )
            interruptions.process = process
            status = process.wait()
        if interruptions.seen:
            raise KeyboardInterrupt
        return status


@dataclass
class _Interruptions:
    """Handling of SIGINT and SIGTERM while Pulumi runs, which needs time to write down what it has created."""

    process: subprocess.Popen[Any] | None = None
    seen: bool = False

    @classmethod
    @contextmanager
    def passed_on(cls) -> Iterator[_Interruptions]:
        interruptions = cls()
        previous = {
            number: signal.signal(number, handler)
            for number, handler in (
                (signal.SIGINT, interruptions._note),
                (signal.SIGTERM, interruptions._pass_on),
            )
        }
        try:
            yield interruptions
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _note(self, *_: object) -> None:
        """Do no more: a terminal's Ctrl-C reaches Pulumi too, and a second one would make it give up at once."""
        self.seen = True

    def _pass_on(self, *_: object) -> None:
        self.seen = True
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
