"""Storage: state, results, logs and assets, and the key registry that only the deployment can write."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import pulumi_aws as aws
from pulumi import ComponentResource, Input, Output, ResourceOptions

from infra.foundation.bucket import Bucket, BucketArgs
from infra.foundation.keys import Keys
from infra.foundation.replication import Replication, ReplicationArgs
from infra.iam import policies
from infra.iam.grants import Role
from infra.naming.context import DataClass, StackContext
from infrafabric.bus.claim_check import object_key

REGISTRY_KEY = "registry/keys.json"
CLAIMS = object_key("").split("/", 1)[0] + "/"  # the prefix below which the bus leaves large content
LOAD_BALANCER_LOGS = "alb"  # prefix in the logs bucket
APP_ARTIFACTS = "app/"  # prefix in the assets bucket: what the application's instances fetch
PUBLIC_ASSETS = "assets/"  # prefix in the assets bucket: what CloudFront shows the world
TENANTS = "tenants/"  # prefix in the results bucket: a tenant's documents below its name
CLAIM_DAYS = 15  # a message lives 14 days at most; what it points to outlives it
CLAIMS_EXPIRE = {CLAIMS: CLAIM_DAYS}


@dataclass(frozen=True, kw_only=True)
class StorageArgs:
    context: StackContext
    keys: Keys
    log_retention_days: int
    load_balancer: bool = False  # it delivers its access logs
    edge: bool = False  # CloudFront reads public assets, and delivers its access logs
    recovery_region: str | None = None  # where the buckets are copied to
    copies: Copies | None = None  # a standby's: its primary's copies, which are in this region


@dataclass(frozen=True, kw_only=True)
class Copies:
    """Buckets that the primary made in the standby's region, by name."""

    results: Output[str]
    assets: Output[str]


class _AnyBucket(Protocol):
    """A bucket, made here or found."""

    bucket_id: Output[str]
    arn: Output[str]


class _ExistingBucket:
    def __init__(self, bucket_id: Output[str], partition: str) -> None:
        self.bucket_id = bucket_id
        self.arn = Output.concat(f"arn:{partition}:s3:::", bucket_id)


