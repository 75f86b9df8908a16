"""Network: the VPC, laid out by computation; IPv6 goes out for free, IPv4 only where the settings pay for NAT."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi_aws as aws
from pulumi import ComponentResource, Output, Resource, ResourceOptions

from infra import settings
from infra.foundation.base import Base
from infra.iam.grants import Role
from infra.naming.context import DataClass
from infra.network.endpoints import Endpoints, EndpointsArgs
from infra.network.flow_logs import FlowLogs, FlowLogsArgs
from infra.network.isolation import Isolation, IsolationArgs
from infra.settings.subnets import IPV6_TIERS, ipv6, split

LETTERS = "abc"  # what our zones are called, whatever AWS calls them in a region; settings allow three


@dataclass(frozen=True, kw_only=True)
class NetworkArgs:
    base: Base
    settings: settings.Network
    interface_endpoints: Sequence[str]  # services that functions inside call: "sqs", "secretsmanager" …


class Network(ComponentResource):
    """Public, private and isolated database subnets over two or three zones."""

    vpc_id: Output[str]
    ipv6: bool
    nat: bool
    public_subnet_ids: list[Output[str]]
    private_subnet_ids: list[Output[str]]
    database_subnet_ids: list[Output[str]]
    way_out: Resource  # of the public subnets: what faces the internet waits for it, or is refused
    endpoints: Endpoints

    def __init__(self, name: str, args: NetworkArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:network:Network", name, opts=opts)
        self._name, self._args = name, args
        self.ipv6, self.nat = args.settings.ipv6, args.settings.nat != "none"
        self._letters = args.settings.letters(args.base.place.region)
        child = ResourceOptions(parent=self)
        vpc = aws.ec2.Vpc(
            f"{name}-vpc",
            cidr_block=args.settings.cidr,
            enable_dns_support=True,
            enable_dns_hostnames=True,  # private names of interface endpoints need both
            assign_generated_ipv6_cidr_block=args.settings.ipv6,
            tags=self._tags("vpc"),
            # Another range is another VPC, and Pulumi takes the rules of what is in this one away first: better the
            # preview stops.
            opts=ResourceOptions(parent=self, protect=args.base.place.prod),
        )
        self.vpc_id, self._ipv6_range = vpc.id, vpc.ipv6_cidr_block
        # Without rules nothing that lands in it by mistake can talk to anything.
        aws.ec2.DefaultSecurityGroup(f"{name}-default", vpc_id=vpc.id, tags=self._tags("default-closed"), opts=child)
        layout = split(args.settings.cidr, args.settings.zones)
        letters = LETTERS[: args.settings.zones]
        public = [self._subnet("public", n, zone.public) for n, zone in enumerate(layout)]
        private = [self._subnet("private", n, zone.private) for n, zone in enumerate(layout)]
        isolated = [self._subnet("database", n, zone.database) for n, zone in enumerate(layout)]
        self.public_subnet_ids = [subnet.id for subnet in public]
        self.private_subnet_ids = [subnet.id for subnet in private]
        self.database_subnet_ids = [subnet.id for subnet in isolated]
        self.way_out = self._open_to_the_internet(letters, public)
        gateways = self._nat_gateways(letters, public)
        tables = self._private_routes(letters, private, gateways)
        if args.settings.ipv6:
            self._ipv6_way_out(letters, tables)
        self._route_table("database", letters, isolated)  # no route but the VPC's own
        Isolation(
            f"{name}-isolation",
            IsolationArgs(
                place=args.base.place,
                vpc_id=vpc.id,
                subnet_ids=self.database_subnet_ids,
                let_in=[zone.private for zone in layout],
            ),
            child,
        )
        self.endpoints = Endpoints(f"{name}-endpoints", self._endpoints_args(tables, private), child)
        FlowLogs(f"{name}-flow", FlowLogsArgs(base=args.base, vpc_id=vpc.id), child)
        self.register_outputs({"vpc_id": self.vpc_id, "private_subnet_ids": self.private_subnet_ids})

    def grant_attach(self, role: Role) -> None:
        """Let Lambda make the interfaces through which a function reaches the private subnets."""
        place = self._args.base.place
        # EC2 knows no resource for describing interfaces.
        role.allow("SeeInterfaces", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", on="*")
        kinds = ("network-interface", "subnet", "security-group")
        role.allow("MakeInterfaces", "ec2:CreateNetworkInterface", on=[place.arn("ec2", f"{kind}/*") for kind in kinds])
        role.allow(
            "KeepInterfaces",
            "ec2:AssignPrivateIpAddresses",
            "ec2:DeleteNetworkInterface",
            "ec2:UnassignPrivateIpAddresses",
            # Lambda tries the role before there is an interface, which EC2 checks against */* itself: a policy that
            # names interfaces does not match, and the function is refused (Lambda Developer Guide, "Required IAM
            # permissions" of functions in a VPC).
            on=place.arn("ec2", "*/*"),
        )

    def _endpoints_args(self, tables: Sequence[aws.ec2.RouteTable], private: Sequence[aws.ec2.Subnet]) -> EndpointsArgs:
        args = self._args
        return EndpointsArgs(
            place=args.base.place,
            vpc_id=self.vpc_id,
            route_table_ids=[table.id for table in tables],
            subnet_ids=[subnet.id for subnet in private[: args.settings.endpoint_zones]],
            buckets_found=args.base.storage.found_arns,
            interfaces=args.interface_endpoints,
        )

    def _subnet(self, tier: str, index: int, cidr: str) -> aws.ec2.Subnet:
        zone, letter = LETTERS[index], self._letters[index]
        dual = self._args.settings.ipv6 and tier in IPV6_TIERS
        return aws.ec2.Subnet(
            f"{self._name}-{tier}-{zone}",
            vpc_id=self.vpc_id,
            cidr_block=cidr,
            ipv6_cidr_block=self._ipv6_range.apply(lambda given: ipv6(given, index, tier)) if dual else None,
            assign_ipv6_address_on_creation=dual,
            availability_zone=f"{self._args.base.place.region}{letter}",
            map_public_ip_on_launch=False,
            tags=self._tags(f"{tier}-{zone}"),
            opts=ResourceOptions(parent=self),
        )

    def _open_to_the_internet(self, letters: str, public: Sequence[aws.ec2.Subnet]) -> aws.ec2.Route:
        child = ResourceOptions(parent=self)
        gateway = aws.ec2.InternetGateway(
            f"{self._name}-internet", vpc_id=self.vpc_id, tags=self._tags("internet"), opts=child
        )
        table = self._route_table("public", letters, public)
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

    def _nat_gateways(self, letters: str, public: Sequence[aws.ec2.Subnet]) -> list[aws.ec2.NatGateway]:
        wanted = {"none": 0, "single": 1, "per-az": len(public)}[self._args.settings.nat]
        gateways: list[aws.ec2.NatGateway] = []
        for zone, subnet in list(zip(letters, public, strict=True))[:wanted]:
            after = ResourceOptions(parent=self, depends_on=[self.way_out])
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

    def _ipv6_way_out(self, letters: str, tables: Sequence[aws.ec2.RouteTable]) -> None:
        """Costs nothing by the hour, and lets nothing in."""
        child = ResourceOptions(parent=self)
        gateway = aws.ec2.EgressOnlyInternetGateway(
            f"{self._name}-egress", vpc_id=self.vpc_id, tags=self._tags("egress"), opts=child
        )
        for zone, table in zip(letters, tables, strict=True):
            aws.ec2.Route(
                f"{self._name}-private-{zone}-out-ipv6",
                route_table_id=table.id,
                destination_ipv6_cidr_block="::/0",
                egress_only_gateway_id=gateway.id,
                opts=child,
            )

    def _private_routes(
        self, letters: str, private: Sequence[aws.ec2.Subnet], gateways: Sequence[aws.ec2.NatGateway]
    ) -> list[aws.ec2.RouteTable]:
        """A table a zone, so that each can have a NAT gateway of its own without changing which table a subnet has."""
        tables = [self._route_table(f"private-{z}", z, [subnet]) for z, subnet in zip(letters, private, strict=True)]
        for index, (zone, table) in enumerate(zip(letters, tables, strict=True)):
            if gateways:
                aws.ec2.Route(
                    f"{self._name}-private-{zone}-out",
                    route_table_id=table.id,
                    destination_cidr_block="0.0.0.0/0",
                    nat_gateway_id=gateways[min(index, len(gateways) - 1)].id,
                    opts=ResourceOptions(parent=self),
                )
        return tables

    def _route_table(self, what: str, letters: str, subnets: Sequence[aws.ec2.Subnet]) -> aws.ec2.RouteTable:
        child = ResourceOptions(parent=self)
        table = aws.ec2.RouteTable(f"{self._name}-{what}", vpc_id=self.vpc_id, tags=self._tags(what), opts=child)
        for zone, subnet in zip(letters, subnets, strict=True):
            aws.ec2.RouteTableAssociation(
                f"{self._name}-{what}-{zone}-routes", route_table_id=table.id, subnet_id=subnet.id, opts=child
            )
        return table

    def _tags(self, what: str) -> dict[str, str]:
        return self._args.base.place.tags("network", DataClass.NONE, what)
