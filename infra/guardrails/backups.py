"""AWS Backup for the stores, in a separate vault with an optional lock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi_aws as aws
from pulumi import ComponentResource, Input, Output, Resource, ResourceOptions

from infra import settings
from infra.foundation.keys import Keys
from infra.iam import policies
from infra.naming.context import DataClass, StackContext

DAILY = "cron(0 5 ? * * *)"  # after RDS's backup and maintenance windows, 03:00 to 05:00
MONTHLY = "cron(0 6 1 * ? *)"
GRACE_DAYS = 3  # until a compliance lock becomes permanent; AWS's minimum
_POLICIES = ("AWSBackupServiceRolePolicyForBackup", "AWSBackupServiceRolePolicyForRestores")


@dataclass(frozen=True, kw_only=True)
class BackupsArgs:
    context: StackContext
    keys: Keys
    settings: settings.BackupSettings
    resources: Mapping[str, Input[str]]  # ARNs by label


class Backups(ComponentResource):
    """AWS Backup vault, and a plan for the database and the sessions table."""

    vault_arn: Output[str]

    def __init__(self, name: str, args: BackupsArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:guardrails:Backups", name, opts=opts)
        self._name, self._args, context = name, args, args.context
        vault = aws.backup.Vault(
            f"{name}-vault",
            name=context.physical_name("vault"),
            kms_key_arn=args.keys.data_arn,
            force_destroy=not context.prod,
            tags=context.tags("guardrails", DataClass.CONFIDENTIAL, "vault"),
            # AWS Backup deletes no vault with backups, and prod's backups must outlive the stack.
            opts=ResourceOptions(parent=self, protect=context.prod, retain_on_delete=context.prod),
        )
        self.vault_arn = vault.arn
        self._lock(vault)
        plan = aws.backup.Plan(
            f"{name}-plan",
            name=context.physical_name("backups"),
            rules=[
                _rule("daily", vault.name, DAILY, args.settings.daily_days),
                _rule("monthly", vault.name, MONTHLY, args.settings.monthly_days),
            ],
            tags=context.tags("guardrails", DataClass.NONE, "backups"),
            opts=ResourceOptions(parent=self),
        )
        role, ready = self._role()
        aws.backup.Selection(
            f"{name}-selection",
            name=context.physical_name("stores"),
            plan_id=plan.id,
            iam_role_arn=role.arn,
            resources=list(args.resources.values()),
            opts=ResourceOptions(parent=self, depends_on=ready),
        )
        self.register_outputs({"vault_arn": self.vault_arn})

    def _lock(self, vault: aws.backup.Vault) -> None:
        backup_settings = self._args.settings
        if backup_settings.vault_lock == "none":
            return
        aws.backup.VaultLockConfiguration(
            f"{self._name}-lock",
            backup_vault_name=vault.name,
            min_retention_days=backup_settings.daily_days,
            max_retention_days=backup_settings.monthly_days,
            changeable_for_days=GRACE_DAYS if backup_settings.vault_lock == "compliance" else None,
            # A vault has one lock, and every change replaces the lock. Deleted last, the old lock would remove the new
            # lock as well.
            opts=ResourceOptions(parent=self, delete_before_replace=True),
        )

    def _role(self) -> tuple[aws.iam.Role, list[Resource]]:
        context, child = self._args.context, ResourceOptions(parent=self)
        role = aws.iam.Role(
            f"{self._name}-role",
            name=context.physical_name("backup"),
            assume_role_policy=policies.trust_policy("backup.amazonaws.com"),
            tags=context.tags("guardrails", DataClass.NONE, "backup"),
            opts=child,
        )
        attached = [
            aws.iam.RolePolicyAttachment(
                f"{self._name}-{number}",
                role=role.name,
                # AWS managed policies: the rights that a backup needs differ per store, and change over time.
                policy_arn=f"arn:{context.partition}:iam::aws:policy/service-role/{policy}",
                opts=child,
            )
            for number, policy in enumerate(_POLICIES, start=1)
        ]
        return role, [*attached]


def _rule(label: str, vault: Output[str], schedule: str, keep_days: int) -> Any:
    return {
        "rule_name": label,
        "target_vault_name": vault,
        "schedule": schedule,
        "schedule_expression_timezone": "Etc/UTC",
        "start_window": 60,  # minutes
        "completion_window": 240,
        "lifecycle": {"delete_after": keep_days},
    }
