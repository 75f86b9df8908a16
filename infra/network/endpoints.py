"""VPC endpoints: access to AWS services without internet access."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi_aws as aws
from pulumi import ComponentResource, Input, Output, ResourceOptions

from infra.iam import policies
from infra.naming.context import DataClass, StackContext


@dataclass(frozen=True, kw_only=True)
class EndpointsArgs:
    context: StackContext
    vpc_id: Input[str]
    route_table_ids: Sequence[Input[str]]
    subnet_ids: Sequence[Input[str]]  # AWS bills an interface endpoint per subnet
    interfaces: Sequence[str]
    # Standby only: the primary's copies, whose names carry the primary's name.
    existing_bucket_arns: Sequence[Output[str]] = ()


class Endpoints(ComponentResource):
    """Gateway endpoints for S3 and DynamoDB, and one interface endpoint per called service.

    Gateway endpoints cost nothing. Every endpoint's policy allows only principals of this account on resources of this
    stack, so that a compromised function cannot send data to a foreign bucket or queue.
    """

    security_group_id: Output[str]
    s3_prefix_list_id: Output[str]
    interfaces: list[aws.ec2.VpcEndpoint]  # a function's first invocation depends on these endpoints

    def __init__(self, name: str, args: EndpointsArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:network:Endpoints", name, opts=opts)
        self._name, self._args = name, args
        context = args.context
        group = aws.ec2.SecurityGroup(
            f"{name}-group",
            name=context.physical_name("endpoints"),
            description="Interface endpoints: HTTPS from the functions that were let in",
            vpc_id=args.vpc_id,
            tags=self._tags("endpoints"),
            opts=ResourceOptions(parent=self),
        )
        self.security_group_id = group.id
        buckets: list[Input[str]] = [
            f"arn:{context.partition}:s3:::{context.physical_name('*')}",
            *args.existing_bucket_arns,
        ]
        objects = [Output.concat(bucket, "/*") for bucket in buckets]
        items = ("GetItem", "PutItem", "Query", "UpdateItem")
        s3 = self._gateway("s3", ["s3:GetObject", "s3:ListBucket", "s3:PutObject"], [*buckets, *objects])
        self._gateway(
            "dynamodb",
            [f"dynamodb:{i}" for i in items],
            [context.arn("dynamodb", f"table/{context.physical_name('*')}")],
        )
        self.s3_prefix_list_id = s3.prefix_list_id
        self.interfaces = [self._interface(service) for service in args.interfaces]
        self.register_outputs(
            {"security_group_id": self.security_group_id, "s3_prefix_list_id": self.s3_prefix_list_id}
        )

    def _gateway(self, service: str, actions: Sequence[str], on: Sequence[Input[str]]) -> aws.ec2.VpcEndpoint:
        return aws.ec2.VpcEndpoint(
            f"{self._name}-{service}",
            vpc_id=self._args.vpc_id,
            service_name=f"com.amazonaws.{self._args.context.region}.{service}",
            vpc_endpoint_type="Gateway",
            route_table_ids=self._args.route_table_ids,
            policy=self._policy(actions, on),
            tags=self._tags(service),
            opts=ResourceOptions(parent=self),
        )

    def _interface(self, service: str) -> aws.ec2.VpcEndpoint:
        context = self._args.context
        actions, on = {
            # RDS chooses the names of managed secrets, so the endpoint admits all secrets, and IAM limits the access.
            "secretsmanager": (["secretsmanager:GetSecretValue"], context.arn("secretsmanager", "secret:*")),
            "sqs": (["sqs:SendMessage"], context.arn("sqs", context.physical_name("*"))),
        }[service]
        return aws.ec2.VpcEndpoint(
            f"{self._name}-{service}",
            vpc_id=self._args.vpc_id,
            service_name=f"com.amazonaws.{context.region}.{service}",
            vpc_endpoint_type="Interface",
            private_dns_enabled=True,
            subnet_ids=self._args.subnet_ids,
            security_group_ids=[self.security_group_id],
            policy=self._policy(actions, [on]),
            tags=self._tags(service),
            opts=ResourceOptions(parent=self),
        )

    def _policy(self, actions: Sequence[str], on: Sequence[Input[str]]) -> Output[str]:
        return policies.document(
            {
                "Sid": "OurAccountToOurResources",
                "Effect": "Allow",
                "Principal": "*",  # an endpoint policy cannot match role sessions; the condition names the account
                "Action": list(actions),
                "Resource": list(on),
                "Condition": {"StringEquals": {"aws:PrincipalAccount": self._args.context.account_id}},
            }
        )

    def _tags(self, label: str) -> Mapping[str, str]:
        return self._args.context.tags("network", DataClass.NONE, label)
