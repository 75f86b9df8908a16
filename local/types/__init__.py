"""How each resource type of the program is created on the emulator: one table, filled by the modules beside this file.

To add a type, write a function beside its neighbours and give it its token::

    @creates("aws:sqs/queue:Queue")
    def queue(it: Declared) -> Made: ...

``it.inputs`` are the program's own inputs, camelCase as the provider has them. ``Made.outputs`` are what only the
creation can tell; inputs are outputs too unless overridden. A type without a function here is recorded, and listed so.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

# What a creator raises when the emulator, or what was declared, will not do.
REFUSALS = (ClientError, BotoCoreError, RuntimeError, KeyError)


class CreationFailedError(Exception):
    """The emulator refused a resource. The message names type, logical name and the service's own words."""


@dataclass(frozen=True)
class Surroundings:
    """What the platform knows and the program does not: where things listen on this machine."""

    endpoint_url: str
    region: str
    account_id: str
    work: Path  # for zips on their way to the emulator
    database_port: int
    on_database: Callable[[str, str, str], None]  # name, user, password of an RDS instance's database
    _clients: dict[tuple[str, str], Any] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def client(self, service: str, region: str | None = None) -> Any:
        """A boto3 client of the emulator, signed as the account's root. Clients are made once, and may be shared."""
        key = (service, region or self.region)
        with self._lock:  # boto3's default session is not thread-safe while it makes a client
            if key not in self._clients:
                self._clients[key] = boto3.client(
                    key[0],
                    region_name=key[1],
                    endpoint_url=self.endpoint_url,
                    aws_access_key_id="test",
                    aws_secret_access_key="test",  # noqa: S106  the emulator's root
                    config=Config(retries={"max_attempts": 1}, max_pool_connections=20, read_timeout=120),
                )
            return self._clients[key]


@dataclass(frozen=True)
class Declared:
    """A resource as the program declared it."""

    type: str
    name: str  # logical
    inputs: Mapping[str, Any]  # secrets in clear
    at: Surroundings

    def client(self, service: str) -> Any:
        return self.at.client(service, self.inputs.get("region"))

    @property
    def region(self) -> str:
        return self.inputs.get("region") or self.at.region

    def arn(self, service: str, rest: str, *, regional: bool = True) -> str:
        return f"arn:aws:{service}:{self.region if regional else ''}:{self.at.account_id}:{rest}"

    def tags(self, key: str = "Key", value: str = "Value") -> list[dict[str, str]]:
        return [{key: name, value: text} for name, text in sorted(self.tag_map().items())]

    def tag_map(self) -> dict[str, str]:
        return dict(self.inputs.get("tags") or {})

    def physical(self, key: str = "name") -> str:
        """The given name, or one that follows from the logical name."""
        return self.inputs.get(key) or self.name


@dataclass(frozen=True)
class Made:
    """What came of it."""

    id: str
    outputs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Standing(Declared):
    """A resource that was made before, and what the program wants of it now (``inputs``; at a removal: what it was)."""

    id: str
    outputs: Mapping[str, Any]  # as they were
    changed: frozenset[str] = frozenset()  # inputs that differ from before, top level


Create = Callable[[Declared], Made]
Change = Callable[[Standing], Mapping[str, Any]]  # returns the outputs that the change alters
Remove = Callable[[Standing], object]
Look = Callable[[Standing], object]  # raises the service's own "not found"
_TABLE: dict[str, Create] = {}
CHANGES: dict[str, Change] = {}  # types that can be changed in place; local.types.change
REMOVALS: dict[str, Remove] = {}  # types that leave something behind unless removed; local.types.removal
LOOKS: dict[str, Look] = {}  # types whose presence is cheap to ask for; local.types.removal


def _registers(table: dict[str, Any], what: str) -> Callable[..., Callable[[Any], Any]]:
    def tokens_of(*tokens: str) -> Callable[[Any], Any]:
        def register(function: Any) -> Any:
            for token in tokens:
                if token in table:
                    raise ValueError(f"{token} has two ways to be {what}")
                table[token] = function
            return function

        return register

    return tokens_of


def put_again(create: Create) -> Change:
    """The update of what AWS has one call for, first time or not: create it again."""
    return lambda it: create(it).outputs


def creates(*tokens: str, update: Callable[[Create], Change] | None = None) -> Callable[[Create], Create]:
    """Register a function as the way to create ``tokens`` and, with ``update=put_again``, to change them in place."""

    def register(create: Create) -> Create:
        _registers(_TABLE, "created")(*tokens)(create)
        if update:
            _registers(CHANGES, "changed")(*tokens)(update(create))
        return create

    return register


changes = _registers(CHANGES, "changed")
removes = _registers(REMOVALS, "removed")
looks = _registers(LOOKS, "looked at")


@cache
def table() -> Mapping[str, Create]:
    """Every type that can be created, by token."""
    for module in (
        "api",
        "change",
        "compute",
        "database",
        "edge",
        "front",
        "guard",
        "messaging",
        "network",
        "removal",
        "security",
        "storage",
        "watch",
    ):
        importlib.import_module(f"local.types.{module}")
    return _TABLE


def given(inputs: Mapping[str, Any], **names: str) -> dict[str, Any]:
    """boto3 arguments from inputs that are set: ``given(inputs, Timeout="timeout")``."""
    return {argument: inputs[name] for argument, name in names.items() if inputs.get(name) is not None}


def pascal(value: Any) -> Any:
    """Nested inputs with boto3's spelling: ``{"maxReceive": 1}`` becomes ``{"MaxReceive": 1}``."""
    if isinstance(value, Mapping):
        return {name[:1].upper() + name[1:]: pascal(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [pascal(inner) for inner in value]
    return value
