"""Sessions table: DynamoDB table with the state of running sessions, from the budget to each round's results."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi_aws as aws
from pulumi import ComponentResource, Output, ResourceOptions

from infra.foundation.keys import Keys
from infra.iam.grants import Role
from infra.naming.context import DataClass, StackContext
from infrafabric.swarm import table_keys


@dataclass(frozen=True, kw_only=True)
class SessionsArgs:
    context: StackContext
    keys: Keys
    recovery_region: str | None = None  # region of a replica of the table
    replica_name: Output[str] | None = None  # standby only: the primary's table, which has a replica in this region


class Sessions(ComponentResource):
    """DynamoDB table of sessions; ``pk`` is the session, ``sk`` is the kind of item."""

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
            hash_key=table_keys.PARTITION_KEY,
            range_key=table_keys.SORT_KEY,
            attributes=[
                {"name": key, "type": "S"}
                for key in (
                    table_keys.PARTITION_KEY,
                    table_keys.SORT_KEY,
                    table_keys.INDEX_PARTITION_KEY,
                    table_keys.INDEX_SORT_KEY,
                    table_keys.OWNER_KEY,
                )
            ],
            global_secondary_indexes=[
                {
                    "name": index,
                    "key_schemas": [
                        {"attribute_name": partition_key, "key_type": "HASH"},
                        {"attribute_name": table_keys.INDEX_SORT_KEY, "key_type": "RANGE"},
                    ],
                    "projection_type": "ALL",
                }
                for index, partition_key in (
                    (table_keys.INDEX, table_keys.INDEX_PARTITION_KEY),
                    (table_keys.OWNER_INDEX, table_keys.OWNER_KEY),
                )
            ],
            # Replication reads the stream. The stream is on even without a replica, which costs nothing while unread:
            # the provider would switch the stream off before it removes the replica, and DynamoDB refuses that order
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

    # IAM authorises a transaction by the actions of its items; TransactWriteItems has no permission of its own.

    # No agent's role has any right here: whoever writes the items of a session decides what is believed, paid and done.

    def grant_coordinate(self, role: Role) -> None:
        """Grant the coordinator's work: the state of sessions, their rounds and their money."""
        self._allow(role, "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:UpdateItem")

    def grant_serve_api(self, role: Role) -> None:
        """Grant the API's work: create, cancel, read and list sessions."""
        self._allow(role, "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query", "dynamodb:UpdateItem")
        self._allow_listing(role, table_keys.INDEX, table_keys.OWNER_INDEX)

    def grant_watch(self, role: Role) -> None:
        """Grant the watchdog's work: list sessions, end lost sessions, read the order of an unstarted session."""
        self._allow(role, "dynamodb:GetItem", "dynamodb:UpdateItem")
        self._allow_listing(role, table_keys.INDEX)

    def _allow_listing(self, role: Role, *indexes: str) -> None:
        for index in indexes:
            role.allow("ListSessions", "dynamodb:Query", on=Output.concat(self.table_arn, "/index/", index))

    def _allow(self, role: Role, *actions: str) -> None:
        role.allow("Sessions", *actions, on=self.table_arn)
        self._keys.grant_use(role, "dynamodb")
