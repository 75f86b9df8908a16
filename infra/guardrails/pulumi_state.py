"""Policy statements on Pulumi's state: the objects of the state bucket and the KMS keys that a role may use.

The bucket has the state of all stacks; IAM separates the stacks by object key. The key of the bucket's objects serves
through S3 alone, so that it decrypts no secret of an old checkpoint; the secrets have one key per environment.

Source of the object keys: pkg/backend/diy in pulumi/pulumi (``projectReferenceStore``, ``stackPath``,
``stackLockDir``).
"""

from __future__ import annotations

from dataclasses import dataclass

from pulumi import Output

from infra import settings
from infra.iam import policies
from infra.naming.context import PROJECT, StackContext
from infrafabric.operators.bootstrap import ENVIRONMENTS, STATE_BUCKET_PREFIX, STATE_KEY_ALIAS, secrets_key_alias

_THROUGH_S3 = "s3.*.amazonaws.com"
_ALIASES = "kms:ResourceAliases"
# A checkpoint may be compressed. The ending is exact: "prod*" is also prod-secondary, and "prod.json*" the backup copy.
_CHECKPOINTS = (".json", ".json.gz", ".json.zst")
_LIST = ("s3:ListBucket", "s3:ListBucketVersions")
_READ = ("s3:GetObject", "s3:GetObjectVersion")
_WRITE = (
    "s3:DeleteBucket",
    "s3:DeleteBucketPolicy",
    "s3:DeleteObject",
    "s3:DeleteObjectVersion",
    "s3:PutBucketPolicy",
    "s3:PutBucketVersioning",
    "s3:PutEncryptionConfiguration",
    "s3:PutLifecycleConfiguration",
    "s3:PutObject",
    "s3:PutReplicationConfiguration",
)


