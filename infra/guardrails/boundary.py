"""Permissions boundary: upper limit of the rights of every role of the stack, independent of grants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import pulumi_aws as aws
from pulumi import (
    ComponentResource,
    Input,
    Output,
    ResourceOptions,
    ResourceTransformationArgs,
    ResourceTransformationResult,
)

from infra.guardrails.pulumi_state import PulumiState, deny_other_environments
from infra.iam import policies
from infra.naming.context import STACK_TAG, DataClass, StackContext

BOUNDARY = "boundary"
# A role that can write policies can grant everything to itself or to a new role.
ESCALATION = (
    "iam:Add*",
    "iam:Attach*",
    "iam:Create*",
    "iam:Delete*",
    "iam:Detach*",
    "iam:Put*",
    "iam:Set*",
    "iam:Update*",
    "iam:Upload*",
)
LEAVING = (
    "account:CloseAccount",
    "account:DisableRegion",
    "account:EnableRegion",
    "organizations:DeleteOrganization",
    "organizations:LeaveOrganization",
    "organizations:RemoveAccountFromOrganization",
)
DISARMING = (
    "backup:DeleteBackupVault",
    "backup:DeleteBackupVaultLockConfiguration",
    "backup:DeleteRecoveryPoint",
    "backup:PutBackupVaultLockConfiguration",
    "budgets:ModifyBudget",
    "ce:DeleteAnomaly*",
    "ce:UpdateAnomaly*",
    "cloudtrail:DeleteTrail",
    "cloudtrail:PutEventSelectors",
    "cloudtrail:StopLogging",
    "cloudtrail:UpdateTrail",
    "cloudwatch:DeleteAlarms",
    "cloudwatch:DisableAlarmActions",
    "config:DeleteConfigurationRecorder",
    "config:DeleteDeliveryChannel",
    "config:StopConfigurationRecorder",
    "ec2:DisableEbsEncryptionByDefault",
    "guardduty:DeleteDetector",
    "guardduty:UpdateDetector",
    "kms:DisableKey",
    "kms:ScheduleKeyDeletion",
    "s3:BypassGovernanceRetention",
    "s3:PutAccountPublicAccessBlock",
    "securityhub:DisableSecurityHub",
)
# Global services, which one region serves for all regions; and model invocations, because a Bedrock inference profile
# forwards a request to other regions of its geography.
NOT_REGIONAL = (
    "bedrock:InvokeModel",
    "bedrock:InvokeModelWithResponseStream",
    "budgets:*",
    "ce:*",
    "cloudfront:*",
    "health:*",
    "iam:*",
    "organizations:*",
    "route53:*",
    "s3:GetAccountPublicAccessBlock",
    "s3:ListAllMyBuckets",
    "sts:*",
    "support:*",
)


@dataclass(frozen=True, kw_only=True)
class BoundaryArgs:
    context: StackContext
    allowed_regions: Sequence[str]  # in addition to the stack's region
    state: PulumiState


class Boundary(ComponentResource):
    """Managed policy that is the permissions boundary of every role.

    The boundary grants nothing: a role may do what is granted to the role and not denied by the boundary.
    """

    policy_arn: Output[str]

    def __init__(self, name: str, args: BoundaryArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:security:Boundary", name, opts=opts)
        self._stack = args.context.stack
        policy = aws.iam.Policy(
            f"{name}-policy",
            name=args.context.physical_name(BOUNDARY),
            description="The most that a role of this stack may do, whatever is granted to it",
            policy=policies.document(
                *statements([args.context.region, *args.allowed_regions]),
                *args.state.deny_all(),
                deny_other_environments(args.context),
            ),
            tags=args.context.tags("guardrails", DataClass.NONE, BOUNDARY),
            opts=ResourceOptions(parent=self),
        )
        self.policy_arn = policy.arn
        self.register_outputs({"policy_arn": self.policy_arn})

    def bind(self, resource: ResourceTransformationArgs) -> ResourceTransformationResult | None:
        """Set the boundary and the tag of the stack on every role, as a resource transformation of the whole stack.

        With the transformation no component can forget them.
        """
        if resource.type_ != "aws:iam/role:Role":
            return None
        tags = {**cast(Mapping[str, Input[str]], resource.props.get("tags", {})), STACK_TAG: self._stack}
        props = {**resource.props, "permissions_boundary": self.policy_arn, "tags": tags}
        return ResourceTransformationResult(props, resource.opts)


def statements(regions: Sequence[str]) -> list[policies.Statement]:
    """Return the boundary's statements on actions and regions; the boundary allows ``regions``."""
    elsewhere = {
        "StringNotEquals": {"aws:RequestedRegion": sorted(set(regions))},
        "Null": {"aws:RequestedRegion": "false"},  # a request without a region does not leave the region
    }
    return [
        {"Sid": "WhatIsGranted", "Effect": "Allow", "Action": "*", "Resource": "*"},
        {"Sid": "NoEscalation", "Effect": "Deny", "Action": list(ESCALATION), "Resource": "*"},
        {"Sid": "NoLeaving", "Effect": "Deny", "Action": list(LEAVING), "Resource": "*"},
        {"Sid": "NoDisarming", "Effect": "Deny", "Action": list(DISARMING), "Resource": "*"},
        {
            "Sid": "NoOtherRegion",
            "Effect": "Deny",
            "NotAction": list(NOT_REGIONAL),
            "Resource": "*",
            "Condition": elsewhere,
        },
    ]
