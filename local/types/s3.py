"""S3: buckets, their settings, and objects."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any, ClassVar

from local.types.arguments import arguments, camel_case, pascal_case
from local.types.definition import PutResource, ResourceType, resource, succeeds
from local.types.request import CreatedResource, ExistingResource, FoundResource, ResourceRequest


@resource("aws:s3/bucket:Bucket", "aws:s3/bucketV2:BucketV2", replaced_by=("bucket", "objectLockEnabled"))
class S3Bucket(ResourceType):
    """S3 bucket."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        name = request.inputs.get("bucket") or request.name
        options = arguments(request.inputs, ObjectLockEnabledForBucket="objectLockEnabled")
        if request.region != "us-east-1":
            options["CreateBucketConfiguration"] = {"LocationConstraint": request.region}
        s3 = request.client("s3")
        s3.create_bucket(Bucket=name, **options)
        request.exists_as(name)
        if request.tag_map():
            s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": request.tag_list()})
        return CreatedResource(
            name,
            {
                "bucket": name,
                "arn": f"arn:aws:s3:::{name}",
                "bucketDomainName": f"{name}.s3.amazonaws.com",
                "bucketRegionalDomainName": f"{name}.s3.{request.region}.amazonaws.com",
            },
        )

    def change(self, resource: ExistingResource) -> None:
        """Change nothing: every setting of a bucket is a resource type of its own, or a tag."""

    def remove(self, resource: ExistingResource) -> None:
        """Delete the bucket; with ``forceDestroy``, all object versions first, as the provider does."""
        s3 = resource.client("s3")
        if resource.inputs.get("forceDestroy"):
            for page in s3.get_paginator("list_object_versions").paginate(Bucket=resource.id):
                for version in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
                    s3.delete_object(Bucket=resource.id, Key=version["Key"], VersionId=version["VersionId"])
        s3.delete_bucket(Bucket=resource.id)

    def exists(self, resource: ExistingResource) -> bool:
        return succeeds(resource.client("s3").head_bucket, Bucket=resource.id)


@resource("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock", replaced_by=("bucket",))
class S3PublicAccessBlock(PutResource):
    """Public access block of an S3 bucket."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        names = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
        block = pascal_case({name: bool(request.inputs.get(name)) for name in names})
        request.client("s3").put_public_access_block(
            Bucket=request.inputs["bucket"], PublicAccessBlockConfiguration=block
        )
        return CreatedResource(request.inputs["bucket"])

    def remove(self, resource: ExistingResource) -> None:
        resource.client("s3").delete_public_access_block(Bucket=resource.id)


@resource("aws:s3/bucketOwnershipControls:BucketOwnershipControls", replaced_by=("bucket",))
class S3OwnershipControls(PutResource):
    """Object ownership rule of an S3 bucket."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        rules = {"Rules": [pascal_case(request.inputs["rule"])]}
        request.client("s3").put_bucket_ownership_controls(Bucket=request.inputs["bucket"], OwnershipControls=rules)
        return CreatedResource(request.inputs["bucket"])


@resource(
    "aws:s3/bucketVersioning:BucketVersioning", "aws:s3/bucketVersioningV2:BucketVersioningV2", replaced_by=("bucket",)
)
class S3Versioning(PutResource):
    """Versioning of an S3 bucket."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        configuration = {"Status": request.inputs["versioningConfiguration"]["status"]}
        request.client("s3").put_bucket_versioning(
            Bucket=request.inputs["bucket"], VersioningConfiguration=configuration
        )
        return CreatedResource(request.inputs["bucket"])


@resource(
    "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration", replaced_by=("bucket", "objectLockEnabled")
)
class S3ObjectLock(PutResource):
    """Object Lock configuration of an S3 bucket."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        bucket, rule = request.inputs["bucket"], request.inputs.get("rule")
        configuration = {"ObjectLockEnabled": "Enabled", **({"Rule": pascal_case(rule)} if rule else {})}
        request.client("s3").put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=configuration)
        return CreatedResource(bucket)


