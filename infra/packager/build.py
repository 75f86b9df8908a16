"""Builds what Lambda runs: one folder of code for all functions, one dependency layer from pinned, hashed wheels.

``python -m infra.packager.build --python python3.13 --architecture arm64`` (or ``make package``) builds and prints the
sizes. The same sources give the same bytes: no clock, no path of this machine, files in sorted order. Byte code is
compiled by the target's own interpreter with unchecked hashes: Lambda zeroes mtimes, which would make byte code with
timestamps stale, and an import would then compile 3,000 modules at every cold start.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "requirements" / "runtime.txt"
# RDS's certificate authorities are private to it and in no runtime for Python; AWS publishes them here. The layer
# carries them to /opt/rds/global-bundle.pem, the default of the setting database.rootCert.
RDS_CA_URL = "https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem"
RDS_CA = ROOT / ".build" / "rds-global-bundle.pem"
LIMIT_BYTES = 250 * 1024 * 1024  # function and layers, unzipped (Lambda quotas)
_CODE = ("infrafabric", "lambdas")
_LEFT_OUT = ("infrafabric/cli/", "infrafabric/operators/")  # no function imports them
_SHIPPED = (".py", ".md", ".sql", ".json")  # not what editors and tools leave lying about
# The service models that functions use; botocore ships 400 of them, 20 MB.
_CLIENTS = ("dynamodb", "kms", "lambda", "rds", "s3", "secretsmanager", "sns", "sqs")
_WHEEL_PLATFORMS = {"arm64": "aarch64", "x86_64": "x86_64"}
_GLIBC_MINORS = range(34, 16, -1)  # the runtimes' Amazon Linux 2023 has glibc 2.34; wheels from 2.17 on fit


class PackagingError(Exception):
    """A package cannot be built. The message says what is missing and what to do."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """What a package is built for: ``python`` as in ``python3.13``, ``architecture`` as Lambda names it."""

    python: str
    architecture: str

    @classmethod
    def here(cls) -> Target:
        """The interpreter and architecture of this machine, which the local platform runs handlers with."""
        machine = {"aarch64": "arm64", "amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
        return cls(python=f"python{sys.version_info.major}.{sys.version_info.minor}", architecture=machine)

    @property
    def name(self) -> str:
        return f"{self.python}-{self.architecture}"


@dataclass(frozen=True)
class Packages:
    """Two folders, each as Lambda will unpack it."""

    code: Path
    layer: Path


def folders(target: Target, out: Path | None = None) -> Packages:
    """Where the packages of ``target`` lie once built."""
    base = (out or ROOT / ".build" / "packages") / target.name
    return Packages(code=base / "code", layer=base / "layer")


def build(target: Target, out: Path | None = None) -> Packages:
    """Build both packages; a layer that is already there for the same lock file is kept.

    Two builds at the same time take turns.

    Raises:
        PackagingError: no interpreter for the target, wheels that cannot be had, or a package above Lambda's limit.
    """
    packages = folders(target, out)
    with _alone(packages.code.parent):
        build_code(target, packages.code)
        mark, key = packages.layer.with_name("layer.key"), _layer_key(target)
        if not (packages.layer.exists() and mark.exists() and mark.read_text() == key):
            build_layer(target, packages.layer)
            mark.write_text(key)
    size = size_bytes(packages.code) + size_bytes(packages.layer)
    if size > LIMIT_BYTES:
        raise PackagingError(f"code and layer are {size:,} bytes unzipped; Lambda allows {LIMIT_BYTES:,}")
    return packages


def build_code(target: Target, folder: Path, root: Path = ROOT) -> None:
    """Build the code of all functions from the sources below ``root``, as ``folder``."""
    interpreter = _interpreter(target)
    _replace(folder, lambda fresh: _stage_code(fresh, interpreter, root))


def build_layer(target: Target, folder: Path) -> None:
    """Build the dependency layer as ``folder``. Asks the package index."""
    interpreter = _interpreter(target)
    _replace(folder, lambda fresh: _stage_layer(fresh, target, interpreter))


def size_bytes(folder: Path) -> int:
    """The unzipped size of a package."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def digest(folder: Path) -> str:
    """SHA-256 over paths and contents, in sorted order: the identity of a package."""
    total = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{path.relative_to(folder).as_posix()}\0{content}\n".encode())
    return total.hexdigest()


