"""KMS keys: one for data at rest, and Ed25519 signing keys per principal; IAM decides who can sign as whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
from pulumi import ComponentResource, Output, ResourceOptions

from infra.iam import policies
from infra.iam.grants import Role
from infra.naming.context import PROJECT, DataClass, StackContext
from infrafabric.bus.keys import public_key_of_der
from infrafabric.bus.uris import agent_uri

AUTO_SCALING = "autoscaling.amazonaws.com"
DELETION_WINDOW_DAYS = 30  # AWS's maximum, because data encrypted with the key is lost with the key
_ADMINISTER = (
    "kms:CancelKeyDeletion",
    "kms:CreateAlias",
    "kms:DeleteAlias",
    "kms:DescribeKey",
    "kms:DisableKey",
    "kms:EnableKey",
    "kms:GetKeyPolicy",
    "kms:GetKeyRotationStatus",
    "kms:ListGrants",
    "kms:ListKeyPolicies",
    "kms:ListResourceTags",
    "kms:PutKeyPolicy",
    "kms:ScheduleKeyDeletion",
    "kms:TagResource",
    "kms:UntagResource",
    "kms:UpdateAlias",
    "kms:UpdateKeyDescription",
)
_USE_DATA = ("kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*")
_ROTATE = ("kms:DisableKeyRotation", "kms:EnableKeyRotation", "kms:ListKeyRotations", "kms:RotateKeyOnDemand")
# The deployer creates KMS grants for RDS, DynamoDB and Lambda.
_LEND = ("kms:CreateGrant", "kms:RevokeGrant", "kms:RetireGrant")
# Replicate the key to another region, synchronise the replicas (KMS acts with a role of this account), and promote a
# replica after the loss of the primary's region.
_COPY = ("kms:ReplicateKey", "kms:SynchronizeMultiRegionKey", "kms:UpdatePrimaryRegion")
_SIGN = ("kms:GetPublicKey", "kms:Sign", "kms:Verify")


@dataclass(frozen=True, kw_only=True)
class KeysArgs:
    context: StackContext
    # Generations of the trusted signing keys, the current one first, by the principal's short name (coordinator, h01).
    signing_generations: Mapping[str, Sequence[int]]
    data_key_statements: Sequence[policies.Statement] = ()  # for AWS services that use the data key as themselves
    auto_scaling: bool = False  # the stack has instances with encrypted volumes
    primary_stack: str | None = None  # standby only: stack that owns the data key and the Auto Scaling role
    edge: bool = False  # CloudFront reads objects that the data key encrypts
    recovery_region: str | None = None  # region of the data copies and of a replica of the data key
    data_key_arn: Output[str] | None = None  # standby only: replica of the primary's data key in this region


@dataclass(frozen=True, kw_only=True)
class SigningKey:
    """Signing key of a principal, and its public half as in the registry."""

    arn: Output[str]
    public_key: Output[str]


class Keys(ComponentResource):
    """KMS data key, one signing key per principal (two during its rotation), and the registry of public keys."""

    data_arn: Output[str]
    recovery_data_arn: Output[str] | None  # replica of the data key in the recovery region
    signing: dict[str, list[SigningKey]]  # by principal: the current key, and the previous one during a rotation
    auto_scaling_role_arn: Output[str] | None  # service-linked role that starts the instances
    registry: Output[str]  # JSON: if:// principal → "ed25519:<base64>", or a list of two during a rotation

    def __init__(self, name: str, args: KeysArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:security:Keys", name, opts=opts)
        self._context, self._data_key_statements, self._edge = args.context, args.data_key_statements, args.edge
        self.recovery_data_arn = None
        self.auto_scaling_role_arn = self._auto_scaling_role(name, args) if args.auto_scaling else None
        self.data_arn = args.data_key_arn or self._data_key(f"{name}-data", args.recovery_region)
        self.signing = {
            principal: [self._signing_key(name, principal, generation) for generation in generations]
            for principal, generations in args.signing_generations.items()
        }
        self.registry = Output.json_dumps(
            {agent_uri(principal): _registry_entry(keys) for principal, keys in self.signing.items()}, sort_keys=True
        )
        current_arns = {principal: keys[0].arn for principal, keys in self.signing.items()}
        self.register_outputs({"data_arn": self.data_arn, "signing_arns": current_arns, "registry": self.registry})

    def secret_replicas(self, region: str | None) -> Sequence[aws.secretsmanager.SecretReplicaArgsDict] | None:
        """Return the replica configuration of a secret in ``region``; None without a region."""
        if region is None:
            return None
        return [{"region": region, "kms_key_id": self.copied_data_arn}]

    @property
    def secret_recovery_days(self) -> int:
        """Days in which a deleted secret can be restored and its name is taken; 0 in dev, where stacks come and go."""
        return 30 if self._context.prod else 0

    @property
    def copied_data_arn(self) -> Output[str]:
        """ARN of the data key's replica in the recovery region.

        Raises:
            RuntimeError: the stack has no recovery region.
        """
        if self.recovery_data_arn is None:
            raise RuntimeError("the data key has no replica, because settings.recovery is not set")
        return self.recovery_data_arn

    def grant_use(self, role: Role, *services: str) -> None:
        """Grant encryption and decryption with the data key, only through each of ``services`` ("s3", "sns" …)."""
        for service in services:
            via = {"StringEquals": {"kms:ViaService": f"{service}.{self._context.region}.amazonaws.com"}}
            sid = f"UseDataKeyThrough{service.title()}"
            role.allow(
                sid, "kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey", on=self.data_arn, when=via
            )

    def grant_copy(self, role: Role, region: str) -> None:
        """Grant decryption and encryption for S3 replication between this region and ``region``, in both directions."""
        for sid, arn, where in (
            ("UseDataKeyHere", self.data_arn, self._context.region),
            ("UseDataKeyThere", self.copied_data_arn, region),
        ):
            via = {"StringEquals": {"kms:ViaService": f"s3.{where}.amazonaws.com"}}
            role.allow(sid, "kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", on=arn, when=via)

    def grant_sign(self, role: Role, principal: str) -> None:
        """Grant signing of messages as ``principal``.

        The previous key stays granted while it is trusted, because versions that run sessions know no other key.
        """
        arns = [key.arn for key in self.signing[principal]]
        role.allow(f"SignAs{principal.title()}", "kms:GetPublicKey", "kms:Sign", on=arns)

    def grant_describe_signing_key(self, role: Role, principal: str) -> None:
        """Grant seeing whether the current key of ``principal`` is usable, without signing."""
        role.allow(f"DescribeKeyOf{principal.title()}", "kms:DescribeKey", on=self.signing[principal][0].arn)

    def signing_variables(self, principal: str) -> dict[str, Output[str]]:
        """Return the fields of ``SigningEnvironment`` for a function that signs as ``principal``."""
        current, *previous = self.signing[principal]
        variables = {"signing_key_arn": current.arn, "signing_public_key": current.public_key}
        for key in previous:
            variables |= {"previous_signing_key_arn": key.arn, "previous_signing_public_key": key.public_key}
        return variables

    def data_arn_in(self, region: str) -> Output[str] | None:
        """Return the data key's ARN if the key is in ``region``, else None.

        A log group in another region uses AWS's own encryption.
        """
        return self.data_arn if region == self._context.region else None

    def _auto_scaling_role(self, name: str, args: KeysArgs) -> Output[str]:
        """Return the ARN of a service-linked role that belongs to this stack alone.

        A key policy can only name an existing role, and AWS creates the account's shared role with the first Auto
        Scaling group. A standby uses its primary's role, which the key policy names.
        """
        context = self._context
        if args.primary_stack:
            return auto_scaling_role(context, args.primary_stack)
        role = aws.iam.ServiceLinkedRole(
            f"{name}-auto-scaling",
            aws_service_name=AUTO_SCALING,
            custom_suffix=context.physical_name("app"),
            tags=context.tags("keys", DataClass.NONE, "auto-scaling"),
            opts=ResourceOptions(parent=self),
        )
        return role.arn

    def _data_key(self, name: str, recovery_region: str | None) -> Output[str]:
        context = self._context
        key = aws.kms.Key(
            name,
            description=f"InfraFabric {context.stack}: data at rest",
            enable_key_rotation=True,
            rotation_period_in_days=365,
            deletion_window_in_days=DELETION_WINDOW_DAYS,
            multi_region=True,  # always: KMS cannot convert a key later, and a new key cannot decrypt old data
            policy=self._data_policy(context),
            tags=context.tags("keys", DataClass.SECRET, "data"),
            # After a destroy, prod's final snapshot and backups remain, and only this key decrypts them.
            opts=ResourceOptions(parent=self, protect=context.prod, retain_on_delete=context.prod),
        )
        self._alias(name, "data", key.key_id)
        if recovery_region:
            # A replica has the same key material, so that replicated data is readable without encrypting it again.
            copy = aws.kms.ReplicaKey(
                f"{name}-copy",
                region=recovery_region,
                primary_key_arn=key.arn,
                description=f"InfraFabric {context.stack}: data at rest, in the recovery region",
                deletion_window_in_days=DELETION_WINDOW_DAYS,
                policy=self._data_policy(context.in_region(recovery_region)),
                tags=context.tags("keys", DataClass.SECRET, "data"),
                opts=ResourceOptions(parent=self, protect=context.prod),
            )
            self.recovery_data_arn = copy.arn
        return key.arn

    def _data_policy(self, context: StackContext) -> Output[str]:
        logs = {
            "Sid": "LogGroupsOfThisAccount",
            "Effect": "Allow",
            "Principal": {"Service": f"logs.{context.region}.amazonaws.com"},
            "Action": ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"],
            "Resource": "*",  # in a key policy "*" means the key itself
            "Condition": {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": context.arn("logs", "log-group:*")}},
        }
        distributions = self._distributions() if self._edge else ()
        iam = iam_delegation(context, *_USE_DATA, *_ROTATE, *_LEND, *_COPY)
        return policies.document(iam, logs, *self._volumes(), *distributions, *self._data_key_statements)

    def _volumes(self) -> list[policies.Statement]:
        """Return statements with which Auto Scaling encrypts instance volumes and lets hosts attach them."""
        if self.auto_scaling_role_arn is None:
            return []
        # In a key policy the resource "*" means the key itself.
        principal = {"Effect": "Allow", "Principal": {"AWS": self.auto_scaling_role_arn}, "Resource": "*"}
        use = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
        lend = {"Bool": {"kms:GrantIsForAWSResource": "true"}}
        return [
            {"Sid": "VolumesOfInstances", "Action": use, **principal},
            {"Sid": "AttachVolumesOfInstances", "Action": "kms:CreateGrant", "Condition": lend, **principal},
        ]

    def _distributions(self) -> list[policies.Statement]:
        context = self._context
        arns = context.account_id.apply(lambda account: f"arn:{context.partition}:cloudfront::{account}:distribution/*")
        return [
            {
                "Sid": "DistributionsOfThisAccount",
                "Effect": "Allow",
                "Principal": {"Service": "cloudfront.amazonaws.com"},
                "Action": "kms:Decrypt",
                "Resource": "*",  # in a key policy "*" means the key itself
                # The key exists before the distribution; the bucket policy limits the distribution's objects.
                "Condition": {"ArnLike": {"aws:SourceArn": arns}},
            }
        ]

    def _signing_key(self, name: str, principal: str, generation: int) -> SigningKey:
        # The first generation has the names of releases that knew no generations.
        suffix = "" if generation == 1 else f"-g{generation}"
        label, name = f"signing-{principal}{suffix}", f"{name}-{principal}{suffix}"
        context = self._context
        key = aws.kms.Key(
            name,
            description=f"InfraFabric {context.stack}: signs IF.bus messages of {agent_uri(principal)}",
            customer_master_key_spec="ECC_NIST_EDWARDS25519",
            key_usage="SIGN_VERIFY",
            enable_key_rotation=False,  # KMS rotates symmetric keys only
            deletion_window_in_days=DELETION_WINDOW_DAYS,
            policy=policies.document(iam_delegation(self._context, *_SIGN)),
            tags=context.tags("keys", DataClass.SECRET, label),
            opts=ResourceOptions(parent=self),
        )
        self._alias(name, label, key.key_id)
        return SigningKey(arn=key.arn, public_key=self._public_key(key.arn))

    def _alias(self, name: str, label: str, key_id: Output[str]) -> None:
        alias = f"alias/{self._context.physical_name(label)}"
        aws.kms.Alias(f"{name}-alias", name=alias, target_key_id=key_id, opts=ResourceOptions(parent=self))

    def _public_key(self, key_arn: Output[str]) -> Output[str]:
        found = aws.kms.get_public_key_output(key_id=key_arn, opts=pulumi.InvokeOutputOptions(parent=self))
        return found.public_key.apply(public_key_of_der)


def _registry_entry(keys: Sequence[SigningKey]) -> Output[str] | list[Output[str]]:
    """Return a principal's entry in the registry: only two keys are a list, which release 0.1.0 cannot read."""
    return [key.public_key for key in keys] if len(keys) > 1 else keys[0].public_key


def iam_delegation(context: StackContext, *uses: str) -> Mapping[str, object]:
    """Return the statement that lets IAM of this account decide who administers and uses the key.

    Without this statement no principal could change the key policy.
    """
    root = context.account_id.apply(lambda account: f"arn:{context.partition}:iam::{account}:root")
    return {
        "Sid": "IamOfThisAccountDecides",
        "Effect": "Allow",
        "Principal": {"AWS": root},
        "Action": sorted({*_ADMINISTER, *uses}),
        "Resource": "*",  # in a key policy "*" means the key itself
    }


def auto_scaling_role(context: StackContext, stack: str) -> Output[str]:
    """Return the ARN of the service-linked role of ``stack``; AWS builds the role's name from our suffix."""
    path = f"aws-service-role/{AUTO_SCALING}/AWSServiceRoleForAutoScaling_{PROJECT}-{stack}-app"
    return context.account_id.apply(lambda account: f"arn:{context.partition}:iam::{account}:role/{path}")
