"""Bootstrap of an account before the first ``pulumi up``: bucket and keys of Pulumi's state, RDS's service-linked role.

One KMS key encrypts the objects of the bucket; each environment has another key for the secrets within the objects.
Whoever reads objects of the bucket needs the bucket's key, so that key must decrypt no secret.

Each step checks before creating (idempotency), so the next run finishes an interrupted run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

STATE_BUCKET_PREFIX = "infrafabric-pulumi"
STATE_KEY_ALIAS = "alias/infrafabric-pulumi"  # key of the bucket's objects; in release 0.1.0 of the secrets, too
ENVIRONMENTS = ("dev", "prod")  # values of the setting ``environment``
# Stacks of this repository, with their environment. A standby reads its primary's state, so both have one key.
STACKS = (("dev", "dev"), ("prod", "prod"), ("prod-secondary", "prod"))
OLD_VERSIONS_DAYS = 90
RDS = "rds.amazonaws.com"
TAGS = {"Project": "infrafabric", "Component": "bootstrap", "ManagedBy": "fabric bootstrap"}
_BUCKET = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")


def secrets_key_alias(environment: str) -> str:
    """Return the alias of the KMS key that encrypts the secrets of the environment's stacks."""
    return f"{STATE_KEY_ALIAS}-{environment}"


class BootstrapError(Exception):
    """Account that cannot be prepared; the text has the reason and the remedy."""


@dataclass(frozen=True)
class BootstrapStep:
    """Required property of the account: ``done`` checks the property, ``make`` establishes the property."""

    label: str
    done: Callable[[], bool]
    make: Callable[[], Any]


@dataclass(frozen=True)
class Names:
    """Names and region of what the bootstrap creates."""

    region: str
    bucket: str
    account_id: str

    @classmethod
    def of(cls, region: str, account_id: str, bucket: str | None = None) -> Names:
        """Return the names, with a default for the bucket.

        Raises:
            BootstrapError: S3 does not accept the bucket name.
        """
        name = bucket or f"{STATE_BUCKET_PREFIX}-{account_id}-{region}"
        if not _BUCKET.fullmatch(name):
            raise BootstrapError(f"--bucket {name!r}: 3 to 63 of a-z, 0-9 and hyphens, not at either end")
        return cls(region, name, account_id)

    @property
    def login(self) -> str:
        return f"pulumi login 's3://{self.bucket}?region={self.region}'"

    @property
    def init(self) -> list[str]:
        """Commands that create the stacks, one per stack."""
        return [
            f"pulumi stack init {stack} --secrets-provider='{self._secrets_provider(environment)}'"
            for stack, environment in STACKS
        ]

    @property
    def move(self) -> list[str]:
        """Commands that move the stacks of release 0.1.0 to the keys of their environments, one per stack."""
        return [
            f"pulumi stack change-secrets-provider --stack {stack} '{self._secrets_provider(environment)}'"
            for stack, environment in STACKS
        ]

    def _secrets_provider(self, environment: str) -> str:
        return f"awskms://{secrets_key_alias(environment)}?region={self.region}"


def steps(names: Names, *, s3: Any, kms: Any, iam: Any) -> Iterator[BootstrapStep]:
    """Yield the steps in order; a later step may need an earlier one. ``s3``, ``kms`` and ``iam`` are boto3 clients."""
    key = _Key(kms, STATE_KEY_ALIAS, "Objects of Pulumi's state bucket", TAGS)
    bucket = _Bucket(s3, names, key)
    yield BootstrapStep(f"key {STATE_KEY_ALIAS}", key.exists, key.make)
    yield BootstrapStep(bucket_label(names), bucket.exists, bucket.make)
    yield BootstrapStep("  owner's alone", bucket.owned, bucket.own)
    yield BootstrapStep("  not public", bucket.private, bucket.close)
    yield BootstrapStep("  versioned", bucket.versioned, bucket.keep_versions)
    yield BootstrapStep("  encrypted with the key", bucket.encrypted, bucket.encrypt)
    yield BootstrapStep("  TLS only", bucket.tls_only, bucket.refuse_plain)
    yield BootstrapStep(f"  old versions go after {OLD_VERSIONS_DAYS} days", bucket.forgets, bucket.forget)
    # RDS makes it with an account's first database, which may come too early for it: "Unable to create the resource …
    # wait and try again later". A stack cannot have it: the account has one.
    yield BootstrapStep(
        f"service-linked role of {RDS}",
        lambda: bool(iam.list_roles(PathPrefix=f"/aws-service-role/{RDS}/")["Roles"]),
        lambda: iam.create_service_linked_role(AWSServiceName=RDS),
    )
    for environment in ENVIRONMENTS:
        description = f"Secrets in Pulumi's state and stack files: environment {environment}"
        # The deployment of another environment is denied what has this tag.
        tags = {**TAGS, "Environment": environment}
        secrets_key = _Key(kms, secrets_key_alias(environment), description, tags)
        yield BootstrapStep(f"key {secrets_key.alias}", secrets_key.exists, secrets_key.make)


def bucket_label(names: Names) -> str:
    """Return the label of the step that creates the bucket."""
    return f"bucket {names.bucket}"


class _Key:
    def __init__(self, kms: Any, alias: str, description: str, tags: Mapping[str, str]) -> None:
        self.alias = alias
        self._kms, self._description, self._tags = kms, description, tags

    @property
    def arn(self) -> str:
        return self._kms.describe_key(KeyId=self.alias)["KeyMetadata"]["Arn"]

    def exists(self) -> bool:
        return _exists(lambda: self.arn, "NotFoundException")

    def make(self) -> None:
        key_id = self._kms.create_key(
            Description=self._description,
            Tags=[{"TagKey": name, "TagValue": value} for name, value in self._tags.items()],
        )["KeyMetadata"]["KeyId"]
        self._kms.enable_key_rotation(KeyId=key_id)
        self._kms.create_alias(AliasName=self.alias, TargetKeyId=key_id)


