"""Contents of the two packages: sources of the functions, and the locked dependencies, each with byte code.

Byte code is compiled by the target's own interpreter with unchecked hashes: Lambda zeroes mtimes, so byte code with
timestamps would be stale, and an import would then compile 3,000 modules at every cold start.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from infra.packager.target import WHEEL_PLATFORMS, PackagingError, Target

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "requirements" / "runtime.txt"
# RDS's certificate authorities are private to RDS and part of no Python runtime; AWS publishes the bundle at this
# address. The layer carries the bundle to /opt/rds/global-bundle.pem, the default of the setting database.rootCert.
RDS_CA_URL = "https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem"
RDS_CA = ROOT / ".build" / "rds-global-bundle.pem"
# Service models that the functions use; botocore ships 400 service models, 20 MB.
BOTO_SERVICES = ("dynamodb", "kms", "lambda", "rds", "s3", "secretsmanager", "sns", "sqs")
_PACKAGES = ("infrafabric", "lambdas")
_EXCLUDED = ("infrafabric/cli/", "infrafabric/operators/")  # no function imports them
_SUFFIXES = (".py", ".md", ".sql", ".json")  # excludes the files that editors and tools leave behind
_GLIBC_MINORS = range(34, 16, -1)  # the runtimes' Amazon Linux 2023 has glibc 2.34; wheels from 2.17 on fit


def stage_code(folder: Path, interpreter: str, root: Path) -> None:
    """Copy the functions' sources from below ``root`` into ``folder``, and compile byte code for Lambda's path.

    Raises:
        PackagingError: a source does not compile.
    """
    for package in _PACKAGES:
        for source in sorted((root / package).rglob("*")):
            relative = source.relative_to(root).as_posix()
            if source.suffix not in _SUFFIXES or relative.startswith(_EXCLUDED) or not source.is_file():
                continue
            (folder / relative).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, folder / relative)
    _compile(folder, interpreter, "/var/task")


def stage_layer(folder: Path, target: Target, interpreter: str) -> None:
    """Install the locked dependencies into ``folder`` from the package index, and compile byte code.

    Raises:
        PackagingError: pip cannot install a wheel for the target; the message ends with pip's error.
    """
    site = folder / "python"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    command += ["--no-deps", "--require-hashes", "--only-binary=:all:", "--requirement", str(LOCK)]
    command += ["--target", str(site), *_wheel_options(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        output = done.stderr.splitlines()
        errors = [line for line in output if line.startswith("ERROR")] or output
        raise PackagingError(
            f"the layer for {target.name} cannot be built: {errors[-1] if errors else 'pip printed no error'}"
        )
    _prune(site)
    _compile(folder, interpreter, "/opt")
    if RDS_CA.exists():
        (folder / "rds").mkdir()
        shutil.copyfile(RDS_CA, folder / "rds" / "global-bundle.pem")


def store_certificate_authorities(file: Path) -> None:
    """Copy RDS's certificate authorities from ``file`` to the path from which the next layer takes them.

    Raises:
        PackagingError: ``file`` cannot be read or holds no certificate.
    """
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


def _wheel_options(target: Target) -> list[str]:
    """Return pip's options for wheels that run in the target's Lambda runtime; empty if the target is this machine."""
    if target == Target.here():
        return []
    machine = WHEEL_PLATFORMS[target.architecture]
    platforms = [*(f"manylinux_2_{minor}_{machine}" for minor in _GLIBC_MINORS), f"manylinux2014_{machine}"]
    options = ["--implementation", "cp", "--python-version", target.python.removeprefix("python")]
    return options + [part for name in platforms for part in ("--platform", name)]


def _prune(site: Path) -> None:
    """Delete files that no import reads, and files that differ between two installs of the same wheel."""
    shutil.rmtree(site / "bin", ignore_errors=True)
    for name in ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json"):
        for path in site.glob(f"*.dist-info/{name}"):
            path.unlink()
    for data in (site / "botocore" / "data", site / "boto3" / "data"):
        for model in data.iterdir():
            if model.is_dir() and model.name not in BOTO_SERVICES:
                shutil.rmtree(model)
    for unused in ("boto3/examples", "psycopg_c"):
        shutil.rmtree(site / unused, ignore_errors=True)
    for path in list(site.rglob("*.pyi")):
        path.unlink()


def _compile(folder: Path, interpreter: str, prefix: str) -> None:
    """Compile byte code for every module; the recorded path is the one in Lambda, independent of the build folder."""
    command = [interpreter, "-s", "-m", "compileall", "-q", "-f", "--invalidation-mode", "unchecked-hash"]
    command += ["-s", str(folder), "-p", prefix, str(folder)]
    env = {**os.environ, "PYTHONHASHSEED": "0"}  # decides the order of a frozen set among the constants
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)  # noqa: S603
    if done.returncode:
        raise PackagingError(f"byte code cannot be compiled: {(done.stdout or done.stderr).strip()}")
