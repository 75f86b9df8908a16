"""AWS Backup: vaults, plans and selections."""

from __future__ import annotations

from typing import Any

from local.types.arguments import arguments
from local.types.definition import ResourceType, resource
from local.types.request import CreatedResource, ResourceRequest


@resource("aws:backup/vault:Vault")
class BackupVault(ResourceType):
    """Backup vault."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        name = request.physical_name()
        response = request.client("backup").create_backup_vault(
            BackupVaultName=name,
            BackupVaultTags=request.tag_map(),
            **arguments(request.inputs, EncryptionKeyArn="kmsKeyArn"),
        )
        return CreatedResource(name, {"arn": response["BackupVaultArn"], "name": name})


@resource("aws:backup/plan:Plan")
class BackupPlan(ResourceType):
    """Backup plan."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        rules = [_rule(rule) for rule in request.inputs["rules"]]
        response = request.client("backup").create_backup_plan(
            BackupPlan={"BackupPlanName": request.physical_name(), "Rules": rules}, BackupPlanTags=request.tag_map()
        )
        return CreatedResource(
            response["BackupPlanId"], {"arn": response["BackupPlanArn"], "version": response["VersionId"]}
        )


@resource("aws:backup/selection:Selection")
class BackupSelection(ResourceType):
    """Selection of resources for a backup plan."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        selection = {
            "SelectionName": request.physical_name(),
            "IamRoleArn": request.inputs["iamRoleArn"],
            "Resources": request.inputs["resources"],
        }
        response = request.client("backup").create_backup_selection(
            BackupPlanId=request.inputs["planId"], BackupSelection=selection
        )
        return CreatedResource(response["SelectionId"])


def _rule(rule: dict[str, Any]) -> dict[str, Any]:
    life = rule.get("lifecycle") or {}
    return {
        "RuleName": rule["ruleName"],
        "TargetBackupVaultName": rule["targetVaultName"],
        **arguments(
            rule,
            ScheduleExpression="schedule",
            ScheduleExpressionTimezone="scheduleExpressionTimezone",
            StartWindowMinutes="startWindow",
            CompletionWindowMinutes="completionWindow",
        ),
        "Lifecycle": arguments(life, DeleteAfterDays="deleteAfter", MoveToColdStorageAfterDays="coldStorageAfter"),
    }
