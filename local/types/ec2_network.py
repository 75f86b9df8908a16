"""EC2: VPCs, subnets, gateways and routes."""

from __future__ import annotations

import contextlib
from typing import Any

from botocore.exceptions import ClientError

from local.types.arguments import arguments, pascal_case
from local.types.definition import ResourceType, resource
from local.types.request import CreatedResource, ExistingResource, ResourceRequest

# The emulator assigns no IPv6 block to a VPC; subnets are computed from RFC 3849's documentation range.
_EXAMPLE_IPV6 = "2001:db8::/56"


@resource("aws:ec2/vpc:Vpc", replaced_by=("cidrBlock",))
class Ec2Vpc(ResourceType):
    """VPC."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        ec2 = request.client("ec2")
        vpc = ec2.create_vpc(
            CidrBlock=request.inputs["cidrBlock"],
            AmazonProvidedIpv6CidrBlock=bool(request.inputs.get("assignGeneratedIpv6CidrBlock")),
            **request.tag_specifications("vpc"),
        )["Vpc"]
        request.exists_as(vpc["VpcId"])
        for attribute in ("enableDnsSupport", "enableDnsHostnames"):
            if attribute in request.inputs:
                value = pascal_case({attribute: {"value": bool(request.inputs[attribute])}})
                ec2.modify_vpc_attribute(VpcId=vpc["VpcId"], **value)
        groups = ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [vpc["VpcId"]]}])["SecurityGroups"]
        tables = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc["VpcId"]]}])["RouteTables"]
        associations = vpc.get("Ipv6CidrBlockAssociationSet") or [{}]
        return CreatedResource(
            vpc["VpcId"],
            {
                "arn": request.arn("ec2", f"vpc/{vpc['VpcId']}"),
                "defaultSecurityGroupId": next((g["GroupId"] for g in groups if g["GroupName"] == "default"), ""),
                "defaultRouteTableId": tables[0]["RouteTableId"] if tables else "",
                "mainRouteTableId": tables[0]["RouteTableId"] if tables else "",
                "ipv6CidrBlock": associations[0].get("Ipv6CidrBlock") or _EXAMPLE_IPV6,
            },
        )

    def change(self, resource: ExistingResource) -> None:
        for attribute in ("enableDnsSupport", "enableDnsHostnames"):
            if attribute in resource.changed:
                value = pascal_case({attribute: {"value": bool(resource.inputs.get(attribute))}})
                resource.client("ec2").modify_vpc_attribute(VpcId=resource.id, **value)

    def remove(self, resource: ExistingResource) -> None:
        resource.client("ec2").delete_vpc(VpcId=resource.id)


@resource("aws:ec2/subnet:Subnet")
class Ec2Subnet(ResourceType):
    """Subnet of a VPC."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        subnet = request.client("ec2").create_subnet(
            VpcId=request.inputs["vpcId"],
            **arguments(request.inputs, CidrBlock="cidrBlock", AvailabilityZone="availabilityZone"),
            **request.tag_specifications("subnet"),
        )["Subnet"]
        return CreatedResource(subnet["SubnetId"], {"arn": request.arn("ec2", f"subnet/{subnet['SubnetId']}")})

    def remove(self, resource: ExistingResource) -> None:
        resource.client("ec2").delete_subnet(SubnetId=resource.id)


@resource("aws:ec2/internetGateway:InternetGateway")
class Ec2InternetGateway(ResourceType):
    """Internet gateway, attached to its VPC."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        ec2 = request.client("ec2")
        response = ec2.create_internet_gateway(**request.tag_specifications("internet-gateway"))
        gateway_id = response["InternetGateway"]["InternetGatewayId"]
        request.exists_as(gateway_id)
        if request.inputs.get("vpcId"):
            ec2.attach_internet_gateway(InternetGatewayId=gateway_id, VpcId=request.inputs["vpcId"])
        return CreatedResource(gateway_id)

    def remove(self, resource: ExistingResource) -> None:
        ec2 = resource.client("ec2")
        if resource.inputs.get("vpcId"):
            with contextlib.suppress(ClientError):  # already detached
                ec2.detach_internet_gateway(InternetGatewayId=resource.id, VpcId=resource.inputs["vpcId"])
        ec2.delete_internet_gateway(InternetGatewayId=resource.id)


@resource("aws:ec2/egressOnlyInternetGateway:EgressOnlyInternetGateway")
class Ec2EgressOnlyInternetGateway(ResourceType):
    """Egress-only internet gateway for IPv6."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        response = request.client("ec2").create_egress_only_internet_gateway(VpcId=request.inputs["vpcId"])
        return CreatedResource(response["EgressOnlyInternetGateway"]["EgressOnlyInternetGatewayId"])

    def remove(self, resource: ExistingResource) -> None:
        resource.client("ec2").delete_egress_only_internet_gateway(EgressOnlyInternetGatewayId=resource.id)


