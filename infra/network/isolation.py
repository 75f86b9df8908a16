"""Network ACL of the database subnets, a second barrier behind the security groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi_aws as aws
from pulumi import ComponentResource, Input, ResourceOptions

from infra.naming.context import DataClass, StackContext

POSTGRES_PORT = 5432
EPHEMERAL = (1024, 65535)  # a network ACL is stateless: responses go to the ephemeral ports of the clients
FIRST_RULE, STEP = 100, 10  # leaves room for further rules


@dataclass(frozen=True, kw_only=True)
class IsolationArgs:
    context: StackContext
    vpc_id: Input[str]
    subnet_ids: Sequence[Input[str]]
    client_cidrs: Sequence[str]  # CIDR blocks of the subnets with database clients


class Isolation(ComponentResource):
    """Network ACL that admits PostgreSQL connections from ``client_cidrs``, the responses, and no other traffic."""

    def __init__(self, name: str, args: IsolationArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:network:Isolation", name, opts=opts)
        acl = aws.ec2.NetworkAcl(
            f"{name}-acl",
            vpc_id=args.vpc_id,
            subnet_ids=args.subnet_ids,
            ingress=[_rule(n, cidr, (POSTGRES_PORT, POSTGRES_PORT)) for n, cidr in enumerate(args.client_cidrs)],
            egress=[_rule(n, cidr, EPHEMERAL) for n, cidr in enumerate(args.client_cidrs)],
            tags=args.context.tags("network", DataClass.NONE, "database"),
            opts=ResourceOptions(parent=self),
        )
        self.register_outputs({"acl_id": acl.id})


def _rule(number: int, cidr: str, ports: tuple[int, int]) -> aws.ec2.NetworkAclIngressArgsDict:
    return {
        "rule_no": FIRST_RULE + STEP * number,
        "action": "allow",
        "protocol": "tcp",
        "cidr_block": cidr,
        "from_port": ports[0],
        "to_port": ports[1],
    }
