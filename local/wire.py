"""Values as Pulumi sends them between processes: signed maps stand for secrets and archives, a mark for the unknown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
from google.protobuf import json_format, struct_pb2
from pulumi.runtime import rpc

SIGNATURE = rpc._special_sig_key  # Pulumi keeps these to itself, and every provider must know them
SECRET = rpc._special_secret_sig
_OUTPUT, _REFERENCE = rpc._special_output_value_sig, rpc._special_resource_sig
_ARCHIVE, _ASSET = rpc._special_archive_sig, rpc._special_asset_sig
UNKNOWN = rpc.UNKNOWN


def read(message: struct_pb2.Struct) -> dict[str, Any]:
    """A message as plain maps, signatures and all."""
    return json_format.MessageToDict(message)


def write(value: Mapping[str, Any]) -> struct_pb2.Struct:
    message = struct_pb2.Struct()
    message.update(value)
    return message


def secret(value: Any) -> Any:
    return value if _signed(value) == SECRET else {SIGNATURE: SECRET, "value": value}


def holds_secret(value: Any) -> bool:
    """Whether any part of it is secret."""
    if isinstance(value, Mapping):
        hidden = _signed(value) == SECRET or (_signed(value) == _OUTPUT and value.get("secret"))
        return bool(hidden) or any(holds_secret(inner) for inner in value.values())
    return isinstance(value, list) and any(holds_secret(inner) for inner in value)


def clear(value: Any) -> Any:
    """What the value is: secrets in clear at any depth, archives as objects, whole numbers whole (all are floats)."""
    if isinstance(value, Mapping):
        plain = {name: clear(inner) for name, inner in value.items() if inner is not None}
        return _meant(value[SIGNATURE], plain) if SIGNATURE in value else plain
    if isinstance(value, list):
        return [clear(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _meant(kind: str, signed: Mapping[str, Any]) -> Any:
    if kind in (SECRET, _OUTPUT):
        return signed.get("value", UNKNOWN)
    if kind == _REFERENCE:
        return signed.get("id") or signed["urn"]
    if kind in (_ARCHIVE, _ASSET) and not signed.keys() - {SIGNATURE, "hash"}:
        return None  # of what was, the engine keeps the content to itself
    if kind == _ARCHIVE:
        return pulumi.FileArchive(signed["path"])  # the program has no others
    return pulumi.FileAsset(signed["path"]) if "path" in signed else pulumi.StringAsset(signed.get("text", ""))


def without_secret_marks(value: Any) -> Any:
    """The value without its secret marks, but still as it is sent: for a caller that does not know them."""
    if isinstance(value, Mapping):
        if _signed(value) in (SECRET, _OUTPUT):
            return without_secret_marks(value.get("value", UNKNOWN))
        return {name: without_secret_marks(inner) for name, inner in value.items()}
    return [without_secret_marks(inner) for inner in value] if isinstance(value, list) else value


def changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> frozenset[str]:
    """Properties that differ, top level. Archives are compared by what they hold; empty is as good as absent."""
    was, is_ = _comparable(before), _comparable(now)
    return frozenset(name for name in {*was, *is_} if was.get(name) != is_.get(name))


def _comparable(value: Any) -> Any:
    if isinstance(value, Mapping):
        kind = _signed(value)
        if kind in (SECRET, _OUTPUT):
            return _comparable(value.get("value", UNKNOWN))
        if kind in (_ARCHIVE, _ASSET):
            return value.get("hash") or value.get("path") or value.get("text")
        return {name: _comparable(inner) for name, inner in value.items() if inner is not None and name[:2] != "__"}
    return [_comparable(inner) for inner in value] if isinstance(value, list) else value


def _signed(value: Any) -> str | None:
    return value.get(SIGNATURE) if isinstance(value, Mapping) else None
