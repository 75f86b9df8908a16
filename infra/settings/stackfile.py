"""Stack files (``Pulumi.<stack>.yaml``) read without the Pulumi CLI, for tests, validation and the local platform."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
# Stacks that the tests and the generated pages are about. The stack files in ROOT belong to whoever deploys.
REFERENCE = ROOT / "tests" / "stacks"
# Folder of the stack files that commands read, such as those of a change that is only rehearsed.
FOLDER = Path(os.environ.get("FABRIC_STACK_FILES") or ROOT)
_SETTINGS = "infrafabric:settings"


class NoStackError(Exception):
    """No stack file exists for the requested stack."""


class BadStackFileError(Exception):
    """Stack file that is not YAML, or has no settings."""


class BadSettingError(Exception):
    """Text after ``--set`` that is not KEY=VALUE."""


def check(stack: str, folder: Path = FOLDER) -> None:
    """Check that ``folder`` has a stack file for ``stack``.

    Raises:
        NoStackError: the file is missing; the message lists the existing stacks.
    """
    known = sorted(path.name.split(".")[1] for path in folder.glob("Pulumi.*.yaml"))
    if stack not in known:
        place = "this checkout" if folder == ROOT else str(folder)
        raise NoStackError(f"there is no Pulumi.{stack}.yaml: stacks of {place} are {', '.join(known) or 'none'}")


def are_reference(stacks: Iterable[str]) -> bool:
    """Tell whether the stack files that commands read equal the files of ``tests/stacks``."""
    names = [f"Pulumi.{stack}.yaml" for stack in stacks]
    return all((FOLDER / name).read_bytes() == (REFERENCE / name).read_bytes() for name in names)


def changes_of(texts: Iterable[str]) -> dict[str, Any]:
    """Parse the values of a command's ``--set`` options: ``["fleet.size=3"]`` becomes ``{"fleet.size": 3}``.

    Values are YAML, as in a stack file.

    Raises:
        BadSettingError: a text is not KEY=VALUE, or its value is not YAML.
    """
    changes = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not (equals and all(key.split("."))):
            raise BadSettingError(f"--set {text}: must be KEY=VALUE, such as --set fleet.size=3")
        try:
            changes[key] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise BadSettingError(f"--set {text}: {value!r} is not valid YAML: quote the value") from None
    return changes


def read(stack: str, changes: Mapping[str, Any] | None = None, folder: Path = FOLDER) -> dict[str, str]:
    """Return ``Pulumi.<stack>.yaml`` as ``pulumi.runtime.set_all_config`` expects it: full key → text, objects as JSON.

    Encrypted values are left out, because only the Pulumi engine can decrypt them.

    Args:
        changes: values by dotted path below ``infrafabric:settings`` (``{"fleet.size": 2}``), set as
            ``pulumi config set --path`` would set them.

    Raises:
        NoStackError: the stack file is missing.
        BadStackFileError: the stack file is not YAML, or has no settings.
    """
    check(stack, folder)
    config = with_changes(_config(folder / f"Pulumi.{stack}.yaml"), changes or {})
    return {key: _text(value) for key, value in config.items() if not _encrypted(value)}


def with_changes(config: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration with changed settings.

    Args:
        changes: values by dotted path below ``infrafabric:settings``.
    """
    changed = deepcopy(dict(config))
    for path, value in changes.items():
        *above, last = path.split(".")
        node = changed[_SETTINGS]
        for key in above:
            if not isinstance(node.get(key), dict):
                node[key] = {}  # validation of the settings decides whether a section is allowed here
            node = node[key]
        node[last] = deepcopy(value)
    return changed


def _config(file: Path) -> dict[str, Any]:
    """Return the configuration in a stack file.

    Raises:
        BadStackFileError: the file is not YAML, or has no settings.
    """
    try:
        document = yaml.safe_load(file.read_text())
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        raise BadStackFileError(f"{file}{place}: not valid YAML ({getattr(error, 'problem', error)})") from None
    config = document.get("config") if isinstance(document, dict) else None
    if not (isinstance(config, dict) and isinstance(config.get(_SETTINGS), dict)):
        raise BadStackFileError(
            f"{file}: has no settings; they belong below config, {_SETTINGS}: see docs/configuration.md"
        )
    return config


def _encrypted(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {"secure"}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
