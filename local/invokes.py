"""Pulumi invokes (``aws.get_caller_identity`` and others) for the emulated account, used by both engines."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

from local import types


def _public_key(emulator: types.EmulatorContext, args: Mapping[str, Any]) -> dict[str, Any]:
    response = emulator.client("kms").get_public_key(KeyId=args["keyId"])
    text = base64.b64encode(response["PublicKey"]).decode()
    return {**args, "id": args["keyId"], "publicKey": text, "arn": response["KeyId"]}


def _caller_identity(emulator: types.EmulatorContext, _: Mapping[str, Any]) -> dict[str, Any]:
    account = emulator.account_id
    return {"accountId": account, "arn": f"arn:aws:iam::{account}:root", "id": account, "userId": account}


def _region(emulator: types.EmulatorContext, _: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": emulator.region, "region": emulator.region, "name": emulator.region}


def _partition(_: types.EmulatorContext, __: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": "aws", "partition": "aws", "dnsSuffix": "amazonaws.com", "reverseDnsPrefix": "com.amazonaws"}


# Results by function token.
FUNCTIONS: dict[str, Callable[[types.EmulatorContext, Mapping[str, Any]], dict[str, Any]]] = {
    "aws:index/getCallerIdentity:getCallerIdentity": _caller_identity,
    "aws:index/getRegion:getRegion": _region,
    "aws:index/getPartition:getPartition": _partition,
    "aws:kms/getPublicKey:getPublicKey": _public_key,
    "aws:ec2/getPrefixList:getPrefixList": lambda _, args: {**args, "id": "pl-63a5400a", "cidrBlocks": []},
    "aws:ec2/getManagedPrefixList:getManagedPrefixList": lambda _, args: {**args, "id": "pl-63a5400a", "entries": []},
}


def unknown_function(token: str) -> str:
    """Return the error text for a function that the program invokes and ``FUNCTIONS`` does not have."""
    return f"the program invokes {token}, which has no local implementation; add one to FUNCTIONS in local.invokes"
