"""Tenants: a role for one tenant at a time. What it may touch follows from the tag that its session carries.

The application takes the role with the tag ``tenant``, and works with the session's credentials: a request for another
tenant's object is refused by IAM, whatever the application's code has mixed up. Rows are kept apart by row-level
security, see infrafabric/recorder/migrations/0002_tenants.sql.
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
    """The role, and the right of ``taken_by`` to take it for one tenant."""

    role_arn: Output[str]

    def __init__(self, name: str, args: TenantsArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:front:Tenants", name, opts=opts)
        trust = policies.document(
            {
                "Sid": "OneTenantAtATime",
                "Effect": "Allow",
                "Principal": {"AWS": args.application_role.arn},
                "Action": ["sts:AssumeRole", "sts:TagSession"],
                # Without the tag the prefix would be empty; with a slash in it, a place within another tenant's. STS
                # itself takes no wildcard in a tag.
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
