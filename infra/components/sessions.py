"""Sessions: one DynamoDB table for what runs now, from the session's budget to the last task's status."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi_aws as aws
from pulumi import ComponentResource, Output, ResourceOptions

from infra.components.keys import Keys
from infra.grants import Role
from infra.place import DataClass, Place

BY_CREATED = "by_created"  # index: listing → created, for "newest first"


@dataclass(frozen=True, kw_only=True)
class SessionsArgs:
    place: Place
    keys: Keys


class Sessions(ComponentResource):
    """The table: partition ``pk`` is the session, ``sk`` what of it."""

    table_name: Output[str]
    table_arn: Output[str]

    def __init__(self, name: str, args: SessionsArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:storage:Sessions", name, opts=opts)
        self._keys = args.keys
        table = aws.dynamodb.Table(
            f"{name}-table",
            name=args.place.named("sessions"),
            billing_mode="PAY_PER_REQUEST",
            hash_key="pk",
            range_key="sk",
            attributes=[{"name": key, "type": "S"} for key in ("pk", "sk", "listing", "created")],
            global_secondary_indexes=[
                {"name": BY_CREATED, "hash_key": "listing", "range_key": "created", "projection_type": "ALL"}
            ],
            ttl={"attribute_name": "expires_at", "enabled": True},
            point_in_time_recovery={"enabled": True},
            server_side_encryption={"enabled": True, "kms_key_arn": args.keys.data_arn},
            deletion_protection_enabled=args.place.prod,
            tags=args.place.tags("sessions", DataClass.CONFIDENTIAL, "sessions"),
            opts=ResourceOptions(parent=self, protect=args.place.prod),
        )
        self.table_name, self.table_arn = table.name, table.arn
        self.register_outputs({"table_name": self.table_name, "table_arn": self.table_arn})

    # A transaction is authorised by the actions of its items: there is no permission for TransactWriteItems itself.

    def grant_work(self, role: Role) -> None:
        """An agent's part: reserve and settle budget, claim a task, record its status."""
        self._allow(role, "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem")

    def grant_coordinate(self, role: Role) -> None:
        """The coordinator's part: an agent's, and all tasks of a session at once."""
        self._allow(role, "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:UpdateItem")

    def grant_serve(self, role: Role) -> None:
        """The API's part: make a session, cancel it, show it and its tasks, list them."""
        self._allow(role, "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:UpdateItem")
        role.allow("ListSessions", "dynamodb:Query", on=Output.concat(self.table_arn, "/index/", BY_CREATED))

    def grant_watch(self, role: Role) -> None:
        """The watchdog's part: list sessions, end lost ones, read what an unstarted one was asked to do."""
        self._allow(role, "dynamodb:GetItem", "dynamodb:UpdateItem")
        role.allow("ListSessions", "dynamodb:Query", on=Output.concat(self.table_arn, "/index/", BY_CREATED))

    def _allow(self, role: Role, *actions: str) -> None:
        role.allow("Sessions", *actions, on=self.table_arn)
        self._keys.grant_use(role, "dynamodb")
