"""DynamoDB's items as plain values, and back; and what its refusals mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

from infrafabric.swarm.session import Status, TaskResult

_encode = TypeSerializer().serialize
_decode = TypeDeserializer().deserialize


def message(message_id: str) -> str:
    return f"MSG#{message_id.rsplit('/', 1)[-1]}"


def key(session_id: str, sk: str) -> dict[str, Any]:
    return encoded({"pk": session_id, "sk": sk})


def encoded(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _encode(str(value) if isinstance(value, Status) else value) for name, value in values.items()}


def plain(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _decode(value) for name, value in item.items()}


def task(item: Mapping[str, Any]) -> TaskResult:
    numbers = ("attempt", "tokens_in", "tokens_out", "cost_nusd")
    fields: dict[str, Any] = {name: item[name] for name in TaskResult.__dataclass_fields__}
    return TaskResult(**{**fields, **{name: int(item[name]) for name in numbers}})


def refusal(reason: Mapping[str, Any]) -> dict[str, Any] | None:
    if reason.get("Code", "None") == "None":
        return None
    return plain(reason.get("Item") or {})


def may_pass(error: ClientError, codes: list[str]) -> bool:
    passing = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}
    conflict = error.response["Error"]["Code"] in ("TransactionConflictException", "TransactionInProgressException")
    return conflict or bool(passing.intersection(codes))
