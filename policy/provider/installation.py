"""Detection of Terraform and the AWS provider on this machine, without downloads."""

from __future__ import annotations

import platform
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.graph.terraform.names import PROVIDER

VARIABLE = "INFRAFABRIC_TERRAFORM_PLUGINS"
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}  # Terraform's names, where they differ from Python's
_RELEASE = re.compile(r"(?:terraform-provider-aws_)?(\d+\.\d+\.\d+)(?:_(?P<target>\w+)\.zip)?")


class NotInstalledError(Exception):
    """Terraform or the provider is missing; the text says which, and where it was looked for."""


@dataclass(frozen=True, kw_only=True)
class Installation:
    """Terraform, and a folder with a version of the provider for this machine."""

    terraform: Path
    plugins: Path  # filesystem mirror, as for terraform init -plugin-dir
    version: tuple[int, ...]  # of the provider

    @property
    def version_text(self) -> str:
        """Version of the provider, such as ``5.100.0``."""
        return ".".join(map(str, self.version))


def find(environment: Mapping[str, str], opt: Path = Path("/opt")) -> Installation:
    """Return Terraform from the PATH, and the provider from the first mirror that has one (the newest version there).

    Raises:
        NotInstalledError: one of them is missing.
    """
    terraform = shutil.which("terraform", path=environment.get("PATH", ""))
    if terraform is None:
        raise NotInstalledError("terraform is not on the PATH")
    mirrors = list(_mirrors(environment, opt))
    for mirror in mirrors:
        versions = _versions(mirror / PROVIDER)
        if versions:
            return Installation(terraform=Path(terraform), plugins=mirror, version=max(versions))
    looked = mirrors[0] if VARIABLE in environment else "a local mirror of Terraform"
    raise NotInstalledError(f"the provider hashicorp/aws is not in {looked} ({VARIABLE} names another folder)")


def _mirrors(environment: Mapping[str, str], opt: Path) -> Iterator[Path]:
    """Return the folder that the variable names; else Terraform's implied mirrors, and the folders of /opt.

    Source: Terraform CLI, "CLI Configuration File", section "Implied Local Mirror Directories".
    """
    if named := environment.get(VARIABLE):
        yield Path(named).absolute()
        return
    home = Path(environment.get("HOME", "/nonexistent"))
    yield home / ".terraform.d" / "plugins"
    if platform.system() == "Darwin":
        for library in (home / "Library", Path("/Library")):
            yield library / "Application Support" / "io.terraform" / "plugins"
    else:
        yield Path(environment.get("XDG_DATA_HOME") or home / ".local" / "share") / "terraform" / "plugins"
        for shared in (environment.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share").split(":"):
            yield Path(shared) / "terraform" / "plugins"
    if opt.is_dir():
        yield from sorted(path for path in opt.iterdir() if path.is_dir())


def _versions(folder: Path) -> set[tuple[int, ...]]:
    """Return the versions for this machine in ``folder``, unpacked (VERSION/TARGET/) or packed (a zip per target)."""
    machine = platform.machine().lower()
    target = f"{platform.system().lower()}_{_MACHINES.get(machine, machine)}"
    found = set()
    for path in folder.iterdir() if folder.is_dir() else ():
        match = _RELEASE.fullmatch(path.name)
        if match and (match["target"] == target or (path / target).is_dir()):
            found.add(tuple(map(int, match[1].split("."))))
    return found
