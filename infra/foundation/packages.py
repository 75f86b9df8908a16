"""Archives of the functions' code and layer, as ``make package`` builds them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pulumi

from infra.packager.build import Packages, folders
from infra.packager.staging import ROOT
from infra.packager.target import Target
from infra.settings import RuntimeSettings

# Folder with code/ and layer/ instead of the built packages; the local platform builds for its own interpreter.
OVERRIDE = "INFRAFABRIC_PACKAGES"


def code(runtime: RuntimeSettings) -> pulumi.FileArchive:
    """Return the code archive for ``runtime``."""
    return pulumi.FileArchive(str(_packages(runtime).code))


def layer(runtime: RuntimeSettings) -> pulumi.FileArchive:
    """Return the dependency layer's archive for ``runtime``."""
    return pulumi.FileArchive(str(_packages(runtime).layer))


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
