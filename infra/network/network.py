"""VPC with computed subnets; IPv6 egress is free, IPv4 egress needs the setting ``network.nat``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi_aws as aws
from pulumi import ComponentResource, Output, Resource, ResourceOptions

from infra import settings
from infra.foundation.foundation import Foundation
from infra.iam.grants import Role
from infra.naming.context import DataClass
from infra.network.endpoints import Endpoints, EndpointsArgs
from infra.network.flow_logs import FlowLogs, FlowLogsArgs
from infra.network.isolation import Isolation, IsolationArgs
from infra.settings.subnets import IPV6_TIERS, ipv6, split

ZONE_LABELS = "abc"  # zone labels in logical names, independent of AWS's zone letters; settings allow three zones


@dataclass(frozen=True, kw_only=True)
class NetworkArgs:
    foundation: Foundation
    settings: settings.NetworkSettings
    interface_endpoints: Sequence[str]  # services that functions in the VPC call: "sqs", "secretsmanager" …


class Network(ComponentResource):
    """VPC with public, private and isolated database subnets over two or three zones."""

    vpc_id: Output[str]
    ipv6: bool
    nat: bool
    public_subnet_ids: list[Output[str]]
    private_subnet_ids: list[Output[str]]
    database_subnet_ids: list[Output[str]]
    public_route: Resource  # default route of the public subnets; AWS refuses internet-facing resources before
    endpoints: Endpoints

    def __init__(self, name: str, args: NetworkArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:network:Network", name, opts=opts)
        self._name, self._args = name, args
        self.ipv6, self.nat = args.settings.ipv6, args.settings.nat != "none"
        self._zone_letters = args.settings.letters_in(args.foundation.context.region)
        child = ResourceOptions(parent=self)
        vpc = aws.ec2.Vpc(
            f"{name}-vpc",
            cidr_block=args.settings.cidr,
            enable_dns_support=True,
            enable_dns_hostnames=True,  # private DNS names of interface endpoints need both settings
            assign_generated_ipv6_cidr_block=args.settings.ipv6,
            tags=self._tags("vpc"),
            # A changed range replaces the VPC, and Pulumi would first delete the rules of the VPC's resources. With the
            # protection the preview stops instead.
            opts=ResourceOptions(parent=self, protect=args.foundation.context.prod),
        )
        self.vpc_id, self._ipv6_range = vpc.id, vpc.ipv6_cidr_block
        # The default group has no rules, so a resource in the default group by mistake has no connectivity.
        aws.ec2.DefaultSecurityGroup(f"{name}-default", vpc_id=vpc.id, tags=self._tags("default-closed"), opts=child)
        layout = split(args.settings.cidr, args.settings.zones)
        zone_labels = ZONE_LABELS[: args.settings.zones]
        public = [self._subnet("public", n, zone.public) for n, zone in enumerate(layout)]
        private = [self._subnet("private", n, zone.private) for n, zone in enumerate(layout)]
        isolated = [self._subnet("database", n, zone.database) for n, zone in enumerate(layout)]
        self.public_subnet_ids = [subnet.id for subnet in public]
        self.private_subnet_ids = [subnet.id for subnet in private]
        self.database_subnet_ids = [subnet.id for subnet in isolated]
        self.public_route = self._internet_route(zone_labels, public)
        gateways = self._nat_gateways(zone_labels, public)
        tables = self._private_routes(zone_labels, private, gateways)
        if args.settings.ipv6:
            self._ipv6_egress(zone_labels, tables)
        self._route_table("database", zone_labels, isolated)  # only the VPC's local route
        Isolation(
            f"{name}-isolation",
            IsolationArgs(
                context=args.foundation.context,
                vpc_id=vpc.id,
                subnet_ids=self.database_subnet_ids,
                client_cidrs=[zone.private for zone in layout],
            ),
            child,
        )
        self.endpoints = Endpoints(f"{name}-endpoints", self._endpoints_args(tables, private), child)
        FlowLogs(f"{name}-flow", FlowLogsArgs(foundation=args.foundation, vpc_id=vpc.id), child)
        self.register_outputs({"vpc_id": self.vpc_id, "private_subnet_ids": self.private_subnet_ids})

    def grant_attach(self, role: Role) -> None:
        """Grant Lambda the management of network interfaces in the private subnets."""
        context = self._args.foundation.context
        # EC2 has no resource-level permissions for Describe actions.
        role.allow("SeeInterfaces", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", on="*")
        kinds = ("network-interface", "subnet", "security-group")
        role.allow(
            "MakeInterfaces", "ec2:CreateNetworkInterface", on=[context.arn("ec2", f"{kind}/*") for kind in kinds]
        )
        role.allow(
            "KeepInterfaces",
            "ec2:AssignPrivateIpAddresses",
            "ec2:DeleteNetworkInterface",
            "ec2:UnassignPrivateIpAddresses",
            # Lambda tests the role before an interface exists, and EC2 checks the test against the resource */*. With a
            # policy that names interfaces Lambda refuses the function (Lambda Developer Guide, "Required IAM
            # permissions" of functions in a VPC).
            on=context.arn("ec2", "*/*"),
        )

    def _endpoints_args(self, tables: Sequence[aws.ec2.RouteTable], private: Sequence[aws.ec2.Subnet]) -> EndpointsArgs:
        args = self._args
        return EndpointsArgs(
            context=args.foundation.context,
            vpc_id=self.vpc_id,
            route_table_ids=[table.id for table in tables],
            subnet_ids=[subnet.id for subnet in private[: args.settings.endpoint_zones]],
            existing_bucket_arns=args.foundation.storage.existing_bucket_arns,
            interfaces=args.interface_endpoints,
        )

    def _subnet(self, tier: str, index: int, cidr: str) -> aws.ec2.Subnet:
        zone, letter = ZONE_LABELS[index], self._zone_letters[index]
        dual = self._args.settings.ipv6 and tier in IPV6_TIERS
        return aws.ec2.Subnet(
            f"{self._name}-{tier}-{zone}",
            vpc_id=self.vpc_id,
            cidr_block=cidr,
            ipv6_cidr_block=self._ipv6_range.apply(lambda vpc_range: ipv6(vpc_range, index, tier)) if dual else None,
            assign_ipv6_address_on_creation=dual,
            availability_zone=f"{self._args.foundation.context.region}{letter}",
            map_public_ip_on_launch=False,
            tags=self._tags(f"{tier}-{zone}"),
            opts=ResourceOptions(parent=self),
        )

    def _internet_route(self, zone_labels: str, public: Sequence[aws.ec2.Subnet]) -> aws.ec2.Route:
        child = ResourceOptions(parent=self)
        gateway = aws.ec2.InternetGateway(
            f"{self._name}-internet", vpc_id=self.vpc_id, tags=self._tags("internet"), opts=child
        )
        table = self._route_table("public", zone_labels, public)
        if self._args.settings.ipv6:
            aws.ec2.Route(
                f"{self._name}-public-out-ipv6",
                route_table_id=table.id,
                destination_ipv6_cidr_block="::/0",
                gateway_id=gateway.id,
                opts=child,
            )
        return aws.ec2.Route(
            f"{self._name}-public-out",
            route_table_id=table.id,
            destination_cidr_block="0.0.0.0/0",
            gateway_id=gateway.id,
            opts=child,
        )

    def _nat_gateways(self, zone_labels: str, public: Sequence[aws.ec2.Subnet]) -> list[aws.ec2.NatGateway]:
        count = {"none": 0, "single": 1, "per-az": len(public)}[self._args.settings.nat]
        gateways: list[aws.ec2.NatGateway] = []
        for zone, subnet in list(zip(zone_labels, public, strict=True))[:count]:
            after = ResourceOptions(parent=self, depends_on=[self.public_route])
            address = aws.ec2.Eip(
                f"{self._name}-nat-{zone}-ip", domain="vpc", tags=self._tags(f"nat-{zone}"), opts=after
            )
            gateways.append(
                aws.ec2.NatGateway(
                    f"{self._name}-nat-{zone}",
                    allocation_id=address.allocation_id,
                    subnet_id=subnet.id,
                    tags=self._tags(f"nat-{zone}"),
                    opts=after,
                )
            )
        return gateways

    def _ipv6_egress(self, zone_labels: str, tables: Sequence[aws.ec2.RouteTable]) -> None:
        """Declare IPv6 egress, which costs nothing per hour and admits no incoming connections."""
        child = ResourceOptions(parent=self)
        gateway = aws.ec2.EgressOnlyInternetGateway(
            f"{self._name}-egress", vpc_id=self.vpc_id, tags=self._tags("egress"), opts=child
        )
        for zone, table in zip(zone_labels, tables, strict=True):
            aws.ec2.Route(
                f"{self._name}-private-{zone}-out-ipv6",
                route_table_id=table.id,
                destination_ipv6_cidr_block="::/0",
                egress_only_gateway_id=gateway.id,
                opts=child,
            )

    def _private_routes(
        self, zone_labels: str, private: Sequence[aws.ec2.Subnet], gateways: Sequence[aws.ec2.NatGateway]
    ) -> list[aws.ec2.RouteTable]:
        """Declare one route table per zone, so that a zone can get its own NAT gateway without a new association."""
        tables = [
            self._route_table(f"private-{z}", z, [subnet]) for z, subnet in zip(zone_labels, private, strict=True)
        ]
        for index, (zone, table) in enumerate(zip(zone_labels, tables, strict=True)):
            if gateways:
                aws.ec2.Route(
                    f"{self._name}-private-{zone}-out",
                    route_table_id=table.id,
                    destination_cidr_block="0.0.0.0/0",
                    nat_gateway_id=gateways[min(index, len(gateways) - 1)].id,
                    opts=ResourceOptions(parent=self),
                )
        return tables

    def _route_table(self, label: str, zone_labels: str, subnets: Sequence[aws.ec2.Subnet]) -> aws.ec2.RouteTable:
        child = ResourceOptions(parent=self)
        table = aws.ec2.RouteTable(f"{self._name}-{label}", vpc_id=self.vpc_id, tags=self._tags(label), opts=child)
        for zone, subnet in zip(zone_labels, subnets, strict=True):
            aws.ec2.RouteTableAssociation(
                f"{self._name}-{label}-{zone}-routes", route_table_id=table.id, subnet_id=subnet.id, opts=child
            )
        return table

    def _tags(self, label: str) -> dict[str, str]:
        return self._args.foundation.context.tags("network", DataClass.NONE, label)