@resource(
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
    "aws:s3/bucketServerSideEncryptionConfigurationV2:BucketServerSideEncryptionConfigurationV2",
    replaced_by=("bucket",),
)
class S3Encryption(PutResource):
    """Default encryption of an S3 bucket."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        rules = []
        for rule in request.inputs["rules"]:
            default = rule["applyServerSideEncryptionByDefault"]
            apply = {"SSEAlgorithm": default["sseAlgorithm"]}
            if default.get("kmsMasterKeyId"):
                apply["KMSMasterKeyID"] = default["kmsMasterKeyId"]
            rules.append(
                {"ApplyServerSideEncryptionByDefault": apply, "BucketKeyEnabled": bool(rule.get("bucketKeyEnabled"))}
            )
        request.client("s3").put_bucket_encryption(
            Bucket=request.inputs["bucket"], ServerSideEncryptionConfiguration={"Rules": rules}
        )
        return CreatedResource(request.inputs["bucket"])


@resource("aws:s3/bucketPolicy:BucketPolicy", replaced_by=("bucket",))
class S3BucketPolicy(PutResource):
    """Resource policy of an S3 bucket."""

    reads: ClassVar = {"policy": None}

    def create(self, request: ResourceRequest) -> CreatedResource:
        request.client("s3").put_bucket_policy(Bucket=request.inputs["bucket"], Policy=request.inputs["policy"])
        return CreatedResource(request.inputs["bucket"])

    def remove(self, resource: ExistingResource) -> None:
        resource.client("s3").delete_bucket_policy(Bucket=resource.id)

    def read(self, resource: ExistingResource) -> FoundResource:
        policy = resource.client("s3").get_bucket_policy(Bucket=resource.id)["Policy"]
        return FoundResource({"bucket": resource.id, "policy": policy})


@resource(
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
    "aws:s3/bucketLifecycleConfigurationV2:BucketLifecycleConfigurationV2",
    replaced_by=("bucket",),
)
class S3Lifecycle(PutResource):
    """Lifecycle rules of an S3 bucket."""

    reads: ClassVar = {"rules": None}

    def create(self, request: ResourceRequest) -> CreatedResource:
        rules = [_lifecycle_rule(rule) for rule in request.inputs["rules"]]
        request.client("s3").put_bucket_lifecycle_configuration(
            Bucket=request.inputs["bucket"], LifecycleConfiguration={"Rules": rules}
        )
        return CreatedResource(request.inputs["bucket"])

    def remove(self, resource: ExistingResource) -> None:
        resource.client("s3").delete_bucket_lifecycle(Bucket=resource.id)

    def read(self, resource: ExistingResource) -> FoundResource:
        rules = resource.client("s3").get_bucket_lifecycle_configuration(Bucket=resource.id)["Rules"]
        return FoundResource({"bucket": resource.id, "rules": [_input_of_lifecycle_rule(rule) for rule in rules]})


@resource("aws:s3/bucketLogging:BucketLogging", "aws:s3/bucketLoggingV2:BucketLoggingV2", replaced_by=("bucket",))
class S3AccessLogging(PutResource):
    """Server access logging of an S3 bucket."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        logging = {
            "TargetBucket": request.inputs["targetBucket"],
            "TargetPrefix": request.inputs.get("targetPrefix") or "",
        }
        request.client("s3").put_bucket_logging(
            Bucket=request.inputs["bucket"], BucketLoggingStatus={"LoggingEnabled": logging}
        )
        return CreatedResource(request.inputs["bucket"])


@resource("aws:s3/bucketReplicationConfig:BucketReplicationConfig", replaced_by=("bucket", "role"))
class S3Replication(PutResource):
    """Replication rules of an S3 bucket."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        rules = [pascal_case(rule) for rule in request.inputs["rules"]]
        for rule in rules:
            rule["ID"] = rule.pop("Id")
            encryption = rule["Destination"].get("EncryptionConfiguration")
            if encryption:
                encryption["ReplicaKmsKeyID"] = encryption.pop("ReplicaKmsKeyId")
        request.client("s3").put_bucket_replication(
            Bucket=request.inputs["bucket"], ReplicationConfiguration={"Role": request.inputs["role"], "Rules": rules}
        )
        return CreatedResource(request.inputs["bucket"])

    def remove(self, resource: ExistingResource) -> None:
        resource.client("s3").delete_bucket_replication(Bucket=resource.id)


@resource(
    "aws:s3/bucketObjectv2:BucketObjectv2",
    "aws:s3/bucketObject:BucketObject",
    replaced_by=("bucket", "key", "kmsKeyId"),
    renewed_outputs=("etag", "versionId"),
)
class S3Object(PutResource):
    """Object in an S3 bucket, from a file, text or Base64."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        source = request.inputs.get("source")
        path = getattr(source, "path", None)
        if "contentBase64" in request.inputs:
            body = base64.b64decode(request.inputs["contentBase64"])
        else:
            body = Path(path).read_bytes() if path else (request.inputs.get("content") or "").encode()
        kind = request.inputs.get("contentType") or "application/octet-stream"
        request.client("s3").put_object(
            Bucket=request.inputs["bucket"], Key=request.inputs["key"], Body=body, ContentType=kind
        )
        return CreatedResource(
            request.inputs["key"],
            {
                "etag": hashlib.md5(body, usedforsecurity=False).hexdigest(),
                "versionId": "null",
                "arn": f"arn:aws:s3:::{request.inputs['bucket']}/{request.inputs['key']}",
            },
        )

    def remove(self, resource: ExistingResource) -> None:
        resource.client("s3").delete_object(Bucket=resource.value("bucket"), Key=resource.value("key"))


def _lifecycle_rule(rule: dict[str, Any]) -> dict[str, Any]:
    """Return a lifecycle rule as S3's API takes it; a rule without a filter applies to the whole bucket."""
    converted = pascal_case(rule)
    if "Id" in converted:
        converted["ID"] = converted.pop("Id")
    return {**converted, "Filter": converted.get("Filter") or {"Prefix": ""}}


def _input_of_lifecycle_rule(rule: dict[str, Any]) -> dict[str, Any]:
    """Return a lifecycle rule of S3's API as the program sets it, the inverse of :func:`_lifecycle_rule`."""
    converted = camel_case(rule)
    if "iD" in converted:
        converted["id"] = converted.pop("iD")
    return converted
