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


class NoStackError(Exception):
    """No stack file exists for the requested stack."""


class BadSettingError(Exception):
    """Text after ``--set`` that is not KEY=VALUE."""


def check(stack: str) -> None:
    """Check that there is a stack file for ``stack``.

    Raises:
        NoStackError: the file is missing; the message lists the existing stacks.
    """
    known = sorted(path.name.split(".")[1] for path in FOLDER.glob("Pulumi.*.yaml"))
    if stack not in known:
        folder = "this checkout" if FOLDER == ROOT else str(FOLDER)
        raise NoStackError(f"there is no Pulumi.{stack}.yaml: stacks of {folder} are {', '.join(known) or 'none'}")


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
        FileNotFoundError: the stack file is missing.
    """
    config = deepcopy(yaml.safe_load((folder / f"Pulumi.{stack}.yaml").read_text())["config"])
    for path, value in (changes or {}).items():
        *above, last = path.split(".")
        node = config["infrafabric:settings"]
        for key in above:
            if not isinstance(node.get(key), dict):
                node[key] = {}  # validation of the settings decides whether a section is allowed here
            node = node[key]
        node[last] = deepcopy(value)
    return {key: _text(value) for key, value in config.items() if not _encrypted(value)}


def _encrypted(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {"secure"}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
