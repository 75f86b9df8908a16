"""Build the two Lambda packages: one code folder for all functions, and one layer of pinned, hashed wheels.

The same sources give the same bytes: no clock, no path of the building machine, files in sorted order.
``make package`` builds for AWS and prints the sizes (``python -m infra.packager``).
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from infra.packager.archive import digest, size_bytes, zipped
from infra.packager.staging import LOCK, RDS_CA, ROOT, stage_code, stage_layer
from infra.packager.target import PackagingError, Target

LIMIT_BYTES = 250 * 1024 * 1024  # function and layers, unzipped (Lambda quotas)
UPLOAD_LIMIT_BYTES = 50 * 1024 * 1024  # one archive, zipped, uploaded directly and not through S3 (Lambda quotas)
_LAYER_SOURCES = ("staging.py", "target.py")  # modules that decide how a layer is built


@dataclass(frozen=True)
class Packages:
    """Folders of code and layer, each laid out as Lambda unpacks the package."""

    code: Path
    layer: Path


def folders(target: Target, out: Path | None = None) -> Packages:
    """Return the folders into which the packages of ``target`` are built, below ``out`` or ``.build/packages``."""
    parent = (out or ROOT / ".build" / "packages") / target.name
    return Packages(code=parent / "code", layer=parent / "layer")


def build(target: Target, out: Path | None = None) -> Packages:
    """Build both packages; reuse a layer that was built from the same lock file.

    A lock makes two concurrent builds run one after the other.

    Raises:
        PackagingError: the target's interpreter or a wheel is missing, or the packages exceed Lambda's limit.
    """
    packages = folders(target, out)
    with _locked(packages.code.parent):
        build_code(target, packages.code)
        key_file, key = packages.layer.with_name("layer.key"), _layer_key(target)
        if not (packages.layer.exists() and key_file.exists() and key_file.read_text() == key):
            build_layer(target, packages.layer)
            key_file.write_text(key)
    size = size_bytes(packages.code) + size_bytes(packages.layer)
    if size > LIMIT_BYTES:
        raise PackagingError(f"code and layer are {size:,} bytes unzipped; Lambda allows {LIMIT_BYTES:,}")
    return packages


def upload_sizes(packages: Packages) -> dict[str, int]:
    """Return the zipped sizes of both packages in bytes.

    Raises:
        PackagingError: an archive exceeds Lambda's limit for a direct upload.
    """
    sizes = {folder.name: zipped(folder).stat().st_size for folder in (packages.code, packages.layer)}
    for name, size in sizes.items():
        if size > UPLOAD_LIMIT_BYTES:
            raise PackagingError(
                f"{name} is {size:,} bytes zipped; Lambda takes {UPLOAD_LIMIT_BYTES:,} in a direct upload: "
                "drop a dependency from requirements/runtime.in, or upload the archive through S3"
            )
    return sizes


def build_code(target: Target, folder: Path, root: Path = ROOT) -> None:
    """Build the code of all functions from the sources below ``root``, as ``folder``."""
    interpreter = target.interpreter()
    _replace(folder, lambda staged: stage_code(staged, interpreter, root))


def build_layer(target: Target, folder: Path) -> None:
    """Build the dependency layer as ``folder``; downloads wheels from the package index."""
    interpreter = target.interpreter()
    _replace(folder, lambda staged: stage_layer(staged, target, interpreter))


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock of ``folder`` against other building processes."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # released when the file is closed, also by a crash
        yield


def _replace(folder: Path, stage: Callable[[Path], None]) -> None:
    """Stage a new folder next to ``folder`` and swap the two; an interrupted build leaves the old folder whole.

    A folder with the same content stays: a deployment in another process may be reading it.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        stage(staged)
        for path in (staged, *staged.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)  # Lambda's user must read files made under a strict umask
        if folder.exists():
            if digest(folder) == digest(staged):
                return
            shutil.rmtree(folder)
        staged.rename(folder)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _layer_key(target: Target) -> str:
    """Return a key over all inputs of the layer: target, lock file, certificate authorities and staging code."""
    authorities = RDS_CA.read_bytes() if RDS_CA.exists() else b""
    sources = [Path(__file__).with_name(name).read_bytes() for name in _LAYER_SOURCES]
    parts = [target.name.encode(), LOCK.read_bytes(), *sources, authorities]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()
