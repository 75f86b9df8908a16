"""Account-wide baseline settings, independent of the stack."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi_aws as aws
from pulumi import ComponentResource, ResourceOptions

from infra.naming.context import StackContext


@dataclass(frozen=True, kw_only=True)
class AccountBaselineArgs:
    context: StackContext


class AccountBaseline(ComponentResource):
    """IAM password policy, S3 public access block and EBS encryption for the whole account; none can carry tags."""

    def __init__(self, name: str, args: AccountBaselineArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:guardrails:AccountBaseline", name, opts=opts)
        child = ResourceOptions(parent=self)
        aws.iam.AccountPasswordPolicy(
            f"{name}-passwords",
            minimum_password_length=16,
            require_lowercase_characters=True,
            require_uppercase_characters=True,
            require_numbers=True,
            require_symbols=True,
            allow_users_to_change_password=True,
            hard_expiry=False,  # with a hard expiry an expired user could not change the password
            max_password_age=90,
            password_reuse_prevention=24,
            opts=child,
        )
        aws.s3.AccountPublicAccessBlock(
            f"{name}-buckets",
            account_id=args.context.account_id,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=child,
        )
        aws.ebs.EncryptionByDefault(f"{name}-disks", enabled=True, opts=child)
        self.register_outputs({})
