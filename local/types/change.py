"""How a resource that stands is changed in place: its new inputs are at hand, and which of them differ from before.

What AWS has one call for, first time or not, needs nothing here: its creator is marked ``update=put_again``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from local.types import Standing, changes, compute, edge, given, messaging, security, storage


@changes("aws:sqs/queue:Queue")
def queue(it: Standing) -> Mapping[str, Any]:
    attributes = messaging.queue_attributes(it)
    it.client("sqs").set_queue_attributes(QueueUrl=it.id, Attributes=attributes)
    return {}


@changes("aws:sns/topic:Topic")
def topic(it: Standing) -> Mapping[str, Any]:
    for name, value in messaging.topic_attributes(it).items():
        if name != "FifoTopic":
            it.client("sns").set_topic_attributes(TopicArn=it.id, AttributeName=name, AttributeValue=value)
    return {}


@changes("aws:sns/topicSubscription:TopicSubscription")
def subscription(it: Standing) -> Mapping[str, Any]:
    for name, value in messaging.subscription_attributes(it).items():
        it.client("sns").set_subscription_attributes(SubscriptionArn=it.id, AttributeName=name, AttributeValue=value)
    return {}


@changes("aws:lambda/function:Function")
def function(it: Standing) -> Mapping[str, Any]:
    client, publish = it.client("lambda"), bool(it.inputs.get("publish"))
    if "code" in it.changed:
        client.update_function_code(FunctionName=it.id, ZipFile=compute.zipped_code(it))
    client.update_function_configuration(FunctionName=it.id, **compute.function_configuration(it))
    version = client.publish_version(FunctionName=it.id)["Version"] if publish else "$LATEST"
    return compute.function_outputs(it, it.id, version)


@changes("aws:lambda/alias:Alias")
def alias(it: Standing) -> Mapping[str, Any]:
    name = compute.function_name(it.inputs["functionName"])
    it.client("lambda").update_alias(
        FunctionName=name, Name=it.inputs["name"], FunctionVersion=it.inputs["functionVersion"]
    )
    return {}


@changes("aws:lambda/eventSourceMapping:EventSourceMapping")
def event_source_mapping(it: Standing) -> Mapping[str, Any]:
    scaling = {"ScalingConfig": {"MaximumConcurrency": it.inputs["scalingConfig"]["maximumConcurrency"]}}
    it.client("lambda").update_event_source_mapping(
        UUID=it.id,
        FunctionName=it.inputs["functionName"],
        Enabled=it.inputs.get("enabled", True),
        **given(
            it.inputs, BatchSize="batchSize", MaximumBatchingWindowInSeconds="maximumBatchingWindowInSeconds",
            FunctionResponseTypes="functionResponseTypes",
        ),
        **(scaling if it.inputs.get("scalingConfig") else {}),
    )  # fmt: skip
    return {}


@changes("aws:iam/role:Role")
def role(it: Standing) -> Mapping[str, Any]:
    iam = it.client("iam")
    iam.update_assume_role_policy(RoleName=it.id, PolicyDocument=it.inputs["assumeRolePolicy"])
    if "permissionsBoundary" in it.changed and it.inputs.get("permissionsBoundary"):
        iam.put_role_permissions_boundary(RoleName=it.id, PermissionsBoundary=it.inputs["permissionsBoundary"])
    if "description" in it.changed:
        iam.update_role(RoleName=it.id, Description=it.inputs.get("description") or "")
    return {}


@changes("aws:iam/policy:Policy")
def policy(it: Standing) -> Mapping[str, Any]:
    iam = it.client("iam")
    older = [v for v in iam.list_policy_versions(PolicyArn=it.id)["Versions"] if not v["IsDefaultVersion"]]
    if len(older) >= 4:  # a policy may have five
        oldest = min(older, key=lambda version: version["CreateDate"])
        iam.delete_policy_version(PolicyArn=it.id, VersionId=oldest["VersionId"])
    iam.create_policy_version(PolicyArn=it.id, PolicyDocument=_text(it.inputs["policy"]), SetAsDefault=True)
    return {}


@changes("aws:kms/key:Key", "aws:kms/replicaKey:ReplicaKey")
def key(it: Standing) -> Mapping[str, Any]:
    kms = it.client("kms")
    if it.inputs.get("policy"):
        kms.put_key_policy(KeyId=it.id, PolicyName="default", Policy=_text(it.inputs["policy"]))
    if "description" in it.changed:
        kms.update_key_description(KeyId=it.id, Description=it.inputs.get("description") or "")
    if "enableKeyRotation" in it.changed:
        switch = kms.enable_key_rotation if it.inputs.get("enableKeyRotation") else kms.disable_key_rotation
        switch(KeyId=it.id)
    return {}


@changes("aws:kms/alias:Alias")
def key_alias(it: Standing) -> Mapping[str, Any]:
    it.client("kms").update_alias(AliasName=it.id, TargetKeyId=it.inputs["targetKeyId"])
    return {}


@changes("aws:secretsmanager/secret:Secret")
def secret(it: Standing) -> Mapping[str, Any]:
    it.client("secretsmanager").update_secret(
        SecretId=it.id, **given(it.inputs, Description="description", KmsKeyId="kmsKeyId")
    )
    come, _ = _copies(it, "region")  # the emulator cannot take a replica away
    if come:
        regions = security.secret_replicas(come)
        it.client("secretsmanager").replicate_secret_to_regions(SecretId=it.id, AddReplicaRegions=regions)
    return {}


def _copies(it: Standing, region: str) -> tuple[list[Any], list[str]]:
    """The replicas that come, and the regions whose go; ``region`` is what says where one is."""
    before, now = it.outputs.get("replicas") or [], it.inputs.get("replicas") or []
    stood, wanted = {copy[region] for copy in before}, {copy[region] for copy in now}
    return [copy for copy in now if copy[region] not in stood], sorted(stood - wanted)


@changes("aws:cloudwatch/logGroup:LogGroup")
def log_group(it: Standing) -> Mapping[str, Any]:
    logs, days = it.client("logs"), it.inputs.get("retentionInDays")
    if days:
        logs.put_retention_policy(logGroupName=it.id, retentionInDays=int(days))
    else:
        logs.delete_retention_policy(logGroupName=it.id)
    return {}


@changes("aws:s3/bucket:Bucket")
def bucket(_: Standing) -> Mapping[str, Any]:
    """Everything that can change about one is a resource of its own, or a tag."""
    return {}


@changes("aws:dynamodb/table:Table")
def table(it: Standing) -> Mapping[str, Any]:
    dynamodb = it.client("dynamodb")
    if "deletionProtectionEnabled" in it.changed:
        kept = bool(it.inputs.get("deletionProtectionEnabled"))
        dynamodb.update_table(TableName=it.id, DeletionProtectionEnabled=kept)
    if "pointInTimeRecovery" in it.changed:
        on = bool((it.inputs.get("pointInTimeRecovery") or {}).get("enabled"))
        wanted = {"PointInTimeRecoveryEnabled": on}
        dynamodb.update_continuous_backups(TableName=it.id, PointInTimeRecoverySpecification=wanted)
    if "ttl" in it.changed and it.inputs.get("ttl"):
        ttl = {"Enabled": bool(it.inputs["ttl"].get("enabled")), "AttributeName": it.inputs["ttl"]["attributeName"]}
        dynamodb.update_time_to_live(TableName=it.id, TimeToLiveSpecification=ttl)
    come, go = _copies(it, "regionName")
    for update in (*storage.replica_creations(come), *({"Delete": {"RegionName": region}} for region in go)):
        dynamodb.update_table(TableName=it.id, ReplicaUpdates=[update])
    return {}


@changes("aws:cloudfront/distribution:Distribution")
def distribution(it: Standing) -> Mapping[str, Any]:
    cloudfront = it.client("cloudfront")
    stands = cloudfront.get_distribution_config(Id=it.id)
    config = edge.distribution_config(it, stands["DistributionConfig"]["CallerReference"])
    cloudfront.update_distribution(Id=it.id, IfMatch=stands["ETag"], DistributionConfig=config)
    return {}


@changes("aws:rds/instance:Instance")
def database(it: Standing) -> Mapping[str, Any]:
    it.client("rds").modify_db_instance(
        DBInstanceIdentifier=it.outputs["identifier"],
        ApplyImmediately=bool(it.inputs.get("applyImmediately")),
        **given(
            it.inputs, DBInstanceClass="instanceClass", AllocatedStorage="allocatedStorage", MultiAZ="multiAz",
            EngineVersion="engineVersion", BackupRetentionPeriod="backupRetentionPeriod",
            DeletionProtection="deletionProtection", DBParameterGroupName="parameterGroupName",
            VpcSecurityGroupIds="vpcSecurityGroupIds",
        ),
    )  # fmt: skip
    return {}


@changes("aws:ec2/vpc:Vpc")
def vpc(it: Standing) -> Mapping[str, Any]:
    for attribute in ("enableDnsSupport", "enableDnsHostnames"):
        if attribute in it.changed:
            wanted = {attribute[:1].upper() + attribute[1:]: {"Value": bool(it.inputs.get(attribute))}}
            it.client("ec2").modify_vpc_attribute(VpcId=it.id, **wanted)
    return {}


@changes("aws:apigateway/restApi:RestApi")
def rest_api(it: Standing) -> Mapping[str, Any]:
    wanted = {"/name": "name", "/description": "description", "/policy": "policy"}
    return _patch(it, "update_rest_api", wanted, restApiId=it.id)


@changes("aws:apigateway/stage:Stage")
def stage(it: Standing) -> Mapping[str, Any]:
    where = {"restApiId": it.inputs["restApi"], "stageName": it.inputs["stageName"]}
    wanted = {"/deploymentId": "deployment", "/description": "description", "/tracingEnabled": "xrayTracingEnabled"}
    return _patch(it, "update_stage", wanted, **where)


@changes("aws:apigateway/apiKey:ApiKey")
def api_key(it: Standing) -> Mapping[str, Any]:
    return _patch(it, "update_api_key", {"/name": "name", "/enabled": "enabled"}, apiKey=it.id)


@changes("aws:apigateway/usagePlan:UsagePlan")
def usage_plan(it: Standing) -> Mapping[str, Any]:
    flat = {
        **dict(it.inputs), **(it.inputs.get("throttleSettings") or {}), **(it.inputs.get("quotaSettings") or {})
    }  # fmt: skip
    wanted = {
        "/name": "name", "/throttle/rateLimit": "rateLimit", "/throttle/burstLimit": "burstLimit",
        "/quota/limit": "limit", "/quota/period": "period",
    }  # fmt: skip
    return _patch(it, "update_usage_plan", wanted, flat, usagePlanId=it.id)


def _patch(
    it: Standing, operation: str, wanted: Mapping[str, str], inputs: Mapping[str, Any] | None = None, **where: str
) -> Mapping[str, Any]:
    """API Gateway takes changes as a list of paths and texts."""
    values = {path: (inputs or it.inputs).get(name) for path, name in wanted.items()}
    steps = [{"op": "replace", "path": p, "value": messaging.text(v)} for p, v in values.items() if v is not None]
    getattr(it.client("apigateway"), operation)(**where, patchOperations=steps)
    return {}


def _text(document: Any) -> str:
    return document if isinstance(document, str) else json.dumps(document)


def retag(it: Standing, before: Mapping[str, str]) -> None:
    """Give a resource its new tags, whatever it is: by its ARN, where it has one that the tagging API knows."""
    arn, tags = it.outputs.get("arn"), it.tag_map()
    if not arn or arn.startswith("arn:aws:local:"):
        return
    tagging = it.client("resourcegroupstaggingapi")
    if gone := sorted(set(before) - set(tags)):
        tagging.untag_resources(ResourceARNList=[arn], TagKeys=gone)
    if tags:
        tagging.tag_resources(ResourceARNList=[arn], Tags=tags)
