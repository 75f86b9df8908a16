"""Attachment of a Lambda function to the VPC: subnets, and a security group with explicit egress rules."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi_aws as aws
from pulumi import ComponentResource, Input, Output, Resource, ResourceOptions

from infra.foundation.foundation import Foundation
from infra.iam.grants import Role
from infra.naming.context import DataClass
from infra.network.network import Network

HTTPS = 443


@dataclass(frozen=True, kw_only=True)
class AttachmentArgs:
    foundation: Foundation
    network: Network
    role: Role
    label: str  # the function's name without the stack


class Attachment(ComponentResource):
    """Private subnets and a closed security group for one function; egress to endpoints, S3 and each ``reach``."""

    subnet_ids: list[Output[str]]
    security_group_id: Output[str]
    rules: list[Resource]  # the function's first invocation depends on these rules

    def __init__(self, name: str, args: AttachmentArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:network:Attachment", name, opts=opts)
        self._name, self._args = name, args
        network = args.network
        args.network.grant_attach(args.role)
        group = aws.ec2.SecurityGroup(
            f"{name}-group",
            name=args.foundation.context.physical_name(f"{args.label}-function"),
            description=f"The function {args.label}: nothing comes in",
            vpc_id=network.vpc_id,
            tags=args.foundation.context.tags("network", DataClass.NONE, args.label),
            opts=ResourceOptions(parent=self),
        )
        self.subnet_ids, self.security_group_id = network.private_subnet_ids, group.id
        to_s3 = aws.vpc.SecurityGroupEgressRule(
            f"{name}-to-s3",
            security_group_id=group.id,
            prefix_list_id=network.endpoints.s3_prefix_list_id,
            ip_protocol="tcp",
            from_port=HTTPS,
            to_port=HTTPS,
            description="S3, through the gateway endpoint",
            tags=args.foundation.context.tags("network", DataClass.NONE),
            opts=ResourceOptions(parent=self),
        )
        self.rules = [to_s3, *network.endpoints.interfaces]
        self.reach("endpoints", network.endpoints.security_group_id, HTTPS, self)
        self.register_outputs({"security_group_id": self.security_group_id})

    def reach(self, label: str, security_group_id: Input[str], port: int, parent: Resource) -> None:
        """Open ``port`` of another security group to this function, by an egress and an ingress rule."""
        tags = self._args.foundation.context.tags("network", DataClass.NONE)
        own_group_id, name = self.security_group_id, f"{self._name}-{label}"
        egress = aws.vpc.SecurityGroupEgressRule(
            f"{name}-out",
            security_group_id=own_group_id,
            referenced_security_group_id=security_group_id,
            ip_protocol="tcp",
            from_port=port,
            to_port=port,
            description=f"To {label}",
            tags=tags,
            opts=ResourceOptions(parent=parent),
        )
        ingress = aws.vpc.SecurityGroupIngressRule(
            f"{name}-in",
            security_group_id=security_group_id,
            referenced_security_group_id=own_group_id,
            ip_protocol="tcp",
            from_port=port,
            to_port=port,
            description=f"From the function {self._args.label}",
            tags=tags,
            opts=ResourceOptions(parent=parent),
        )
        self.rules += [egress, ingress]