def zipped(folder: Path) -> Path:
    """``folder`` as a zip beside it that depends on nothing but its content; made anew only when that changed."""
    packed, mark = (folder.with_name(f"{folder.name}.{ending}") for ending in ("zip", "zip.key"))
    key = _quick_key(folder)
    if packed.exists() and mark.exists() and mark.read_text() == key:
        return packed
    fresh = folder.with_name(f".{folder.name}.{os.getpid()}.zip")
    try:
        with zipfile.ZipFile(fresh, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as made:
            for path in sorted(p for p in folder.rglob("*") if p.is_file()):
                entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), (1980, 1, 1, 0, 0, 0))
                entry.external_attr = 0o644 << 16
                made.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED, 1)
        fresh.replace(packed)
    finally:
        fresh.unlink(missing_ok=True)
    mark.write_text(key)
    return packed


def _quick_key(folder: Path) -> str:
    """Changes whenever ``folder`` is built anew; reading 5,000 files to learn the same takes a second."""
    stat = folder.stat()
    return f"{stat.st_ino}.{stat.st_mtime_ns}"


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold ``folder`` against other processes that build there."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # freed when it is closed, also by a crash
        yield


def _replace(folder: Path, stage: Callable[[Path], None]) -> None:
    """Make ``folder`` anew beside the old one and swap, so that an interrupted build leaves the old one whole."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        stage(fresh)
        for path in (fresh, *fresh.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)  # Lambda's user must read what a strict umask made here
        if folder.exists():
            shutil.rmtree(folder)
        fresh.rename(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _stage_code(folder: Path, interpreter: str, root: Path) -> None:
    for package in _CODE:
        for source in sorted((root / package).rglob("*")):
            place = source.relative_to(root).as_posix()
            if source.suffix not in _SHIPPED or place.startswith(_LEFT_OUT) or not source.is_file():
                continue
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, folder / place)
    _compile(folder, interpreter, "/var/task")


def _stage_layer(folder: Path, target: Target, interpreter: str) -> None:
    site = folder / "python"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    command += ["--no-deps", "--require-hashes", "--only-binary=:all:", "--requirement", str(LOCK)]
    command += ["--target", str(site), *_wheels_for(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        raise PackagingError(f"the layer for {target.name} cannot be made: {said[-1] if said else 'pip says nothing'}")
    _prune(site)
    _compile(folder, interpreter, "/opt")
    if RDS_CA.exists():
        (folder / "rds").mkdir()
        shutil.copyfile(RDS_CA, folder / "rds" / "global-bundle.pem")


def _wheels_for(target: Target) -> list[str]:
    """pip's options for wheels that run in the target's Lambda runtime; none where that is this machine."""
    if target == Target.here():
        return []
    machine = _WHEEL_PLATFORMS[target.architecture]
    platforms = [*(f"manylinux_2_{minor}_{machine}" for minor in _GLIBC_MINORS), f"manylinux2014_{machine}"]
    options = ["--implementation", "cp", "--python-version", target.python.removeprefix("python")]
    return options + [part for name in platforms for part in ("--platform", name)]


def _prune(site: Path) -> None:
    """Drop what no import reads, and what differs between two installs of the same wheel."""
    shutil.rmtree(site / "bin", ignore_errors=True)
    for name in ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json"):
        for path in site.glob(f"*.dist-info/{name}"):
            path.unlink()
    for data in (site / "botocore" / "data", site / "boto3" / "data"):
        for model in data.iterdir():
            if model.is_dir() and model.name not in _CLIENTS:
                shutil.rmtree(model)
    for unused in ("boto3/examples", "psycopg_c"):
        shutil.rmtree(site / unused, ignore_errors=True)
    for path in list(site.rglob("*.pyi")):
        path.unlink()


def _compile(folder: Path, interpreter: str, prefix: str) -> None:
    """Byte code for every module, with the path that it will have in Lambda, whatever folder it was built in."""
    command = [interpreter, "-s", "-m", "compileall", "-q", "-f", "--invalidation-mode", "unchecked-hash"]
    command += ["-s", str(folder), "-p", prefix, str(folder)]
    env = {**os.environ, "PYTHONHASHSEED": "0"}  # it decides the order of a frozen set among the constants
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)  # noqa: S603
    if done.returncode:
        raise PackagingError(f"byte code cannot be compiled: {(done.stdout or done.stderr).strip()}")


def _interpreter(target: Target) -> str:
    if target.architecture not in _WHEEL_PLATFORMS and target != Target.here():
        raise PackagingError(
            f"architecture {target.architecture!r}: Lambda has {' and '.join(sorted(_WHEEL_PLATFORMS))}"
        )
    if target.python == Target.here().python:
        return sys.executable
    found = shutil.which(target.python)
    if found is None or not _is(target.python, found):
        raise PackagingError(
            f"{target.python} is not on the PATH, and only it can compile byte code for the runtime {target.python}: "
            "install it, or set infrafabric:settings.runtime.python to a runtime that this machine has"
        )
    return found


def _is(python: str, interpreter: str) -> bool:
    """Whether ``interpreter`` runs, and is what it is called: a version manager's shim may be neither."""
    ask = "import sys; print(f'python{sys.version_info[0]}.{sys.version_info[1]}')"
    done = subprocess.run([interpreter, "-I", "-c", ask], capture_output=True, text=True, check=False)  # noqa: S603
    return done.returncode == 0 and done.stdout.strip() == python


