"""Keys: one for data at rest, and one Ed25519 signing key for each principal, so that IAM says who can sign as whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
from pulumi import ComponentResource, Output, ResourceOptions

from infra import policies
from infra.grants import Role
from infra.place import DataClass, Place
from infrafabric.bus.keys import public_key_of_der

DELETION_WINDOW_DAYS = 30  # the longest AWS grants: what the key encrypted is gone with it
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
# RDS, DynamoDB and Lambda work with the key through grants that the deployer makes for them.
_LEND = ("kms:CreateGrant", "kms:RevokeGrant", "kms:RetireGrant")
_SIGN = ("kms:GetPublicKey", "kms:Sign", "kms:Verify")


@dataclass(frozen=True, kw_only=True)
class KeysArgs:
    place: Place
    principals: Sequence[str]  # short names (coordinator, h01); each gets a signing key
    lent: Sequence[policies.Statement] = ()  # to services of AWS that use the data key in their own name
    recovery_region: str | None = None  # where data are copied to, and the data key with them
    data_key_arn: Output[str] | None = None  # a standby's: its primary's data key, as it is in this region


class Keys(ComponentResource):
    """The data key and the signing keys."""

    data_arn: Output[str]
    recovery_data_arn: Output[str] | None  # the data key as it is in the recovery region
    signing_arns: dict[str, Output[str]]  # by principal
    registry: Output[str]  # JSON: if:// principal → "ed25519:<base64>"

    def __init__(self, name: str, args: KeysArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:security:Keys", name, opts=opts)
        self._place, self._lent, self.recovery_data_arn = args.place, args.lent, None
        self.data_arn = args.data_key_arn or self._data_key(f"{name}-data", args.recovery_region)
        self.signing_arns = {
            principal: self._signing_key(f"{name}-{principal}", principal) for principal in args.principals
        }
        self.registry = Output.json_dumps(
            {principal_uri(who): self._public_key(arn) for who, arn in self.signing_arns.items()}, sort_keys=True
        )
        self.register_outputs({"data_arn": self.data_arn, "signing_arns": self.signing_arns, "registry": self.registry})

    def secret_replicas(self, region: str | None) -> Sequence[aws.secretsmanager.SecretReplicaArgsDict] | None:
        """Where a secret is copied to: nowhere, or ``region`` with the data key as it is there."""
        if region is None:
            return None
        return [{"region": region, "kms_key_id": self.copied_data_arn}]

    @property
    def copied_data_arn(self) -> Output[str]:
        """The data key as it is in the recovery region. Raises ``RuntimeError`` when the stack has none."""
        if self.recovery_data_arn is None:
            raise RuntimeError("there is no data key in another region: settings.recovery is not set")
        return self.recovery_data_arn

    def grant_use(self, role: Role, *services: str) -> None:
        """Encrypt and decrypt with the data key, but only through each of ``services`` ("s3", "sns" …)."""
        for service in services:
            via = {"StringEquals": {"kms:ViaService": f"{service}.{self._place.region}.amazonaws.com"}}
            sid = f"UseDataKeyThrough{service.title()}"
            role.allow(
                sid, "kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey", on=self.data_arn, when=via
            )

    def grant_copy(self, role: Role, region: str) -> None:
        """Decrypt here what S3 copies, and encrypt it there; and the other way round, on the way back."""
        for sid, arn, where in (
            ("UseDataKeyHere", self.data_arn, self._place.region),
            ("UseDataKeyThere", self.copied_data_arn, region),
        ):
            via = {"StringEquals": {"kms:ViaService": f"s3.{where}.amazonaws.com"}}
            role.allow(sid, "kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", on=arn, when=via)

    def grant_sign(self, role: Role, principal: str) -> None:
        """Sign messages as ``principal``."""
        role.allow(f"SignAs{principal.title()}", "kms:GetPublicKey", "kms:Sign", on=self.signing_arns[principal])

    def _data_key(self, name: str, recovery_region: str | None) -> Output[str]:
        place = self._place
        key = aws.kms.Key(
            name,
            description=f"InfraFabric {place.stack}: data at rest",
            enable_key_rotation=True,
            rotation_period_in_days=365,
            deletion_window_in_days=DELETION_WINDOW_DAYS,
            multi_region=recovery_region is not None,
            policy=self._data_policy(place),
            tags=place.tags("keys", DataClass.SECRET, "data"),
            opts=ResourceOptions(parent=self, protect=place.prod),
        )
        self._alias(name, "data", key.key_id)
        if recovery_region:
            # What was encrypted here can be read there with the same key material, and nothing is encrypted anew.
            copy = aws.kms.ReplicaKey(
                f"{name}-copy",
                region=recovery_region,
                primary_key_arn=key.arn,
                description=f"InfraFabric {place.stack}: data at rest, in the recovery region",
                deletion_window_in_days=DELETION_WINDOW_DAYS,
                policy=self._data_policy(place.elsewhere(recovery_region)),
                tags=place.tags("keys", DataClass.SECRET, "data"),
                opts=ResourceOptions(parent=self, protect=place.prod),
            )
            self.recovery_data_arn = copy.arn
        return key.arn

    def _data_policy(self, place: Place) -> Output[str]:
        logs = {
            "Sid": "LogGroupsOfThisAccount",
            "Effect": "Allow",
            "Principal": {"Service": f"logs.{place.region}.amazonaws.com"},
            "Action": ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"],
            "Resource": "*",  # in a key policy this means the key itself
            "Condition": {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": place.arn("logs", "log-group:*")}},
        }
        return policies.document(self._account(*_USE_DATA, *_ROTATE, *_LEND), logs, *self._lent)

    def _signing_key(self, name: str, principal: str) -> Output[str]:
        place = self._place
        key = aws.kms.Key(
            name,
            description=f"InfraFabric {place.stack}: signs IF.bus messages of {principal_uri(principal)}",
            customer_master_key_spec="ECC_NIST_EDWARDS25519",
            key_usage="SIGN_VERIFY",
            enable_key_rotation=False,  # KMS rotates symmetric keys only
            deletion_window_in_days=DELETION_WINDOW_DAYS,
            policy=policies.document(self._account(*_SIGN)),
            tags=place.tags("keys", DataClass.SECRET, f"signing-{principal}"),
            opts=ResourceOptions(parent=self),
        )
        self._alias(name, f"signing-{principal}", key.key_id)
        return key.arn

    def _alias(self, name: str, what: str, key_id: Output[str]) -> None:
        alias = f"alias/{self._place.named(what)}"
        aws.kms.Alias(f"{name}-alias", name=alias, target_key_id=key_id, opts=ResourceOptions(parent=self))

    def _account(self, *uses: str) -> Mapping[str, object]:
        """IAM of this account decides who administers and uses the key; without this nobody could change the policy."""
        root = self._place.account_id.apply(lambda account: f"arn:{self._place.partition}:iam::{account}:root")
        return {
            "Sid": "IamOfThisAccountDecides",
            "Effect": "Allow",
            "Principal": {"AWS": root},
            "Action": sorted({*_ADMINISTER, *uses}),
            "Resource": "*",  # in a key policy this means the key itself
        }

    def _public_key(self, key_arn: Output[str]) -> Output[str]:
        found = aws.kms.get_public_key_output(key_id=key_arn, opts=pulumi.InvokeOutputOptions(parent=self))
        return found.public_key.apply(public_key_of_der)


def principal_uri(principal: str) -> str:
    """The ``if://`` name of ``h01`` or ``coordinator``."""
    return f"if://agent/{principal}"