@dataclass(frozen=True, kw_only=True)
class PulumiState:
    """Pulumi's state as seen from one stack.

    Attributes:
        bucket: name of the state bucket; None for the default name of ``fabric bootstrap``.
        primary: standby only: stack that the standby's StackReference reads.
    """

    context: StackContext
    bucket: str | None = None
    primary: settings.PrimarySettings | None = None

    def allow_reading(self) -> list[policies.Statement]:
        """Return the statements with which a preview decrypts the objects and the secrets of its own environment.

        A preview reads the checkpoint of its stack and that of a referenced stack, and takes no lock
        (``diyBackend.Preview`` in pulumi/pulumi). A StackReference decrypts with the key of the referenced stack.
        """
        own = {"ForAnyValue:StringEquals": {_ALIASES: secrets_key_alias(self.context.environment)}}
        objects = {
            "ForAnyValue:StringEquals": {_ALIASES: STATE_KEY_ALIAS},
            "StringLike": {"kms:ViaService": _THROUGH_S3},
        }
        keys = self._kms("key/*")
        return [
            {"Sid": "DecryptSecrets", "Effect": "Allow", "Action": "kms:Decrypt", "Resource": keys, "Condition": own},
            {"Sid": "DecryptState", "Effect": "Allow", "Action": "kms:Decrypt", "Resource": keys, "Condition": objects},
        ]

    def deny_other_objects(self, *readable: str) -> list[policies.Statement]:
        """Return the statements that deny every object but the checkpoints that a preview reads.

        History, backups and older versions are denied too: old checkpoints stay readable with the old key.

        Args:
            readable: ARN patterns of buckets whose objects the role may read as well.
        """
        objects = [f"{bucket}/*" for bucket in readable]
        versions = {"NotResource": objects} if objects else {"Resource": "*"}
        return [
            # To list the bucket makes S3 answer 404, not 403, for an object that is missing: stack tags often are.
            _deny("NoOtherLists", _LIST, but=[self._bucket_arn(), *readable]),
            _deny("NoOtherObjects", ("s3:GetObject",), but=[*self._objects(*self._readable()), *objects]),
            {"Sid": "NoOldObjects", "Effect": "Deny", "Action": "s3:GetObjectVersion", **versions},
        ]

    def deny_other_stacks(self, own_buckets: str) -> list[policies.Statement]:
        """Return the statements that keep a deployment, which has PowerUserAccess, from other state, secrets and keys.

        Args:
            own_buckets: ARN pattern of the stack's own buckets.
        """
        own, keys = secrets_key_alias(self.context.environment), self._kms("key/*")
        return [
            _deny("NoOtherLists", _LIST, but=[own_buckets, self._bucket_arn()]),
            _deny("NoOtherReads", _READ, but=[own_buckets, *self._objects(*self._readable(), *self._writable())]),
            _deny("NoOtherWrites", _WRITE, but=[own_buckets, *self._objects(*self._writable())]),
            {
                "Sid": "NoOtherSecrets",
                "Effect": "Deny",
                "Action": "kms:*",
                "Resource": keys,
                "Condition": {"ForAnyValue:StringEquals": {_ALIASES: _other_aliases(self.context)}},
            },
            {
                "Sid": "NoStateKeyButThroughS3",
                "Effect": "Deny",
                "Action": "kms:*",
                "Resource": keys,
                "Condition": {
                    "ForAnyValue:StringEquals": {_ALIASES: STATE_KEY_ALIAS},
                    "StringNotLike": {"kms:ViaService": _THROUGH_S3},
                },
            },
            {
                "Sid": "OnlyUseOwnSecretsKey",
                "Effect": "Deny",
                "NotAction": ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey"],
                "Resource": keys,
                "Condition": {"ForAnyValue:StringEquals": {_ALIASES: own}},
            },
            {
                # The statements above find a key by its alias.
                "Sid": "NoOtherAliases",
                "Effect": "Deny",
                "Action": ["kms:CreateAlias", "kms:DeleteAlias", "kms:UpdateAlias"],
                "Resource": self._kms(f"{STATE_KEY_ALIAS}*"),
            },
        ]

    def deny_all(self) -> list[policies.Statement]:
        """Return the statements that keep a role of the platform from all state and from all keys of the state.

        Without them a deployment could read the state of other stacks by a function and a role of its own.
        """
        return [
            {
                "Sid": "NoPulumiState",
                "Effect": "Deny",
                "Action": "s3:*",
                "Resource": [self._bucket_arn(), *self._objects("*")],
            },
            {
                "Sid": "NoPulumiKeys",
                "Effect": "Deny",
                "Action": "kms:*",
                "Resource": "*",
                "Condition": {"ForAnyValue:StringLike": {_ALIASES: f"{STATE_KEY_ALIAS}*"}},
            },
        ]

    def _readable(self) -> list[str]:
        """Return the keys of the objects that a preview reads."""
        stacks = [f"{PROJECT}/{self.context.stack}"]
        if self.primary:
            stacks.append(self.primary.stack.partition("/")[2])
        checkpoints = [f".pulumi/stacks/{stack}{ending}" for stack in stacks for ending in _CHECKPOINTS]
        return [".pulumi/meta.yaml", f".pulumi/stacks/{stacks[0]}.pulumi-tags", *checkpoints]

    def _writable(self) -> list[str]:
        """Return the keys of the objects that an update writes and deletes, as patterns."""
        stack = f"{PROJECT}/{self.context.stack}"
        return [
            f".pulumi/stacks/{stack}.json*",  # with the backup copy that each update leaves
            f".pulumi/stacks/{stack}.pulumi-tags",
            f".pulumi/history/{stack}/*",
            f".pulumi/backups/{stack}/*",
            f".pulumi/locks/organization/{stack}/*",
        ]

    def _objects(self, *keys: str) -> list[Output[str]]:
        return [Output.concat(self._bucket_arn(), "/", key) for key in dict.fromkeys(keys)]

    def _bucket_arn(self) -> Output[str]:
        # All stacks keep their state in one region, which may differ from the stack's region.
        return self.context.account_id.apply(
            lambda account: f"arn:{self.context.partition}:s3:::{self.bucket or f'{STATE_BUCKET_PREFIX}-{account}-*'}"
        )

    def _kms(self, resource: str) -> Output[str]:
        partition = self.context.partition
        return self.context.account_id.apply(lambda account: f"arn:{partition}:kms:*:{account}:{resource}")


def deny_other_environments(context: StackContext) -> policies.Statement:
    """Return the statement that denies every action on what has the tag of another environment.

    A service without the condition key ``aws:ResourceTag`` ignores the statement; docs/guardrails.md names them.
    """
    others = [environment for environment in ENVIRONMENTS if environment != context.environment]
    return {
        "Sid": "NoOtherEnvironment",
        "Effect": "Deny",
        "Action": "*",
        "Resource": "*",
        "Condition": {"StringEquals": {"aws:ResourceTag/Project": PROJECT, "aws:ResourceTag/Environment": others}},
    }


def _deny(sid: str, actions: tuple[str, ...], *, but: list[Output[str] | str]) -> policies.Statement:
    return {"Sid": sid, "Effect": "Deny", "Action": list(actions), "NotResource": but}


def _other_aliases(context: StackContext) -> list[str]:
    return [secrets_key_alias(other) for other in ENVIRONMENTS if other != context.environment]
