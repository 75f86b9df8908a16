"""A stack's committed configuration, read without the Pulumi CLI: for tests, validation and the local platform."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]


class NoStackError(Exception):
    """There is no file for the stack that was asked for."""


class BadSettingError(Exception):
    """A change that is not KEY=VALUE."""


def check(stack: str) -> None:
    """Raises :class:`NoStackError`, which names the stacks that there are."""
    known = sorted(path.name.split(".")[1] for path in ROOT.glob("Pulumi.*.yaml"))
    if stack not in known:
        raise NoStackError(f"there is no Pulumi.{stack}.yaml: stacks of this checkout are {', '.join(known)}")


def changes_of(texts: Iterable[str]) -> dict[str, Any]:
    """``["fleet.size=3"]``, as a command's ``--set`` takes it, as ``{"fleet.size": 3}``: values are YAML, as in a
    stack's file. Raises :class:`BadSettingError`."""
    changes = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not (equals and all(key.split("."))):
            raise BadSettingError(f"--set {text}: must be KEY=VALUE, such as --set fleet.size=3")
        try:
            changes[key] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise BadSettingError(f"--set {text}: {value!r} is no YAML value: quote it") from None
    return changes


def read(stack: str, changes: Mapping[str, Any] | None = None, folder: Path = ROOT) -> dict[str, str]:
    """``Pulumi.<stack>.yaml`` as ``pulumi.runtime.set_all_config`` takes it: full key → text, objects as JSON.

    ``changes`` maps dotted paths below ``infrafabric:settings`` to other values (``{"fleet.size": 2}``), as
    ``pulumi config set --path`` would. Encrypted values are left out: only the engine can open them.

    Raises:
        FileNotFoundError: there is no such stack file.
    """
    config = deepcopy(yaml.safe_load((folder / f"Pulumi.{stack}.yaml").read_text())["config"])
    for path, value in (changes or {}).items():
        *above, last = path.split(".")
        node = config["infrafabric:settings"]
        for key in above:
            if not isinstance(node.get(key), dict):
                node[key] = {}  # the settings say whether a section may stand there
            node = node[key]
        node[last] = deepcopy(value)
    return {key: _text(value) for key, value in config.items() if not _encrypted(value)}


def _encrypted(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {"secure"}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
