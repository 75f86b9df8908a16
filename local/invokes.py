"""What the program asks of AWS while it runs, answered for the emulated account: for both engines alike."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

from local import types


def _public_key(at: types.Surroundings, args: Mapping[str, Any]) -> dict[str, Any]:
    made = at.client("kms").get_public_key(KeyId=args["keyId"])
    text = base64.b64encode(made["PublicKey"]).decode()
    return {**args, "id": args["keyId"], "publicKey": text, "arn": made["KeyId"]}


ANSWERS: dict[str, Callable[[types.Surroundings, Mapping[str, Any]], dict[str, Any]]] = {
    "aws:index/getCallerIdentity:getCallerIdentity": lambda at, _: {
        "accountId": at.account_id, "arn": f"arn:aws:iam::{at.account_id}:root", "id": at.account_id,
        "userId": at.account_id,
    },
    "aws:index/getRegion:getRegion": lambda at, _: {"id": at.region, "region": at.region, "name": at.region},
    "aws:index/getPartition:getPartition": lambda _, __: {
        "id": "aws", "partition": "aws", "dnsSuffix": "amazonaws.com", "reverseDnsPrefix": "com.amazonaws"
    },
    "aws:kms/getPublicKey:getPublicKey": _public_key,
    "aws:ec2/getPrefixList:getPrefixList": lambda _, args: {**args, "id": "pl-63a5400a", "cidrBlocks": []},
    "aws:ec2/getManagedPrefixList:getManagedPrefixList": lambda _, args: {**args, "id": "pl-63a5400a", "entries": []},
}  # fmt: skip