class Storage(ComponentResource):
    """Four buckets, and grants to parts of them."""

    state_bucket: Output[str]
    results_bucket: Output[str]
    logs: Bucket  # a service that checks its way in first is switched on after this one's ``door``
    assets_bucket: Output[str]
    registry_uri: Output[str]  # s3://…/registry/keys.json
    copies: Copies | None  # in the recovery region

    def __init__(self, name: str, args: StorageArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:storage:Storage", name, opts=opts)
        self._keys, self._context = args.keys, args.context
        self.logs = self._log_bucket(f"{name}-logs", args)
        self._state = self._bucket(f"{name}-state", "state", DataClass.CONFIDENTIAL)
        self.copies = None
        self._results: _AnyBucket
        self._assets: _AnyBucket
        self._own_assets: Bucket | None = None
        if args.copies:
            self._results = _ExistingBucket(args.copies.results, args.context.partition)
            self._assets = _ExistingBucket(args.copies.assets, args.context.partition)
        else:
            self._results = results = self._bucket(
                f"{name}-results", "results", DataClass.CONFIDENTIAL, expire_days=CLAIMS_EXPIRE
            )
            # CloudFront's distribution reads the bucket and is named in its policy, so the policy comes after both.
            self._assets = assets = self._own_assets = self._bucket(
                f"{name}-assets", "assets", DataClass.INTERNAL, policy_later=args.edge
            )
            if args.recovery_region:
                self.copies = self._copy(name, args, {"results": results, "assets": assets})
        registry = aws.s3.BucketObjectv2(
            f"{name}-registry",
            bucket=self._state.bucket_id,
            key=REGISTRY_KEY,
            content=args.keys.registry,
            content_type="application/json",
            server_side_encryption="aws:kms",
            kms_key_id=args.keys.data_arn,
            tags=args.context.tags("storage", DataClass.INTERNAL),
            opts=ResourceOptions(parent=self),
        )
        self.state_bucket, self.results_bucket = self._state.bucket_id, self._results.bucket_id
        self.assets_bucket = self._assets.bucket_id
        self.registry_uri = Output.concat("s3://", registry.bucket, "/", registry.key)
        self.register_outputs(
            {
                "state_bucket": self.state_bucket,
                "results_bucket": self.results_bucket,
                "registry_uri": self.registry_uri,
            }
        )

    def grant_read_registry(self, role: Role) -> None:
        """Look up public keys. Nothing grants writing them: that is the deployment's alone."""
        role.allow("ReadRegistry", "s3:GetObject", on=_object_arn(self._state.arn, REGISTRY_KEY))
        self._keys.grant_use(role, "s3")

    def grant_write_agent_results(self, role: Role, agent: str) -> None:
        """Store results as ``agent``, of whatever session."""
        own = _object_arn(self._results.arn, f"sessions/*/agents/{agent}/*")
        role.allow("WriteOwnResults", "s3:PutObject", on=own)
        self._keys.grant_use(role, "s3")

    def grant_write_report(self, role: Role) -> None:
        """Write a session's report."""
        role.allow("WriteReport", "s3:PutObject", on=_object_arn(self._results.arn, "sessions/*/report.json"))
        self._keys.grant_use(role, "s3")

    def grant_read_results(self, role: Role) -> None:
        """Read the results and reports of every session."""
        role.allow("ReadResults", "s3:GetObject", on=_object_arn(self._results.arn, "sessions/*"))
        self._keys.grant_use(role, "s3")

    def grant_store_claims(self, role: Role) -> None:
        """Leave content that is too large for a message; its key is its digest, so nobody's can be replaced."""
        role.allow("LeaveClaims", "s3:PutObject", on=_object_arn(self._results.arn, f"{CLAIMS}*"))
        self._keys.grant_use(role, "s3")

    def grant_fetch_claims(self, role: Role) -> None:
        """Fetch content that others left."""
        role.allow("FetchClaims", "s3:GetObject", on=_object_arn(self._results.arn, f"{CLAIMS}*"))
        self._keys.grant_use(role, "s3")

    @property
    def existing_bucket_arns(self) -> list[Output[str]]:
        """The buckets that another stack made, whose names are not this stack's."""
        return [store.arn for store in (self._results, self._assets) if isinstance(store, _ExistingBucket)]

    @property
    def assets_domain(self) -> Output[str]:
        """The assets bucket as an origin of CloudFront's; known before the bucket exists."""
        return self._context.bucket_name("assets").apply(
            lambda bucket: f"{bucket}.s3.{self._context.region}.amazonaws.com"
        )

    def grant_read_app_artifacts(self, role: Role) -> None:
        """Fetch what the application runs."""
        role.allow("ReadAppArtifacts", "s3:GetObject", on=_object_arn(self._assets.arn, f"{APP_ARTIFACTS}*"))
        self._keys.grant_use(role, "s3")

    def grant_own_tenant(self, role: Role) -> None:
        """Read and write below the prefix of the tenant that the session is tagged with, and list it."""
        own = f"{TENANTS}${{aws:PrincipalTag/tenant}}/*"
        role.allow("OwnTenantsObjects", "s3:GetObject", "s3:PutObject", on=_object_arn(self._results.arn, own))
        prefix_condition = {"StringLike": {"s3:prefix": own}}
        role.allow("ListOwnTenant", "s3:ListBucket", on=self._results.arn, when=prefix_condition)
        self._keys.grant_use(role, "s3")

    def let_distribution_read(self, distribution_arn: Input[str]) -> None:
        """Let one CloudFront distribution read the public assets."""
        if self._own_assets is None:
            raise RuntimeError("a standby's assets are copies, and no distribution reads them")
        self._own_assets.set_policy(
            {
                "Sid": "PublicAssetsByOurDistribution",
                "Effect": "Allow",
                "Principal": {"Service": "cloudfront.amazonaws.com"},
                "Action": "s3:GetObject",
                "Resource": _object_arn(self._assets.arn, f"{PUBLIC_ASSETS}*"),
                "Condition": {"StringEquals": {"aws:SourceArn": distribution_arn}},
            }
        )

    def _bucket(
        self,
        name: str,
        label: str,
        data: DataClass,
        *,
        expire_days: dict[str, int] | None = None,
        policy_later: bool = False,
    ) -> Bucket:
        args = BucketArgs(
            context=self._context,
            label=label,
            data=data,
            kms_key_arn=self._keys.data_arn,
            expire_days=expire_days,
            logs_to=self.logs,
            policy_later=policy_later,
        )
        return Bucket(name, args, ResourceOptions(parent=self))

    def _copy(self, name: str, args: StorageArgs, sources: dict[str, Bucket]) -> Copies:
        """A bucket in the recovery region for each of ``sources``, kept like it.

        State is not copied: it holds the key registry, which each stack's deployment writes for its own principals, and
        nothing else may write. Logs are not: they tell of one region.
        """
        region = args.recovery_region or args.context.region
        pairs = {
            label: (source, self._copy_of(f"{name}-{label}-copy", label, region)) for label, source in sources.items()
        }
        Replication(
            f"{name}-replication",
            ReplicationArgs(context=args.context, keys=args.keys, region=region, pairs=pairs),
            ResourceOptions(parent=self),
        )
        return Copies(results=pairs["results"][1].bucket_id, assets=pairs["assets"][1].bucket_id)

    def _copy_of(self, name: str, label: str, region: str) -> Bucket:
        args = BucketArgs(
            context=self._context.in_region(region),
            label=label,
            data=DataClass.CONFIDENTIAL,
            kms_key_arn=self._keys.copied_data_arn,
            expire_days=CLAIMS_EXPIRE if label == "results" else None,
            elsewhere=True,
        )
        return Bucket(name, args, ResourceOptions(parent=self))

    def _log_bucket(self, name: str, args: StorageArgs) -> Bucket:
        context = args.context
        bucket_arns = f"arn:{context.partition}:s3:::{context.physical_name('*')}"
        s3_access_logs = {
            "Sid": "AccessLogsOfOurBuckets",
            "Effect": "Allow",
            "Principal": {"Service": "logging.s3.amazonaws.com"},
            "Action": "s3:PutObject",
            "Resource": context.bucket_name("logs").apply(lambda bucket: f"arn:{context.partition}:s3:::{bucket}/s3/*"),
            "Condition": {
                "ArnLike": {"aws:SourceArn": bucket_arns},
                "StringEquals": {"aws:SourceAccount": context.account_id},
            },
        }
        logs = BucketArgs(
            context=context,
            label="logs",
            data=DataClass.INTERNAL,
            kms_key_arn=None,  # S3 delivers access logs only into buckets without a KMS key of ours
            expire_days={"": args.log_retention_days},
            tiering=False,  # they expire before tiering pays
            statements=[s3_access_logs, *_log_delivery_statements(args)],
        )
        return Bucket(name, logs, ResourceOptions(parent=self))


def _log_delivery_statements(args: StorageArgs) -> list[policies.Statement]:
    """What the logs bucket lets the public face's services deliver; their paths are AWS's own."""
    context = args.context

    def log_path(path: str) -> Output[str]:
        return Output.all(context.bucket_name("logs"), context.account_id).apply(
            lambda known: f"arn:{context.partition}:s3:::{known[0]}/{path}AWSLogs/{known[1]}/*"
        )

    statements: list[policies.Statement] = []
    if args.load_balancer:
        statements.append(
            {
                "Sid": "AccessLogsOfOurLoadBalancer",
                "Effect": "Allow",
                "Principal": {"Service": "logdelivery.elasticloadbalancing.amazonaws.com"},
                "Action": "s3:PutObject",
                "Resource": log_path(f"{LOAD_BALANCER_LOGS}/"),
                # Not every delivery names its source, and the load balancer is not made unless its test file gets in;
                # the path alone keeps others out, as AWS writes an account's logs below that account's number only.
                "Condition": {
                    "StringEqualsIfExists": {"aws:SourceAccount": context.account_id},
                    "ArnLikeIfExists": {"aws:SourceArn": context.arn("elasticloadbalancing", "loadbalancer/*")},
                },
            }
        )
    if args.edge:
        sources = context.account_id.apply(lambda account: f"arn:{context.partition}:logs:us-east-1:{account}")
        statements.append(
            {
                "Sid": "AccessLogsOfOurDistribution",
                "Effect": "Allow",
                "Principal": {"Service": "delivery.logs.amazonaws.com"},
                "Action": "s3:PutObject",
                "Resource": log_path(""),
                "Condition": {
                    "StringEquals": {
                        "aws:SourceAccount": context.account_id,
                        "s3:x-amz-acl": "bucket-owner-full-control",
                    },
                    "ArnLike": {
                        "aws:SourceArn": Output.concat(sources, ":delivery-source:", context.physical_name("edge"))
                    },
                },
            }
        )
    return statements


def _object_arn(arn: Input[str], key: str) -> Output[str]:
    return Output.concat(arn, "/", key)
