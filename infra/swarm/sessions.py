"""Sessions: one DynamoDB table for what runs now, from the session's budget to the last task's status."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi_aws as aws
from pulumi import ComponentResource, Output, ResourceOptions

from infra.foundation.keys import Keys
from infra.iam.grants import Role
from infra.naming.context import DataClass, StackContext
from infrafabric.swarm.session import ORDERS

BY_CREATED = "by_created"  # index: listing → created, for "newest first"


@dataclass(frozen=True, kw_only=True)
class SessionsArgs:
    context: StackContext
    keys: Keys
    recovery_region: str | None = None  # where the table has a replica
    replica_name: Output[str] | None = None  # a standby's: its primary's table, whose replica is in this region


class Sessions(ComponentResource):
    """The table: partition ``pk`` is the session, ``sk`` what of it."""

    table_name: Output[str]
    table_arn: Output[str]

    def __init__(self, name: str, args: SessionsArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:storage:Sessions", name, opts=opts)
        self._keys, context = args.keys, args.context
        if args.replica_name is not None:
            self.table_name = args.replica_name
            self.table_arn = args.replica_name.apply(lambda table: context.arn("dynamodb", f"table/{table}"))
        else:
            table = self._table(name, args)
            self.table_name, self.table_arn = table.name, table.arn
        self.register_outputs({"table_name": self.table_name, "table_arn": self.table_arn})

    def _table(self, name: str, args: SessionsArgs) -> aws.dynamodb.Table:
        return aws.dynamodb.Table(
            f"{name}-table",
            name=args.context.physical_name("sessions"),
            billing_mode="PAY_PER_REQUEST",
            hash_key="pk",
            range_key="sk",
            attributes=[{"name": key, "type": "S"} for key in ("pk", "sk", "listing", "created")],
            global_secondary_indexes=[
                {
                    "name": BY_CREATED,
                    "key_schemas": [
                        {"attribute_name": "listing", "key_type": "HASH"},
                        {"attribute_name": "created", "key_type": "RANGE"},
                    ],
                    "projection_type": "ALL",
                }
            ],
            # What a replica is fed from. On without one too, which costs nothing while nobody reads it: the provider
            # would switch it off before it removes the replica, which DynamoDB refuses
            # (hashicorp/terraform-provider-aws#34450).
            stream_enabled=True,
            stream_view_type="NEW_AND_OLD_IMAGES",
            replicas=[self._replica(args.recovery_region, args.context)] if args.recovery_region else None,
            ttl={"attribute_name": "expires_at", "enabled": True},
            point_in_time_recovery={"enabled": True},
            server_side_encryption={"enabled": True, "kms_key_arn": args.keys.data_arn},
            deletion_protection_enabled=args.context.prod,
            tags=args.context.tags("sessions", DataClass.CONFIDENTIAL, "sessions"),
            opts=ResourceOptions(parent=self, protect=args.context.prod),
        )

    def _replica(self, region: str, context: StackContext) -> aws.dynamodb.TableReplicaArgsDict:
        return {
            "region_name": region,
            "kms_key_arn": self._keys.copied_data_arn,
            "point_in_time_recovery": True,
            # As for the table: a dev stack can be destroyed together with its data.
            "deletion_protection_enabled": context.prod,
            "propagate_tags": True,
        }

    # A transaction is authorised by the actions of its items: there is no permission for TransactWriteItems itself.

    def grant_process_tasks(self, role: Role) -> None:
        """An agent's part: reserve and settle budget, claim a task, record its status.

        Not the orders: the watchdog has the coordinator work whatever order it finds.
        """
        no_order = {"ForAllValues:StringNotLike": {"dynamodb:LeadingKeys": [f"{ORDERS}*"]}}
        self._allow(role, "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem", when=no_order)

    def grant_coordinate(self, role: Role) -> None:
        """The coordinator's part: an agent's, and all tasks of a session at once."""
        self._allow(role, "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:UpdateItem")

    def grant_serve_api(self, role: Role) -> None:
        """The API's part: make a session, cancel it, show it and its tasks, list them."""
        self._allow(role, "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:UpdateItem")
        role.allow("ListSessions", "dynamodb:Query", on=Output.concat(self.table_arn, "/index/", BY_CREATED))

    def grant_watch(self, role: Role) -> None:
        """The watchdog's part: list sessions, end lost ones, read what an unstarted one was asked to do."""
        self._allow(role, "dynamodb:GetItem", "dynamodb:UpdateItem")
        role.allow("ListSessions", "dynamodb:Query", on=Output.concat(self.table_arn, "/index/", BY_CREATED))

    def _allow(self, role: Role, *actions: str, when: Mapping[str, Any] | None = None) -> None:
        role.allow("Sessions", *actions, on=self.table_arn, when=when)
        self._keys.grant_use(role, "dynamodb")
