"""AccountBaseline: what holds for everything in the account, this stack's or not."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi_aws as aws
from pulumi import ComponentResource, ResourceOptions

from infra.naming.context import StackContext


@dataclass(frozen=True, kw_only=True)
class AccountBaselineArgs:
    context: StackContext


class AccountBaseline(ComponentResource):
    """Passwords of IAM users, buckets open to the world, and disks: none of them can carry tags."""

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
            hard_expiry=False,  # an expired user could not even change the password
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
