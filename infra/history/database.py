"""PostgreSQL on RDS for the history of sessions; in a standby, a cross-region replica."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi_aws as aws
from pulumi import ComponentResource, Output, Resource, ResourceOptions

from infra import settings
from infra.foundation.foundation import Foundation
from infra.iam.grants import Role
from infra.naming.context import DataClass
from infra.network.attachment import Attachment
from infra.network.isolation import POSTGRES_PORT as PORT
from infra.network.network import Network

DB_NAME = "infrafabric"
# From 400 GB on RDS stripes gp3 over four volumes, and the higher baseline is free. An update across 400 GB must set
# the baseline explicitly; otherwise the provider sends the IOPS of one volume, which RDS refuses
# (hashicorp/terraform-provider-aws#28382). Below 400 GB RDS accepts neither argument.
STRIPED_FROM_GB = 400
STRIPED = {"iops": 12_000, "storage_throughput": 500}  # throughput in MiB/s
MASTER_USER = (
    "ifadmin"  # only the migrator signs in as this user; other functions use IAM tokens and users from the migrations
)
RECORDER_USER = "recorder"
LOG_EXPORTS = ("postgresql", "upgrade")
# RDS reports pending-reboot for every parameter with its default value, so apply_method "immediate" would show as a
# change in every preview (hashicorp/terraform-provider-aws#39252). force_ssl is on by default since PostgreSQL 15.
PARAMETERS: tuple[aws.rds.ParameterGroupParameterArgsDict, ...] = (
    {"name": "rds.force_ssl", "value": "1", "apply_method": "pending-reboot"},
    {"name": "log_statement", "value": "ddl"},
    {"name": "log_min_duration_statement", "value": "1000"},  # ms
)


@dataclass(frozen=True, kw_only=True)
class ReplicaSource:
    """Primary database of a replica, in the primary's region."""

    arn: Output[str]
    secret_arn: Output[str]  # replica of the master user's secret in this region


@dataclass(frozen=True, kw_only=True)
class DatabaseArgs:
    foundation: Foundation
    network: Network
    settings: settings.DatabaseSettings
    password: Output[str] | None  # a secret; set if database.password is 'secret'
    recovery_region: str | None = None  # region of a replica of the master user's secret
    source: ReplicaSource | None = None  # standby only


