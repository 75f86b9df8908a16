"""S3 buckets of a stack: state, results, logs and assets, and the registry of public keys in the state bucket."""

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
CLAIMS = object_key("").split("/", 1)[0] + "/"  # prefix of large message content (claim check)
LOAD_BALANCER_LOGS = "alb"  # prefix in the logs bucket
APP_ARTIFACTS = "app/"  # prefix in the assets bucket: the application's releases
PUBLIC_ASSETS = "assets/"  # prefix in the assets bucket: public files behind CloudFront
TENANTS = "tenants/"  # prefix in the results bucket: a folder of documents per tenant
CLAIM_DAYS = 15  # longer than the 14 days that a message can live
CLAIMS_EXPIRE = {CLAIMS: CLAIM_DAYS}


@dataclass(frozen=True, kw_only=True)
class StorageArgs:
    context: StackContext
    keys: Keys
    log_retention_days: int
    load_balancer: bool = False  # the stack has a load balancer that delivers access logs
    edge: bool = False  # the stack has a distribution that reads public assets and delivers access logs
    recovery_region: str | None = None  # region of the copies
    copies: Copies | None = None  # standby only: the primary's copies in this region


@dataclass(frozen=True, kw_only=True)
class Copies:
    """Names of the buckets that a primary keeps in the recovery region."""

    results: Output[str]
    assets: Output[str]


class _AnyBucket(Protocol):
    """Bucket of this stack, or of the primary stack."""

    bucket_id: Output[str]
    arn: Output[str]


class _ExistingBucket:
    """Bucket that the primary stack declared."""

    def __init__(self, bucket_id: Output[str], partition: str) -> None:
        self.bucket_id = bucket_id
        self.arn = Output.concat(f"arn:{partition}:s3:::", bucket_id)


