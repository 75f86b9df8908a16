"""S3 bucket with the project's secure defaults; every bucket of a stack is declared by this component."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi_aws as aws
from pulumi import ComponentResource, Input, Output, Resource, ResourceOptions

from infra.iam import policies
from infra.naming.context import DataClass, StackContext

ABORT_UPLOADS_DAYS = 7
_Rule = aws.s3.BucketLifecycleConfigurationRuleArgs
_Filter = aws.s3.BucketLifecycleConfigurationRuleFilterArgs
_Abort = aws.s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs
_Forget = aws.s3.BucketLifecycleConfigurationRuleNoncurrentVersionExpirationArgs
_Move = aws.s3.BucketLifecycleConfigurationRuleTransitionArgs
_Expire = aws.s3.BucketLifecycleConfigurationRuleExpirationArgs


@dataclass(frozen=True, kw_only=True)
class BucketArgs:
    context: StackContext
    label: str  # state, results …: part of the bucket's name and tags
    data: DataClass
    kms_key_arn: Input[str] | None  # None: SSE-S3, which S3 log delivery requires
    keep_old_versions_days: int = 30
    expire_days: dict[str, int] | None = None  # by key prefix; "" is the whole bucket
    tiering: bool = True  # move new objects to Intelligent-Tiering at once
    logs_to: Bucket | None = None  # target of the access logs
    statements: Sequence[policies.Statement] = ()  # of the bucket policy, in addition to TLS only
    component: str = "storage"  # tag Component
    lock_days: int | None = None  # days without deletion; S3 cannot remove an object lock from a bucket
    deferred_policy: bool = False  # the caller calls ``set_policy`` after the principals are known
    outside_stack_region: bool = False  # ``context`` is in another region than the stack


class Bucket(ComponentResource):
    """Private, versioned and encrypted S3 bucket with a lifecycle, access logs and a TLS-only policy."""

    bucket_id: Output[str]  # the bucket's name
    arn: Output[str]
    resource_policy: aws.s3.BucketPolicy  # an AWS service that delivers into the bucket depends on this policy
    versions: aws.s3.BucketVersioning  # replication depends on versioning

    def __init__(self, name: str, args: BucketArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:storage:Bucket", name, opts=opts)
        self._name = name
        # S3 deletes no bucket with locked objects, so prod retains the bucket with its lock and its lifecycle.
        self._retained = args.context.prod and args.lock_days is not None
        child = self._child_options()
        self._region = args.context.region if args.outside_stack_region else None
        bucket = aws.s3.Bucket(
            f"{name}-bucket",
            region=self._region,
            bucket=args.context.bucket_name(args.label),
            object_lock_enabled=True if args.lock_days else None,
            force_destroy=not args.context.prod,  # a dev stack can be destroyed together with its data
            tags=args.context.tags(args.component, args.data, args.label),
            opts=ResourceOptions(parent=self, protect=args.context.prod, retain_on_delete=self._retained),
        )
        self.bucket_id, self.arn = bucket.id, bucket.arn
        self._encrypt(name, args)
        self._restrict_access(name, args)
        self.versions = aws.s3.BucketVersioning(
            f"{name}-versions",
            region=self._region,
            bucket=bucket.id,
            versioning_configuration={"status": "Enabled"},
            opts=child,
        )
        aws.s3.BucketLifecycleConfiguration(
            f"{name}-lifecycle",
            region=self._region,
            bucket=bucket.id,
            rules=_rules(args),
            # Moving smaller objects costs more than the cheaper storage class saves.
            transition_default_minimum_object_size="all_storage_classes_128K",
            opts=self._child_options(self.versions),
        )
        if args.lock_days:
            aws.s3.BucketObjectLockConfiguration(
                f"{name}-lock",
                region=self._region,
                bucket=bucket.id,
                # Governance mode: IAM decides who may bypass the lock; the boundary denies every role of the stack.
                rule={"default_retention": {"mode": "GOVERNANCE", "days": args.lock_days}},
                opts=self._child_options(self.versions),
            )
        if args.logs_to is not None:
            aws.s3.BucketLogging(
                f"{name}-logging",
                region=self._region,
                bucket=bucket.id,
                target_bucket=args.logs_to.bucket_id,
                target_prefix=f"s3/{args.label}/",
                # S3 checks the target bucket's policy at once, and otherwise answers InvalidTargetBucketForLogging
                # (Amazon S3 Developer Guide, "Setting up server access logging programmatically").
                opts=self._child_options(args.logs_to.resource_policy),
            )
        self.register_outputs({"bucket_id": self.bucket_id, "arn": self.arn})

    def _restrict_access(self, name: str, args: BucketArgs) -> None:
        """Limit access to this account's roles, over TLS only."""
        child = self._child_options()
        aws.s3.BucketOwnershipControls(
            f"{name}-owner",
            region=self._region,
            bucket=self.bucket_id,
            rule={"object_ownership": "BucketOwnerEnforced"},
            opts=child,
        )
        self._public_access_block = aws.s3.BucketPublicAccessBlock(
            f"{name}-private",
            region=self._region,
            bucket=self.bucket_id,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=child,
        )
        if not args.deferred_policy:
            self.set_policy(*args.statements)

    def set_policy(self, *statements: policies.Statement) -> None:
        """Write the bucket policy: TLS only, and ``statements``."""
        objects = self.arn.apply(lambda arn: f"{arn}/*")
        self.resource_policy = aws.s3.BucketPolicy(
            f"{self._name}-policy",
            region=self._region,
            bucket=self.bucket_id,
            policy=policies.document(policies.deny_without_tls("s3:*", self.arn, objects), *statements),
            opts=self._child_options(self._public_access_block),  # S3 refuses concurrent changes of the two
        )

    def _encrypt(self, name: str, args: BucketArgs) -> None:
        kms = args.kms_key_arn is not None
        by_default: aws.s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgsDict = {
            "sse_algorithm": "aws:kms" if kms else "AES256"
        }
        if args.kms_key_arn is not None:
            by_default["kms_master_key_id"] = args.kms_key_arn
        aws.s3.BucketServerSideEncryptionConfiguration(
            f"{name}-encryption",
            region=self._region,
            bucket=self.bucket_id,
            # The bucket key saves one KMS request per object, and its price.
            rules=[{"apply_server_side_encryption_by_default": by_default, "bucket_key_enabled": kms}],
            opts=self._child_options(),
        )

    def _child_options(self, *dependencies: Resource) -> ResourceOptions:
        return ResourceOptions(parent=self, depends_on=list(dependencies), retain_on_delete=self._retained)


def _rules(args: BucketArgs) -> list[aws.s3.BucketLifecycleConfigurationRuleArgs]:
    objects = _Filter(prefix="")
    rules = [
        _Rule(
            id="abort-uploads",
            status="Enabled",
            filter=objects,
            abort_incomplete_multipart_upload=_Abort(days_after_initiation=ABORT_UPLOADS_DAYS),
        ),
        _Rule(
            id="forget-old-versions",
            status="Enabled",
            filter=objects,
            noncurrent_version_expiration=_Forget(noncurrent_days=args.keep_old_versions_days),
        ),
    ]
    if args.tiering:
        transitions = [_Move(days=0, storage_class="INTELLIGENT_TIERING")]
        rules.append(_Rule(id="tier", status="Enabled", filter=objects, transitions=transitions))
    for prefix, days in (args.expire_days or {}).items():
        rules.append(
            _Rule(
                id=f"expire-{prefix.strip('/') or 'all'}",
                status="Enabled",
                filter=_Filter(prefix=prefix),
                expiration=_Expire(days=days),
            )
        )
    return rules