class _Bucket:
    def __init__(self, s3: Any, names: Names, key: _Key) -> None:
        self._s3, self._names, self._key = s3, names, key
        self._bucket = {"Bucket": names.bucket, "ExpectedBucketOwner": names.account_id}

    def exists(self) -> bool:
        """Tell whether the bucket exists.

        Raises:
            BootstrapError: the bucket belongs to another account.
        """
        try:
            self._s3.head_bucket(**self._bucket)
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            if status == 403:
                raise BootstrapError(
                    f"bucket {self._names.bucket} exists and is not this account's, or you may not see it: "
                    "choose another with --bucket"
                ) from None
            if status != 404:
                raise
            return False
        return True

    def make(self) -> None:
        region = self._names.region
        place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        self._s3.create_bucket(Bucket=self._names.bucket, **place)
        tags = [{"Key": name, "Value": value} for name, value in TAGS.items()]
        self._s3.put_bucket_tagging(**self._bucket, Tagging={"TagSet": tags})

    def owned(self) -> bool:
        return self._has(self._s3.get_bucket_ownership_controls, "OwnershipControls", self._ownership)

    def own(self) -> None:
        self._s3.put_bucket_ownership_controls(**self._bucket, OwnershipControls=self._ownership)

    def private(self) -> bool:
        return self._has(self._s3.get_public_access_block, "PublicAccessBlockConfiguration", self._closed)

    def close(self) -> None:
        self._s3.put_public_access_block(**self._bucket, PublicAccessBlockConfiguration=self._closed)

    def versioned(self) -> bool:
        return self._s3.get_bucket_versioning(**self._bucket).get("Status") == "Enabled"

    def keep_versions(self) -> None:
        self._s3.put_bucket_versioning(**self._bucket, VersioningConfiguration={"Status": "Enabled"})

    def encrypted(self) -> bool:
        return self._has(
            self._s3.get_bucket_encryption, "ServerSideEncryptionConfiguration", self._encryption, subset=True
        )

    def encrypt(self) -> None:
        self._s3.put_bucket_encryption(**self._bucket, ServerSideEncryptionConfiguration=self._encryption)

    def tls_only(self) -> bool:
        def matches() -> bool:
            return json.loads(self._s3.get_bucket_policy(**self._bucket)["Policy"]) == self._policy

        return _exists(matches, "NoSuchBucketPolicy") and matches()

    def refuse_plain(self) -> None:
        self._s3.put_bucket_policy(**self._bucket, Policy=json.dumps(self._policy))

    def forgets(self) -> bool:
        def rules() -> list[dict[str, Any]]:
            return self._s3.get_bucket_lifecycle_configuration(**self._bucket)["Rules"]

        return _exists(rules, "NoSuchLifecycleConfiguration") and any(
            rule.get("ID") == _FORGET["ID"] for rule in rules()
        )

    def forget(self) -> None:
        self._s3.put_bucket_lifecycle_configuration(**self._bucket, LifecycleConfiguration={"Rules": [_FORGET]})

    @property
    def _ownership(self) -> dict[str, Any]:
        return {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}

    @property
    def _closed(self) -> dict[str, Any]:
        names = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
        return dict.fromkeys(names, True)

    @property
    def _encryption(self) -> dict[str, Any]:
        apply = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": self._key.arn}
        return {"Rules": [{"ApplyServerSideEncryptionByDefault": apply, "BucketKeyEnabled": True}]}

    @property
    def _policy(self) -> dict[str, Any]:
        arn = f"arn:{self._s3.meta.partition}:s3:::{self._names.bucket}"
        refused = {
            "Sid": "TlsOnly",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [arn, f"{arn}/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
        return {"Version": "2012-10-17", "Statement": [refused]}

    def _has(self, get: Callable[..., Any], member: str, expected: dict[str, Any], *, subset: bool = False) -> bool:
        try:
            actual = get(**self._bucket)[member]
        except ClientError as error:
            if error.response["Error"]["Code"] in _NOT_SET:
                return False
            raise
        return _contains(actual, expected) if subset else actual == expected


_NOT_SET = frozenset(
    {
        "NoSuchPublicAccessBlockConfiguration",
        "OwnershipControlsNotFoundError",
        "ServerSideEncryptionConfigurationNotFoundError",
    }
)
_FORGET = {
    "ID": "forget-old-versions",
    "Status": "Enabled",
    "Filter": {"Prefix": ""},
    "NoncurrentVersionExpiration": {"NoncurrentDays": OLD_VERSIONS_DAYS},
    "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
}


def _exists(get: Callable[[], Any], missing_code: str) -> bool:
    """Call ``get``. Returns False for an error with the code of a missing resource."""
    try:
        get()
    except ClientError as error:
        if error.response["Error"]["Code"] == missing_code:
            return False
        raise
    return True


def _contains(actual: Any, expected: Any) -> bool:
    """Tell whether ``actual`` contains ``expected``; AWS may add members."""
    if isinstance(expected, dict):
        return isinstance(actual, dict) and all(_contains(actual.get(key), value) for key, value in expected.items())
    if isinstance(expected, list):
        return isinstance(actual, list) and len(actual) == len(expected) and all(map(_contains, actual, expected))
    return actual == expected
