"""Archives of the functions' code and layer, as ``make package`` builds them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pulumi

from infra.packager.build import Packages, folders
from infra.packager.staging import ROOT
from infra.packager.target import DEFAULT_TARGET, Target
from infra.settings import RuntimeSettings

# Folder with code/ and layer/ instead of the built packages; the local platform builds for its own interpreter.
OVERRIDE = "INFRAFABRIC_PACKAGES"


def code(runtime: RuntimeSettings) -> pulumi.FileArchive:
    """Return the code archive for ``runtime``."""
    return pulumi.FileArchive(str(_packages(runtime).code))


def layer(runtime: RuntimeSettings) -> pulumi.FileArchive:
    """Return the dependency layer's archive for ``runtime``."""
    return pulumi.FileArchive(str(_packages(runtime).layer))


def require(runtime: RuntimeSettings) -> None:
    """Check that the packages for ``runtime`` are built, before any resource is declared.

    Without this, the engine fails at the first function, after it has created everything that functions need.

    Raises:
        pulumi.RunError: a package is missing; the text names the command that builds it.
    """
    target = Target(python=runtime.python, architecture=runtime.architecture)
    packages = _packages(runtime)
    missing = [str(path) for path in (packages.code, packages.layer) if not path.is_dir()]
    if missing:
        command = f"python -m infra.packager --python {target.python} --architecture {target.architecture}"
        is_default = target == DEFAULT_TARGET
        raise pulumi.RunError(
            f"no packages for {target.name} ({' and '.join(missing)}): "
            f"run {'make package' if is_default else command}, then pulumi again"
        )


def migrations_digest() -> str:
    """Return the SHA-256 of all SQL migrations, in order; a changed digest makes the deployment run them again."""
    total = hashlib.sha256()
    for path in sorted((ROOT / "infrafabric").rglob("*.sql")):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{path.relative_to(ROOT).as_posix()}\0{content}\n".encode())
    return total.hexdigest()


def _packages(runtime: RuntimeSettings) -> Packages:
    chosen = os.environ.get(OVERRIDE)
    if chosen:
        return Packages(code=Path(chosen) / "code", layer=Path(chosen) / "layer")
    return folders(Target(python=runtime.python, architecture=runtime.architecture))