def _layer_key(target: Target) -> str:
    authorities = RDS_CA.read_bytes() if RDS_CA.exists() else b""
    parts = [target.name.encode(), LOCK.read_bytes(), Path(__file__).read_bytes(), authorities]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def main() -> int:
    parser = argparse.ArgumentParser(prog="make package", description="Build the code and the dependency layer.")
    parser.add_argument("--python", default="python3.13")
    parser.add_argument("--architecture", choices=sorted(_WHEEL_PLATFORMS), default="arm64")
    parser.add_argument("--here", action="store_true", help="for this machine's interpreter instead")
    parser.add_argument("--rds-ca", type=Path, metavar="FILE", help=f"RDS's certificate authorities: {RDS_CA_URL}")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    target = Target.here() if chosen.here else Target(python=chosen.python, architecture=chosen.architecture)
    try:
        if chosen.rds_ca:
            _remember_authorities(chosen.rds_ca)
        packages = build(target)
    except PackagingError as error:
        print(f"package: {error}", file=sys.stderr)
        return 1
    report = {
        name: {"path": str(path.relative_to(ROOT)), "unzipped_bytes": size_bytes(path), "sha256": digest(path)}
        for name, path in (("code", packages.code), ("layer", packages.layer))
    }
    if chosen.json:
        print(json.dumps({"target": target.name, **report}, indent=2))
    else:
        for name, part in report.items():
            size = f"{part['unzipped_bytes'] / 1e6:7.1f} MB unzipped"
            print(f"{name:6} {size}  sha256 {part['sha256'][:16]}  {part['path']}")
    if not RDS_CA.exists() and not chosen.here:
        missing = "without RDS's certificate authorities the recorder will refuse the database"
        print(f"package: {missing}: fetch {RDS_CA_URL}, then make package RDS_CA=global-bundle.pem", file=sys.stderr)
    return 0


def _remember_authorities(file: Path) -> None:
    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise PackagingError(
            f"{file} cannot be read ({type(error).__name__}): it must be the file of {RDS_CA_URL}"
        ) from None
    if "BEGIN CERTIFICATE" not in text:
        raise PackagingError(f"{file} holds no certificate: it must be the file of {RDS_CA_URL}")
    RDS_CA.parent.mkdir(exist_ok=True)
    RDS_CA.write_text(text)


if __name__ == "__main__":
    sys.exit(main())