@resource("aws:ec2/eip:Eip")
class Ec2ElasticIp(ResourceType):
    """Elastic IP address."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        response = request.client("ec2").allocate_address(Domain="vpc", **request.tag_specifications("elastic-ip"))
        return CreatedResource(
            response["AllocationId"], {"allocationId": response["AllocationId"], "publicIp": response["PublicIp"]}
        )

    def remove(self, resource: ExistingResource) -> None:
        resource.client("ec2").release_address(AllocationId=resource.id)


@resource("aws:ec2/natGateway:NatGateway")
class Ec2NatGateway(ResourceType):
    """NAT gateway."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        response = request.client("ec2").create_nat_gateway(
            SubnetId=request.inputs["subnetId"],
            **arguments(request.inputs, AllocationId="allocationId"),
            **request.tag_specifications("natgateway"),
        )
        return CreatedResource(response["NatGateway"]["NatGatewayId"])

    def remove(self, resource: ExistingResource) -> None:
        resource.client("ec2").delete_nat_gateway(NatGatewayId=resource.id)


@resource("aws:ec2/routeTable:RouteTable")
class Ec2RouteTable(ResourceType):
    """Route table of a VPC."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        route_table = request.client("ec2").create_route_table(
            VpcId=request.inputs["vpcId"], **request.tag_specifications("route-table")
        )["RouteTable"]
        request.exists_as(route_table["RouteTableId"])
        for route in request.inputs.get("routes") or []:
            _add_route(request, route_table["RouteTableId"], route)
        return CreatedResource(
            route_table["RouteTableId"], {"arn": request.arn("ec2", f"route-table/{route_table['RouteTableId']}")}
        )

    def remove(self, resource: ExistingResource) -> None:
        resource.client("ec2").delete_route_table(RouteTableId=resource.id)


@resource("aws:ec2/route:Route")
class Ec2Route(ResourceType):
    """Route in a route table."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        _add_route(request, request.inputs["routeTableId"], request.inputs)
        destination = request.inputs.get("destinationCidrBlock") or request.inputs.get("destinationIpv6CidrBlock")
        return CreatedResource(f"{request.inputs['routeTableId']}_{destination}")

    def remove(self, resource: ExistingResource) -> None:
        destination = arguments(
            resource.inputs,
            DestinationCidrBlock="destinationCidrBlock",
            DestinationIpv6CidrBlock="destinationIpv6CidrBlock",
        )
        resource.client("ec2").delete_route(RouteTableId=resource.inputs["routeTableId"], **destination)


@resource("aws:ec2/routeTableAssociation:RouteTableAssociation")
class Ec2RouteTableAssociation(ResourceType):
    """Association of a route table with a subnet."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        response = request.client("ec2").associate_route_table(
            RouteTableId=request.inputs["routeTableId"], SubnetId=request.inputs["subnetId"]
        )
        return CreatedResource(response["AssociationId"])

    def remove(self, resource: ExistingResource) -> None:
        resource.client("ec2").disassociate_route_table(AssociationId=resource.id)


def _add_route(request: ResourceRequest, table_id: str, inputs: Any) -> None:
    request.client("ec2").create_route(
        RouteTableId=table_id,
        **arguments(
            inputs,
            DestinationCidrBlock="destinationCidrBlock",
            DestinationIpv6CidrBlock="destinationIpv6CidrBlock",
            GatewayId="gatewayId",
            NatGatewayId="natGatewayId",
            EgressOnlyInternetGatewayId="egressOnlyGatewayId",
        ),
        **arguments(inputs, DestinationCidrBlock="cidrBlock"),
    )
