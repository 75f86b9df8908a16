"""Lease table of one agent: which message an invocation works on, and which requests were cancelled."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi_aws as aws
from pulumi import ComponentResource, Output, ResourceOptions

from infra.foundation.keys import Keys
from infra.iam.grants import Role
from infra.naming.context import DataClass, StackContext
from infrafabric.swarm import table_keys


@dataclass(frozen=True, kw_only=True)
class LeaseTableArgs:
    context: StackContext
    keys: Keys
    agent: str


def label_of(agent: str) -> str:
    """Return the name of an agent's lease table, without the stack."""
    return f"leases-{agent}"


def grant_read_breakers(role: Role, context: StackContext) -> None:
    """Grant reading the rows of all agents' circuit breakers.

    One pattern, because a statement for each of 99 tables would be more than an inline policy holds.
    """
    tables = context.arn("dynamodb", f"table/{context.physical_name(label_of('h*'))}")
    role.allow("ReadBreakers", "dynamodb:BatchGetItem", on=tables)


class LeaseTable(ComponentResource):
    """DynamoDB table with an item per message, which is worth nothing once the message is gone.

    It is not replicated: a lease means something in its own region only. It has no backups, and no protection, which
    would keep an agent from being removed.
    """

    table_name: Output[str]

    def __init__(self, name: str, args: LeaseTableArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:swarm:LeaseTable", name, opts=opts)
        self._keys, label = args.keys, label_of(args.agent)
        self._table = aws.dynamodb.Table(
            f"{name}-table",
            name=args.context.physical_name(label),
            billing_mode="PAY_PER_REQUEST",
            hash_key=table_keys.PARTITION_KEY,
            attributes=[{"name": table_keys.PARTITION_KEY, "type": "S"}],
            ttl={"attribute_name": "expires_at", "enabled": True},
            server_side_encryption={"enabled": True, "kms_key_arn": args.keys.data_arn},
            tags=args.context.tags("agents", DataClass.NONE, label),
            opts=ResourceOptions(parent=self),
        )
        self.table_name = self._table.name
        self.register_outputs({"table_name": self.table_name})

    def grant_lease(self, role: Role) -> None:
        """Grant leasing, putting back and cancelling messages, and the row of the agent's circuit breaker."""
        role.allow("Lease", "dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:UpdateItem", on=self._table.arn)
        self._keys.grant_use(role, "dynamodb")
