"""Build target: the Lambda runtime and architecture that a package is built for, and the interpreter that builds it."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass

WHEEL_PLATFORMS = {"arm64": "aarch64", "x86_64": "x86_64"}  # Lambda's name → the name in wheels' platform tags


class PackagingError(Exception):
    """A package cannot be built. The message says what is missing and what to do."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """Python version as in ``python3.13``, and processor architecture as Lambda names it."""

    python: str
    architecture: str

    @classmethod
    def here(cls) -> Target:
        """Return the interpreter and architecture of this machine; the local platform runs handlers with both."""
        machine = {"aarch64": "arm64", "amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
        return cls(python=f"python{sys.version_info.major}.{sys.version_info.minor}", architecture=machine)

    @property
    def name(self) -> str:
        return f"{self.python}-{self.architecture}"

    def interpreter(self) -> str:
        """Return the path of an interpreter that compiles byte code for the target.

        Raises:
            PackagingError: Lambda lacks the architecture, or the PATH has no interpreter of the target's version.
        """
        here = Target.here()
        if self.architecture not in WHEEL_PLATFORMS and self != here:
            raise PackagingError(
                f"architecture {self.architecture!r}: Lambda has {' and '.join(sorted(WHEEL_PLATFORMS))}"
            )
        if self.python == here.python:
            return sys.executable
        path = shutil.which(self.python)
        if path is None or not runs_python(self.python, path):
            raise PackagingError(
                f"{self.python} is not on the PATH, and byte code for the runtime {self.python} needs the same "
                "version: install it, or set infrafabric:settings.runtime.python to a runtime that this machine has"
            )
        return path


DEFAULT_TARGET = Target(python="python3.13", architecture="arm64")  # of the setting "runtime", too


def runs_python(python: str, interpreter: str) -> bool:
    """Return True if ``interpreter`` runs and has the version ``python``; a version manager's shim may fail both."""
    script = "import sys; print(f'python{sys.version_info[0]}.{sys.version_info[1]}')"
    done = subprocess.run([interpreter, "-I", "-c", script], capture_output=True, text=True, check=False)  # noqa: S603
    return done.returncode == 0 and done.stdout.strip() == python
