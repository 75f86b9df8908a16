"""Storage: state, results, logs and assets, and the key registry that only the deployment can write."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import pulumi_aws as aws
from pulumi import ComponentResource, Input, Output, ResourceOptions

from infra.components.bucket import Bucket, BucketArgs
from infra.components.keys import Keys
from infra.components.replication import Replication, ReplicationArgs
from infra.grants import Role
from infra.place import DataClass, Place
from infrafabric.bus.claim_check import object_key

REGISTRY_KEY = "registry/keys.json"
CLAIMS = object_key("").split("/", 1)[0] + "/"  # the prefix below which the bus leaves large content
CLAIM_DAYS = 15  # a message lives 14 days at most; what it points to outlives it
CLAIMS_EXPIRE = {CLAIMS: CLAIM_DAYS}


@dataclass(frozen=True, kw_only=True)
class StorageArgs:
    place: Place
    keys: Keys
    log_retention_days: int
    recovery_region: str | None = None  # where the buckets are copied to
    copies: Copies | None = None  # a standby's: its primary's copies, which are in this region


@dataclass(frozen=True, kw_only=True)
class Copies:
    """Buckets that the primary made in the standby's region, by name."""

    results: Output[str]
    assets: Output[str]


class _Store(Protocol):
    """A bucket, made here or found."""

    bucket_id: Output[str]
    arn: Output[str]


class _Found:
    def __init__(self, bucket_id: Output[str], partition: str) -> None:
        self.bucket_id = bucket_id
        self.arn = Output.concat(f"arn:{partition}:s3:::", bucket_id)


class Storage(ComponentResource):
    """Four buckets, and grants to parts of them."""

    state_bucket: Output[str]
    results_bucket: Output[str]
    logs_bucket: Output[str]
    assets_bucket: Output[str]
    registry_uri: Output[str]  # s3://…/registry/keys.json
    copies: Copies | None  # in the recovery region

    def __init__(self, name: str, args: StorageArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:storage:Storage", name, opts=opts)
        self._keys, self._place = args.keys, args.place
        self._logs = self._log_bucket(f"{name}-logs", args)
        self._state = self._bucket(f"{name}-state", "state", DataClass.CONFIDENTIAL)
        self.copies = None
        self._results: _Store
        self._assets: _Store
        if args.copies:
            self._results = _Found(args.copies.results, args.place.partition)
            self._assets = _Found(args.copies.assets, args.place.partition)
        else:
            self._results = results = self._bucket(
                f"{name}-results", "results", DataClass.CONFIDENTIAL, expire_days=CLAIMS_EXPIRE
            )
            self._assets = assets = self._bucket(f"{name}-assets", "assets", DataClass.INTERNAL)
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
            tags=args.place.tags("storage", DataClass.INTERNAL),
            opts=ResourceOptions(parent=self),
        )
        self.state_bucket, self.results_bucket = self._state.bucket_id, self._results.bucket_id
        self.logs_bucket, self.assets_bucket = self._logs.bucket_id, self._assets.bucket_id
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
        role.allow("ReadRegistry", "s3:GetObject", on=_below(self._state.arn, REGISTRY_KEY))
        self._keys.grant_use(role, "s3")

    def grant_write_agent_results(self, role: Role, agent: str) -> None:
        """Store results as ``agent``, of whatever session."""
        own = _below(self._results.arn, f"sessions/*/agents/{agent}/*")
        role.allow("WriteOwnResults", "s3:PutObject", on=own)
        self._keys.grant_use(role, "s3")

    def grant_write_report(self, role: Role) -> None:
        """Write a session's report."""
        role.allow("WriteReport", "s3:PutObject", on=_below(self._results.arn, "sessions/*/report.json"))
        self._keys.grant_use(role, "s3")

    def grant_read_results(self, role: Role) -> None:
        """Read the results and reports of every session."""
        role.allow("ReadResults", "s3:GetObject", on=_below(self._results.arn, "sessions/*"))
        self._keys.grant_use(role, "s3")

    def grant_leave_claims(self, role: Role) -> None:
        """Leave content that is too large for a message; its key is its digest, so nobody's can be replaced."""
        role.allow("LeaveClaims", "s3:PutObject", on=_below(self._results.arn, f"{CLAIMS}*"))
        self._keys.grant_use(role, "s3")

    def grant_fetch_claims(self, role: Role) -> None:
        """Fetch content that others left."""
        role.allow("FetchClaims", "s3:GetObject", on=_below(self._results.arn, f"{CLAIMS}*"))
        self._keys.grant_use(role, "s3")

    def _bucket(self, name: str, what: str, data: DataClass, expire_days: dict[str, int] | None = None) -> Bucket:
        args = BucketArgs(
            place=self._place,
            what=what,
            data=data,
            kms_key_arn=self._keys.data_arn,
            expire_days=expire_days,
            logs_to=self._logs.bucket_id,
        )
        return Bucket(name, args, ResourceOptions(parent=self))

    def _copy(self, name: str, args: StorageArgs, sources: dict[str, Bucket]) -> Copies:
        """A bucket in the recovery region for each of ``sources``, kept like it.

        State is not copied: it holds the key registry, which each stack's deployment writes for its own principals, and
        nothing else may write. Logs are not: they tell of one region.
        """
        region = args.recovery_region or args.place.region
        pairs = {what: (source, self._copy_of(f"{name}-{what}-copy", what, region)) for what, source in sources.items()}
        Replication(
            f"{name}-replication",
            ReplicationArgs(place=args.place, keys=args.keys, region=region, pairs=pairs),
            ResourceOptions(parent=self),
        )
        return Copies(results=pairs["results"][1].bucket_id, assets=pairs["assets"][1].bucket_id)

    def _copy_of(self, name: str, what: str, region: str) -> Bucket:
        args = BucketArgs(
            place=self._place.elsewhere(region),
            what=what,
            data=DataClass.CONFIDENTIAL,
            kms_key_arn=self._keys.copied_data_arn,
            expire_days=CLAIMS_EXPIRE if what == "results" else None,
            elsewhere=True,
        )
        return Bucket(name, args, ResourceOptions(parent=self))

    def _log_bucket(self, name: str, args: StorageArgs) -> Bucket:
        place = args.place
        ours = f"arn:{place.partition}:s3:::{place.named('*')}"
        s3_delivers = {
            "Sid": "AccessLogsOfOurBuckets",
            "Effect": "Allow",
            "Principal": {"Service": "logging.s3.amazonaws.com"},
            "Action": "s3:PutObject",
            "Resource": place.bucket("logs").apply(lambda bucket: f"arn:{place.partition}:s3:::{bucket}/s3/*"),
            "Condition": {"ArnLike": {"aws:SourceArn": ours}, "StringEquals": {"aws:SourceAccount": place.account_id}},
        }
        logs = BucketArgs(
            place=place,
            what="logs",
            data=DataClass.INTERNAL,
            kms_key_arn=None,  # S3 delivers access logs only into buckets without a KMS key of ours
            expire_days={"": args.log_retention_days},
            tiering=False,  # they expire before tiering pays
            statements=[s3_delivers],
        )
        return Bucket(name, logs, ResourceOptions(parent=self))


def _below(arn: Input[str], key: str) -> Output[str]:
    return Output.concat(arn, "/", key)