class Storage(ComponentResource):
    """Buckets for state, results, logs and assets, and the registry of public keys."""

    state_bucket: Output[str]
    results_bucket: Output[str]
    logs: Bucket  # a log delivery depends on ``logs.resource_policy``, which AWS checks first
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
            # The bucket policy names the CloudFront distribution, so the policy comes after bucket and distribution.
            self._assets = assets = self._own_assets = self._bucket(
                f"{name}-assets", "assets", DataClass.INTERNAL, deferred_policy=args.edge
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
        """Grant reading public keys; no grant allows writing, because only the deployment writes the registry."""
        role.allow("ReadRegistry", "s3:GetObject", on=_object_arn(self._state.arn, REGISTRY_KEY))
        self._keys.grant_use(role, "s3")

    def grant_own_agent_results(self, role: Role, agent: str) -> None:
        """Grant writing results as ``agent``, in every session, and reading them again."""
        own = f"sessions/*/agents/{agent}/*"
        role.allow("OwnResults", "s3:GetObject", "s3:PutObject", on=_object_arn(self._results.arn, own))
        self._grant_find(role, "FindOwnResults", own)
        self._keys.grant_use(role, "s3")

    def grant_write_session(self, role: Role) -> None:
        """Grant writing what the coordinator believes of a session: findings of each round, and the report."""
        objects = [_object_arn(self._results.arn, f"sessions/*/{name}") for name in ("report.json", "rounds/*")]
        role.allow("WriteReport", "s3:PutObject", on=objects)
        self._keys.grant_use(role, "s3")

    def grant_read_results(self, role: Role) -> None:
        """Grant reading results and reports of every session."""
        role.allow("ReadResults", "s3:GetObject", on=_object_arn(self._results.arn, "sessions/*"))
        self._grant_find(role, "FindResults", "sessions/*")
        self._keys.grant_use(role, "s3")

    def grant_store_claims(self, role: Role) -> None:
        """Grant storing content that is too large for a message.

        The object's key is the digest of its content, so no role can replace another's content.
        """
        role.allow("LeaveClaims", "s3:PutObject", on=_object_arn(self._results.arn, f"{CLAIMS}*"))
        self._keys.grant_use(role, "s3")

    def grant_fetch_claims(self, role: Role) -> None:
        """Grant reading message content that any role stored, by its digest.

        The digest is a secret: so the role may look for a whole key, and list no keys that it does not know.
        """
        role.allow("FetchClaims", "s3:GetObject", on=_object_arn(self._results.arn, f"{CLAIMS}*"))
        self._grant_find(role, "FindClaims", object_key("?" * 64))
        self._keys.grant_use(role, "s3")

    def _grant_find(self, role: Role, sid: str, prefix: str) -> None:
        """Grant telling whether an object of the results bucket exists: S3 denies a missing one to others."""
        role.allow(sid, "s3:ListBucket", on=self._results.arn, when={"StringLike": {"s3:prefix": prefix}})

    @property
    def existing_bucket_arns(self) -> list[Output[str]]:
        """ARNs of the buckets that the primary stack declared and named."""
        return [store.arn for store in (self._results, self._assets) if isinstance(store, _ExistingBucket)]

    @property
    def assets_domain(self) -> Output[str]:
        """Domain of the assets bucket as a CloudFront origin, known before the bucket exists."""
        return self._context.bucket_name("assets").apply(
            lambda bucket: f"{bucket}.s3.{self._context.region}.amazonaws.com"
        )

    def grant_read_app_artifacts(self, role: Role) -> None:
        """Grant reading the application's releases."""
        role.allow("ReadAppArtifacts", "s3:GetObject", on=_object_arn(self._assets.arn, f"{APP_ARTIFACTS}*"))
        self._keys.grant_use(role, "s3")

    def grant_own_tenant(self, role: Role) -> None:
        """Grant reading, writing and listing below the prefix of the tenant in the session tag ``tenant``."""
        own = f"{TENANTS}${{aws:PrincipalTag/tenant}}/*"
        role.allow("OwnTenantsObjects", "s3:GetObject", "s3:PutObject", on=_object_arn(self._results.arn, own))
        prefix_condition = {"StringLike": {"s3:prefix": own}}
        role.allow("ListOwnTenant", "s3:ListBucket", on=self._results.arn, when=prefix_condition)
        self._keys.grant_use(role, "s3")

    def let_distribution_read(self, distribution_arn: Input[str]) -> None:
        """Let one CloudFront distribution read the public assets.

        Raises:
            RuntimeError: the stack is a standby, whose assets are copies.
        """
        if self._own_assets is None:
            raise RuntimeError("a standby's assets are copies without a distribution: declare the edge in the primary")
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
        deferred_policy: bool = False,
    ) -> Bucket:
        args = BucketArgs(
            context=self._context,
            label=label,
            data=data,
            kms_key_arn=self._keys.data_arn,
            expire_days=expire_days,
            logs_to=self.logs,
            deferred_policy=deferred_policy,
        )
        return Bucket(name, args, ResourceOptions(parent=self))

    def _copy(self, name: str, args: StorageArgs, sources: dict[str, Bucket]) -> Copies:
        """Declare a replicated bucket in the recovery region for each of ``sources``.

        The state bucket has no copy, because it holds the key registry: each stack's deployment writes the registry for
        its own principals, and no other principal may write it. The log bucket has no copy, because logs describe one
        region.
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
            outside_stack_region=True,
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
            kms_key_arn=None,  # S3 delivers access logs only into buckets without a customer managed KMS key
            expire_days={"": args.log_retention_days},
            tiering=False,  # logs expire before tiering saves money
            statements=[s3_access_logs, *_log_delivery_statements(args)],
        )
        return Bucket(name, logs, ResourceOptions(parent=self))


def _log_delivery_statements(args: StorageArgs) -> list[policies.Statement]:
    """Return the statements that let load balancer and CloudFront deliver logs; AWS defines the paths."""
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
                # IfExists: not every delivery names its source, and AWS refuses to create the load balancer without a
                # test file. The path alone excludes other accounts, because AWS writes below the account's number.
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
