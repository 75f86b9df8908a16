"""Role of the application for one tenant at a time; the session tag ``tenant`` limits the rights.

The application assumes the role with the session tag, and works with the session's credentials. IAM then denies access
to another tenant's objects, even if the application's code confuses tenants. Row-level security separates database
rows, see infrafabric/recorder/migrations/0002_tenants.sql.
"""

from __future__ import annotations

from dataclasses import dataclass

from pulumi import ComponentResource, Output, ResourceOptions

from infra.foundation.foundation import Foundation
from infra.iam import policies
from infra.iam.grants import Role
from infra.naming.context import DataClass

TAG = "tenant"


@dataclass(frozen=True, kw_only=True)
class TenantsArgs:
    foundation: Foundation
    application_role: Role


class Tenants(ComponentResource):
    """IAM role for one tenant at a time, and the application's right to assume the role."""

    role_arn: Output[str]

    def __init__(self, name: str, args: TenantsArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:front:Tenants", name, opts=opts)
        trust = policies.document(
            {
                "Sid": "OneTenantAtATime",
                "Effect": "Allow",
                "Principal": {"AWS": args.application_role.arn},
                "Action": ["sts:AssumeRole", "sts:TagSession"],
                # A missing tag would give an empty prefix; a slash in the tag would give a path inside another tenant's
                # prefix. STS itself refuses wildcards in a tag.
                "Condition": {
                    "StringLike": {f"aws:RequestTag/{TAG}": "?*"},
                    "StringNotLike": {f"aws:RequestTag/{TAG}": "*/*"},
                    "ForAllValues:StringEquals": {"aws:TagKeys": [TAG]},
                },
            }
        )
        tags = args.foundation.context.tags("front", DataClass.NONE, "tenant")
        role = Role(name, tags, ResourceOptions(parent=self), trust=trust)
        args.foundation.storage.grant_own_tenant(role)
        role.write_policy()
        args.application_role.allow("BecomeOneTenant", "sts:AssumeRole", "sts:TagSession", on=role.arn)
        self.role_arn = role.arn
        self.register_outputs({"role_arn": self.role_arn})