class Database(ComponentResource):
    """RDS PostgreSQL instance in isolated subnets, reachable only by the functions passed to ``allow_from``."""

    host: Output[str]
    port: Output[int]
    master_secret_arn: Output[str]
    instance: aws.rds.Instance

    def __init__(self, name: str, args: DatabaseArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:storage:Database", name, opts=opts)
        self._name, self._args = name, args
        self._group = aws.ec2.SecurityGroup(
            f"{name}-group",
            name=args.foundation.context.physical_name("database"),
            description="PostgreSQL from the functions that were let in",
            vpc_id=args.network.vpc_id,
            tags=self._tags(DataClass.NONE),
            opts=ResourceOptions(parent=self),
        )
        self.instance = self._instance()
        self.host, self.port = self.instance.address, self.instance.port
        self.master_secret_arn = self._master_secret_arn()
        self.register_outputs({"host": self.host, "port": self.port})

    def environment(self, user: str) -> dict[str, Any]:
        """Return the fields of ``DatabaseEnvironment`` for a function that signs in as ``user``."""
        port = self.port.apply(str)
        return {
            "db_host": self.host,
            "db_port": port,
            "db_name": DB_NAME,
            "db_user": user,
            "db_root_cert": self._args.settings.root_cert,
        }

    def allow_from(self, attachment: Attachment, parent: Resource) -> None:
        """Let the function of ``attachment`` reach the database port."""
        attachment.reach("database", self._group.id, PORT, parent)

    def grant_connect(self, role: Role, db_user: str) -> None:
        """Grant signing in as ``db_user`` with an IAM token."""
        user = self.instance.resource_id.apply(lambda resource: f"dbuser:{resource}/{db_user}")
        role.allow(
            "Connect", "rds-db:connect", on=user.apply(lambda text: self._args.foundation.context.arn("rds-db", text))
        )

    def grant_read_master_secret(self, role: Role) -> None:
        """Grant reading the master user's password."""
        role.allow("ReadMasterSecret", "secretsmanager:GetSecretValue", on=self.master_secret_arn)
        self._args.foundation.keys.grant_use(role, "secretsmanager")

    def _instance(self) -> aws.rds.Instance:
        args, context, settings = self._args, self._args.foundation.context, self._args.settings
        major = settings.engine_version.split(".")[0]
        identifier = context.physical_name("database")
        last_snapshot = context.prod and not self._is_replica  # RDS refuses a final snapshot of a replica
        return aws.rds.Instance(
            f"{self._name}-instance",
            identifier=identifier,
            engine="postgres",
            **self._data_arguments(),
            # A pinned minor version stays: after an automatic upgrade every update would request a downgrade, and fail.
            auto_minor_version_upgrade="." not in settings.engine_version,
            instance_class=settings.instance_class,
            port=PORT,
            storage_type="gp3",
            max_allocated_storage=settings.max_storage_gb,
            storage_encrypted=True,
            kms_key_id=args.foundation.keys.data_arn,
            multi_az=settings.multi_az,
            db_subnet_group_name=self._subnet_group().name,
            vpc_security_group_ids=[self._group.id],
            publicly_accessible=False,
            iam_database_authentication_enabled=True,
            parameter_group_name=self._parameters(major).name,
            enabled_cloudwatch_logs_exports=list(LOG_EXPORTS),
            database_insights_mode="standard",
            performance_insights_enabled=True,
            performance_insights_kms_key_id=args.foundation.keys.data_arn,
            performance_insights_retention_period=7,  # days; the free retention
            backup_retention_period=settings.backup_days,
            backup_window="03:00-04:00",
            maintenance_window="sun:04:00-sun:05:00",
            copy_tags_to_snapshot=True,
            delete_automated_backups=not context.prod,
            # RDS ignores deletion protection when a replica is created; the next update switches it on
            # (hashicorp/terraform-provider-aws#6011).
            deletion_protection=settings.deletion_protection,
            skip_final_snapshot=not last_snapshot,
            # A constant name, because a name with a timestamp would show a change in every preview.
            final_snapshot_identifier=f"{identifier}-final" if last_snapshot else None,
            # Prod waits for the weekly maintenance window, except after a promotion, when the other region is down.
            apply_immediately=not context.prod or settings.promoted,
            tags=self._tags(DataClass.CONFIDENTIAL),
            opts=ResourceOptions(parent=self, protect=context.prod, depends_on=self._log_groups(identifier)),
        )

    @property
    def _is_replica(self) -> bool:
        """True until a replica is promoted."""
        return self._args.source is not None and not self._args.settings.promoted

    def _data_arguments(self) -> Mapping[str, Any]:
        """Return the arguments that decide about the data: a new database, or a replica of ``source``.

        A promoted replica no longer follows its source; arguments inherited from the source stay and must not be set.
        """
        settings, source = self._args.settings, self._args.source
        if source:
            return {"replicate_source_db": source.arn} if self._is_replica else {}
        arguments = {
            "engine_version": settings.engine_version,
            "allow_major_version_upgrade": True,  # only a changed engineVersion in the settings upgrades
            # RDS would enable extended support for an old major version by default, and bill it per vCPU and hour.
            "engine_lifecycle_support": "open-source-rds-extended-support-disabled",
            "db_name": DB_NAME,
            "username": MASTER_USER,
            "allocated_storage": settings.storage_gb,
            **(STRIPED if settings.storage_gb >= STRIPED_FROM_GB else {}),
        }
        if settings.password == "secret":  # noqa: S105
            return {**arguments, "password": self._args.password}
        return {
            **arguments,
            "manage_master_user_password": True,
            "master_user_secret_kms_key_id": self._args.foundation.keys.data_arn,
        }

    def _master_secret_arn(self) -> Output[str]:
        if self._args.source:
            return self._args.source.secret_arn
        if self._args.settings.password == "secret":  # noqa: S105
            return self._own_secret()
        return self.instance.master_user_secrets.apply(_managed_secret)

    def _own_secret(self) -> Output[str]:
        """Store the master user's password as JSON with the keys of an RDS-managed secret."""
        args, child = self._args, ResourceOptions(parent=self)
        secret = aws.secretsmanager.Secret(
            f"{self._name}-master",
            name=args.foundation.context.physical_name("database-master"),
            description="Master user of the database",
            kms_key_id=args.foundation.keys.data_arn,
            recovery_window_in_days=args.foundation.keys.secret_recovery_days,
            replicas=args.foundation.keys.secret_replicas(args.recovery_region),
            tags=self._tags(DataClass.SECRET),
            opts=child,
        )
        # A secret Output, because the password is one.
        value = Output.json_dumps({"username": MASTER_USER, "password": args.password})
        version = aws.secretsmanager.SecretVersion(
            f"{self._name}-master-value", secret_id=secret.id, secret_string=value, opts=child
        )
        return version.secret_arn

    def _subnet_group(self) -> aws.rds.SubnetGroup:
        return aws.rds.SubnetGroup(
            f"{self._name}-subnets",
            name=self._args.foundation.context.physical_name("database"),
            description="Isolated subnets",
            subnet_ids=self._args.network.database_subnet_ids,
            tags=self._tags(DataClass.NONE),
            opts=ResourceOptions(parent=self),
        )

    def _parameters(self, major: str) -> aws.rds.ParameterGroup:
        return aws.rds.ParameterGroup(
            f"{self._name}-parameters",
            # A major upgrade creates a second group.
            name=self._args.foundation.context.physical_name(f"postgres{major}"),
            family=f"postgres{major}",
            description="TLS only; schema changes and slow statements logged",
            parameters=list(PARAMETERS),
            # Prod upgrades in its maintenance window, days after the deployment, and uses the old group until then.
            skip_destroy=self._args.foundation.context.prod,
            tags=self._tags(DataClass.NONE),
            # Pulumi would delete a named resource before its replacement, and RDS refuses to delete a group in use. The
            # replacement has another name, so the replacement can come first.
            opts=ResourceOptions(parent=self, delete_before_replace=False),
        )

    def _log_groups(self, identifier: str) -> list[Resource]:
        """Declare the log groups before RDS creates log groups without a retention."""
        return [
            aws.cloudwatch.LogGroup(
                f"{self._name}-log-{export}",
                name=f"/aws/rds/instance/{identifier}/{export}",
                retention_in_days=self._args.foundation.log_retention_days,
                kms_key_id=self._args.foundation.keys.data_arn,
                tags=self._tags(DataClass.INTERNAL),
                opts=ResourceOptions(parent=self),
            )
            for export in LOG_EXPORTS
        ]

    def _tags(self, data: DataClass) -> dict[str, str]:
        return self._args.foundation.context.tags("database", data, "database")


def _managed_secret(secrets: Sequence[aws.rds.outputs.InstanceMasterUserSecret]) -> str:
    """Return the ARN of the RDS-managed secret; empty if RDS has none yet.

    A preview of the change to a managed password still sees the state before the update.
    """
    return secrets[0].secret_arn or "" if secrets else ""
