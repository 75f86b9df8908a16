"""S3 and DynamoDB."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

from local.types import Declared, Made, creates, given, pascal, put_again


@creates("aws:s3/bucket:Bucket", "aws:s3/bucketV2:BucketV2")
def bucket(it: Declared) -> Made:
    name = it.inputs.get("bucket") or it.name
    place = {} if it.region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": it.region}}
    s3 = it.client("s3")
    s3.create_bucket(Bucket=name, **place, **given(it.inputs, ObjectLockEnabledForBucket="objectLockEnabled"))
    if it.tag_map():
        s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": it.tags()})
    return Made(
        name,
        {
            "bucket": name,
            "arn": f"arn:aws:s3:::{name}",
            "bucketDomainName": f"{name}.s3.amazonaws.com",
            "bucketRegionalDomainName": f"{name}.s3.{it.region}.amazonaws.com",
        },
    )


@creates("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock", update=put_again)
def public_access_block(it: Declared) -> Made:
    names = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    block = pascal({name: bool(it.inputs.get(name)) for name in names})
    it.client("s3").put_public_access_block(Bucket=it.inputs["bucket"], PublicAccessBlockConfiguration=block)
    return Made(it.inputs["bucket"])


@creates("aws:s3/bucketOwnershipControls:BucketOwnershipControls", update=put_again)
def ownership(it: Declared) -> Made:
    rules = {"Rules": [pascal(it.inputs["rule"])]}
    it.client("s3").put_bucket_ownership_controls(Bucket=it.inputs["bucket"], OwnershipControls=rules)
    return Made(it.inputs["bucket"])


@creates("aws:s3/bucketVersioning:BucketVersioning", "aws:s3/bucketVersioningV2:BucketVersioningV2", update=put_again)
def versioning(it: Declared) -> Made:
    wanted = {"Status": it.inputs["versioningConfiguration"]["status"]}
    it.client("s3").put_bucket_versioning(Bucket=it.inputs["bucket"], VersioningConfiguration=wanted)
    return Made(it.inputs["bucket"])


@creates("aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration", update=put_again)
def object_lock(it: Declared) -> Made:
    bucket, rule = it.inputs["bucket"], it.inputs.get("rule")
    wanted = {"ObjectLockEnabled": "Enabled", **({"Rule": pascal(rule)} if rule else {})}
    it.client("s3").put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=wanted)
    return Made(bucket)


@creates(
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
    "aws:s3/bucketServerSideEncryptionConfigurationV2:BucketServerSideEncryptionConfigurationV2",
    update=put_again,
)
def encryption(it: Declared) -> Made:
    rules = []
    for rule in it.inputs["rules"]:
        by_default = rule["applyServerSideEncryptionByDefault"]
        apply = {"SSEAlgorithm": by_default["sseAlgorithm"]}
        if by_default.get("kmsMasterKeyId"):
            apply["KMSMasterKeyID"] = by_default["kmsMasterKeyId"]
        rules.append(
            {"ApplyServerSideEncryptionByDefault": apply, "BucketKeyEnabled": bool(rule.get("bucketKeyEnabled"))}
        )
    it.client("s3").put_bucket_encryption(
        Bucket=it.inputs["bucket"], ServerSideEncryptionConfiguration={"Rules": rules}
    )
    return Made(it.inputs["bucket"])


@creates("aws:s3/bucketPolicy:BucketPolicy", update=put_again)
def bucket_policy(it: Declared) -> Made:
    it.client("s3").put_bucket_policy(Bucket=it.inputs["bucket"], Policy=it.inputs["policy"])
    return Made(it.inputs["bucket"])


@creates(
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
    "aws:s3/bucketLifecycleConfigurationV2:BucketLifecycleConfigurationV2",
    update=put_again,
)
def lifecycle(it: Declared) -> Made:
    rules = [_lifecycle_rule(rule) for rule in it.inputs["rules"]]
    it.client("s3").put_bucket_lifecycle_configuration(
        Bucket=it.inputs["bucket"], LifecycleConfiguration={"Rules": rules}
    )
    return Made(it.inputs["bucket"])


def _lifecycle_rule(rule: dict[str, Any]) -> dict[str, Any]:
    spelled = {"id": "ID", "transitions": "Transitions", "noncurrentVersionTransitions": "NoncurrentVersionTransitions"}
    made = {
        spelled.get(name, name[:1].upper() + name[1:]): pascal(value)
        for name, value in rule.items()
        if value is not None
    }
    made.setdefault("Filter", {"Prefix": ""})
    if made["Filter"] == {}:
        made["Filter"] = {"Prefix": ""}
    return made


@creates("aws:s3/bucketLogging:BucketLogging", "aws:s3/bucketLoggingV2:BucketLoggingV2", update=put_again)
def logging(it: Declared) -> Made:
    enabled = {"TargetBucket": it.inputs["targetBucket"], "TargetPrefix": it.inputs.get("targetPrefix") or ""}
    it.client("s3").put_bucket_logging(Bucket=it.inputs["bucket"], BucketLoggingStatus={"LoggingEnabled": enabled})
    return Made(it.inputs["bucket"])


@creates("aws:s3/bucketReplicationConfig:BucketReplicationConfig", update=put_again)
def replication(it: Declared) -> Made:
    rules = [pascal(rule) for rule in it.inputs["rules"]]
    for rule in rules:
        rule["ID"] = rule.pop("Id")
        encryption = rule["Destination"].get("EncryptionConfiguration")
        if encryption:
            encryption["ReplicaKmsKeyID"] = encryption.pop("ReplicaKmsKeyId")
    it.client("s3").put_bucket_replication(
        Bucket=it.inputs["bucket"], ReplicationConfiguration={"Role": it.inputs["role"], "Rules": rules}
    )
    return Made(it.inputs["bucket"])


@creates("aws:s3/bucketObjectv2:BucketObjectv2", "aws:s3/bucketObject:BucketObject", update=put_again)
def bucket_object(it: Declared) -> Made:
    source = it.inputs.get("source")
    path = getattr(source, "path", None)
    if "contentBase64" in it.inputs:
        body = base64.b64decode(it.inputs["contentBase64"])
    else:
        body = Path(path).read_bytes() if path else (it.inputs.get("content") or "").encode()
    kind = it.inputs.get("contentType") or "application/octet-stream"
    it.client("s3").put_object(Bucket=it.inputs["bucket"], Key=it.inputs["key"], Body=body, ContentType=kind)
    return Made(
        it.inputs["key"],
        {"etag": hashlib.md5(body, usedforsecurity=False).hexdigest(), "versionId": "null",
         "arn": f"arn:aws:s3:::{it.inputs['bucket']}/{it.inputs['key']}"},
    )  # fmt: skip


@creates("aws:dynamodb/table:Table")
def table(it: Declared) -> Made:
    dynamodb, name = it.client("dynamodb"), it.physical()
    indexes = [
        {
            "IndexName": index["name"],
            "KeySchema": _key_schema(index),
            "Projection": {
                "ProjectionType": index["projectionType"],
                **({"NonKeyAttributes": index["nonKeyAttributes"]} if index.get("nonKeyAttributes") else {}),
            },
        }
        for index in it.inputs.get("globalSecondaryIndexes") or []
    ]
    stream = {"StreamEnabled": True, "StreamViewType": it.inputs.get("streamViewType")}
    made = dynamodb.create_table(
        TableName=name,
        BillingMode=it.inputs.get("billingMode") or "PROVISIONED",
        KeySchema=_key_schema(it.inputs),
        AttributeDefinitions=[
            {"AttributeName": a["name"], "AttributeType": a["type"]} for a in it.inputs.get("attributes") or []
        ],
        Tags=it.tags(),
        DeletionProtectionEnabled=bool(it.inputs.get("deletionProtectionEnabled")),
        **({"GlobalSecondaryIndexes": indexes} if indexes else {}),
        **({"StreamSpecification": stream} if it.inputs.get("streamEnabled") else {}),
    )["TableDescription"]
    ttl = it.inputs.get("ttl")
    if ttl and ttl.get("enabled"):
        dynamodb.update_time_to_live(
            TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": ttl["attributeName"]}
        )
    recovery = it.inputs.get("pointInTimeRecovery")
    if recovery and recovery.get("enabled"):
        dynamodb.update_continuous_backups(
            TableName=name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
        )
    if it.inputs.get("replicas"):
        dynamodb.update_table(TableName=name, ReplicaUpdates=replica_creations(it.inputs["replicas"]))
    return Made(name, {"arn": made["TableArn"], "name": name})


def replica_creations(wanted: list[Any]) -> list[dict[str, Any]]:
    return [{"Create": given(copy, RegionName="regionName", KMSMasterKeyId="kmsKeyArn")} for copy in wanted]


def _key_schema(spec: Any) -> list[dict[str, str]]:
    if spec.get("keySchemas"):
        return [{"AttributeName": part["attributeName"], "KeyType": part["keyType"]} for part in spec["keySchemas"]]
    keys = [("HASH", spec["hashKey"]), ("RANGE", spec.get("rangeKey"))]
    return [{"AttributeName": name, "KeyType": kind} for kind, name in keys if name]
