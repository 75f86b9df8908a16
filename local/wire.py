"""Conversion of values in Pulumi's gRPC format, where marked maps hold secrets, archives and unknown values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
from google.protobuf import json_format, struct_pb2
from pulumi.runtime import rpc

SIGNATURE = (
    rpc._special_sig_key
)  # private names of Pulumi's SDK, but part of the protocol that every provider implements
SECRET = rpc._special_secret_sig
_OUTPUT, _REFERENCE = rpc._special_output_value_sig, rpc._special_resource_sig
_ARCHIVE, _ASSET = rpc._special_archive_sig, rpc._special_asset_sig
UNKNOWN = rpc.UNKNOWN


def read(message: struct_pb2.Struct) -> dict[str, Any]:
    """Return a message as dictionaries, with Pulumi's marks."""
    return json_format.MessageToDict(message)


def write(value: Mapping[str, Any]) -> struct_pb2.Struct:
    """Return a dictionary as a message."""
    message = struct_pb2.Struct()
    message.update(value)
    return message


def secret(value: Any) -> Any:
    """Return ``value`` marked as secret."""
    return value if _mark(value) == SECRET else {SIGNATURE: SECRET, "value": value}


def holds_secret(value: Any) -> bool:
    """Return whether the value is or contains a secret."""
    if isinstance(value, Mapping):
        marked = _mark(value) == SECRET or (_mark(value) == _OUTPUT and value.get("secret"))
        return bool(marked) or any(holds_secret(inner) for inner in value.values())
    return isinstance(value, list) and any(holds_secret(inner) for inner in value)


def clear(value: Any) -> Any:
    """Return the plain value: secrets in clear, archives as objects, whole numbers as int (messages have floats)."""
    if isinstance(value, Mapping):
        plain = {name: clear(inner) for name, inner in value.items() if inner is not None}
        return _unmarked(value[SIGNATURE], plain) if SIGNATURE in value else plain
    if isinstance(value, list):
        return [clear(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _unmarked(kind: str, marked: Mapping[str, Any]) -> Any:
    if kind in (SECRET, _OUTPUT):
        return marked.get("value", UNKNOWN)
    if kind == _REFERENCE:
        return marked.get("id") or marked["urn"]
    if kind in (_ARCHIVE, _ASSET) and not marked.keys() - {SIGNATURE, "hash"}:
        return None  # the engine sends old archives without their content
    if kind == _ARCHIVE:
        return pulumi.FileArchive(marked["path"])  # the program declares no other archives
    return pulumi.FileAsset(marked["path"]) if "path" in marked else pulumi.StringAsset(marked.get("text", ""))


def without_secret_marks(value: Any) -> Any:
    """Return the value in Pulumi's format without secret marks, for an engine that does not accept secrets."""
    if isinstance(value, Mapping):
        if _mark(value) in (SECRET, _OUTPUT):
            return without_secret_marks(value.get("value", UNKNOWN))
        return {name: without_secret_marks(inner) for name, inner in value.items()}
    return [without_secret_marks(inner) for inner in value] if isinstance(value, list) else value


def changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> frozenset[str]:
    """Return the top-level properties that differ. Archives are compared by content; None equals an absent value."""
    old, new = _comparable(before), _comparable(now)
    return frozenset(name for name in {*old, *new} if old.get(name) != new.get(name))


def _comparable(value: Any) -> Any:
    if isinstance(value, Mapping):
        kind = _mark(value)
        if kind in (SECRET, _OUTPUT):
            return _comparable(value.get("value", UNKNOWN))
        if kind in (_ARCHIVE, _ASSET):
            return value.get("hash") or value.get("path") or value.get("text")
        return {name: _comparable(inner) for name, inner in value.items() if inner is not None and name[:2] != "__"}
    return [_comparable(inner) for inner in value] if isinstance(value, list) else value


def _mark(value: Any) -> str | None:
    return value.get(SIGNATURE) if isinstance(value, Mapping) else None
