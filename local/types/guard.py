"""What watches an account: CloudTrail, Budgets, Backup, Config."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from local.types import Declared, Made, creates, given, pascal, put_again


@creates("aws:cloudtrail/trail:Trail")
def trail(it: Declared) -> Made:
    name, client = it.physical(), it.client("cloudtrail")
    made = client.create_trail(
        Name=name,
        TagsList=it.tags(),
        **given(
            it.inputs, S3BucketName="s3BucketName", KmsKeyId="kmsKeyId", IsMultiRegionTrail="isMultiRegionTrail",
            IncludeGlobalServiceEvents="includeGlobalServiceEvents",
            EnableLogFileValidation="enableLogFileValidation",
        ),
    )  # fmt: skip
    if it.inputs.get("enableLogging", True):
        client.start_logging(Name=name)
    return Made(made["TrailARN"], {"arn": made["TrailARN"], "name": name})


@creates("aws:budgets/budget:Budget")
def budget(it: Declared) -> Made:
    name, account = it.physical(), it.at.account_id
    it.client("budgets").create_budget(
        AccountId=account,
        Budget={
            "BudgetName": name,
            "BudgetType": it.inputs["budgetType"],
            "TimeUnit": it.inputs["timeUnit"],
            "BudgetLimit": {"Amount": it.inputs["limitAmount"], "Unit": it.inputs["limitUnit"]},
            **({"FilterExpression": _expression(it.inputs["filterExpression"])} if it.inputs.get("metrics") else {}),
            **({"Metrics": [it.inputs["metrics"]]} if it.inputs.get("metrics") else {}),
        },
        NotificationsWithSubscribers=[_notice(notice) for notice in it.inputs.get("notifications") or []],
    )
    return Made(f"{account}:{name}", {"arn": it.arn("budgets", f"budget/{name}", regional=False), "name": name})


def _expression(given: dict[str, Any]) -> dict[str, Any]:
    """A filter of costs: ``ands`` and ``ors`` are And and Or in the API, the rest is spelt alike."""
    lists = {"ands": "And", "ors": "Or"}
    inner = {lists[key]: [_expression(each) for each in given[key]] for key in lists if given.get(key)}
    return {**inner, **pascal({key: value for key, value in given.items() if key not in lists})}


def _notice(notice: dict[str, Any]) -> dict[str, Any]:
    topics = [{"SubscriptionType": "SNS", "Address": arn} for arn in notice.get("subscriberSnsTopicArns") or []]
    emails = [{"SubscriptionType": "EMAIL", "Address": to} for to in notice.get("subscriberEmailAddresses") or []]
    kept = {
        key: value for key, value in notice.items() if key not in ("subscriberSnsTopicArns", "subscriberEmailAddresses")
    }
    return {"Notification": pascal(kept), "Subscribers": [*topics, *emails]}


@creates("aws:backup/vault:Vault")
def vault(it: Declared) -> Made:
    name = it.physical()
    made = it.client("backup").create_backup_vault(
        BackupVaultName=name, BackupVaultTags=it.tag_map(), **given(it.inputs, EncryptionKeyArn="kmsKeyArn")
    )
    return Made(name, {"arn": made["BackupVaultArn"], "name": name})


@creates("aws:backup/plan:Plan")
def plan(it: Declared) -> Made:
    rules = [_rule(rule) for rule in it.inputs["rules"]]
    made = it.client("backup").create_backup_plan(
        BackupPlan={"BackupPlanName": it.physical(), "Rules": rules}, BackupPlanTags=it.tag_map()
    )
    return Made(made["BackupPlanId"], {"arn": made["BackupPlanArn"], "version": made["VersionId"]})


def _rule(rule: dict[str, Any]) -> dict[str, Any]:
    life = rule.get("lifecycle") or {}
    return {
        "RuleName": rule["ruleName"],
        "TargetBackupVaultName": rule["targetVaultName"],
        **given(
            rule, ScheduleExpression="schedule", ScheduleExpressionTimezone="scheduleExpressionTimezone",
            StartWindowMinutes="startWindow", CompletionWindowMinutes="completionWindow",
        ),
        "Lifecycle": given(life, DeleteAfterDays="deleteAfter", MoveToColdStorageAfterDays="coldStorageAfter"),
    }  # fmt: skip


@creates("aws:backup/selection:Selection")
def selection(it: Declared) -> Made:
    wanted = {
        "SelectionName": it.physical(), "IamRoleArn": it.inputs["iamRoleArn"], "Resources": it.inputs["resources"]
    }  # fmt: skip
    made = it.client("backup").create_backup_selection(BackupPlanId=it.inputs["planId"], BackupSelection=wanted)
    return Made(made["SelectionId"])


@creates("aws:cfg/recorder:Recorder", update=put_again)
def recorder(it: Declared) -> Made:
    name = it.physical()
    group = it.inputs.get("recordingGroup") or {}
    wanted = {"name": name, "roleARN": it.inputs["roleArn"]}
    if group:
        wanted["recordingGroup"] = given(
            group, allSupported="allSupported", includeGlobalResourceTypes="includeGlobalResourceTypes"
        )
    it.client("config").put_configuration_recorder(ConfigurationRecorder=wanted)
    return Made(name, {"name": name})


@creates("aws:cfg/deliveryChannel:DeliveryChannel", update=put_again)
def channel(it: Declared) -> Made:
    name, every = it.physical(), it.inputs.get("snapshotDeliveryProperties") or {}
    wanted = {"name": name, **given(it.inputs, s3BucketName="s3BucketName", s3KeyPrefix="s3KeyPrefix")}
    if every:
        wanted["configSnapshotDeliveryProperties"] = given(every, deliveryFrequency="deliveryFrequency")
    it.client("config").put_delivery_channel(DeliveryChannel=wanted)
    return Made(name, {"name": name})


@creates("aws:cfg/recorderStatus:RecorderStatus", update=put_again)
def recorder_status(it: Declared) -> Made:
    name = it.physical()
    if it.inputs["isEnabled"]:
        it.client("config").start_configuration_recorder(ConfigurationRecorderName=name)
    return Made(name)


@creates("aws:iam/openIdConnectProvider:OpenIdConnectProvider")
def oidc_provider(it: Declared) -> Made:
    iam, url = it.client("iam"), it.inputs["url"]
    try:
        made = iam.create_open_id_connect_provider(Url=url, ClientIDList=it.inputs["clientIdLists"], Tags=it.tags())
    except ClientError as error:
        if error.response["Error"]["Code"] != "EntityAlreadyExists":
            raise
        made = {"OpenIDConnectProviderArn": it.arn("iam", f"oidc-provider/{url.split('//')[-1]}", regional=False)}
    return Made(made["OpenIDConnectProviderArn"], {"arn": made["OpenIDConnectProviderArn"]})
