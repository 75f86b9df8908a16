"""VPC and what lies in it."""

from __future__ import annotations

from typing import Any

from local.types import Declared, Made, creates, given, put_again

_NO_IPV6 = "2001:db8::/56"  # the emulator gives a VPC none; RFC 3849's range for examples lets subnets be computed


def _tagged(it: Declared, kind: str) -> dict[str, Any]:
    return {"TagSpecifications": [{"ResourceType": kind, "Tags": it.tags()}]} if it.tag_map() else {}


@creates("aws:ec2/vpc:Vpc")
def vpc(it: Declared) -> Made:
    ec2 = it.client("ec2")
    made = ec2.create_vpc(
        CidrBlock=it.inputs["cidrBlock"],
        AmazonProvidedIpv6CidrBlock=bool(it.inputs.get("assignGeneratedIpv6CidrBlock")),
        **_tagged(it, "vpc"),
    )["Vpc"]
    for attribute in ("enableDnsSupport", "enableDnsHostnames"):
        if attribute in it.inputs:
            wanted = {attribute[:1].upper() + attribute[1:]: {"Value": bool(it.inputs[attribute])}}
            ec2.modify_vpc_attribute(VpcId=made["VpcId"], **wanted)
    groups = ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [made["VpcId"]]}])["SecurityGroups"]
    tables = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [made["VpcId"]]}])["RouteTables"]
    associations = made.get("Ipv6CidrBlockAssociationSet") or [{}]
    return Made(
        made["VpcId"],
        {
            "arn": it.arn("ec2", f"vpc/{made['VpcId']}"),
            "defaultSecurityGroupId": next((g["GroupId"] for g in groups if g["GroupName"] == "default"), ""),
            "defaultRouteTableId": tables[0]["RouteTableId"] if tables else "",
            "mainRouteTableId": tables[0]["RouteTableId"] if tables else "",
            "ipv6CidrBlock": associations[0].get("Ipv6CidrBlock") or _NO_IPV6,
        },
    )


@creates("aws:ec2/subnet:Subnet")
def subnet(it: Declared) -> Made:
    made = it.client("ec2").create_subnet(
        VpcId=it.inputs["vpcId"],
        **given(it.inputs, CidrBlock="cidrBlock", AvailabilityZone="availabilityZone"),
        **_tagged(it, "subnet"),
    )["Subnet"]
    return Made(made["SubnetId"], {"arn": it.arn("ec2", f"subnet/{made['SubnetId']}")})


@creates("aws:ec2/internetGateway:InternetGateway")
def internet_gateway(it: Declared) -> Made:
    ec2 = it.client("ec2")
    made = ec2.create_internet_gateway(**_tagged(it, "internet-gateway"))["InternetGateway"]["InternetGatewayId"]
    if it.inputs.get("vpcId"):
        ec2.attach_internet_gateway(InternetGatewayId=made, VpcId=it.inputs["vpcId"])
    return Made(made)


@creates("aws:ec2/egressOnlyInternetGateway:EgressOnlyInternetGateway")
def egress_only_gateway(it: Declared) -> Made:
    made = it.client("ec2").create_egress_only_internet_gateway(VpcId=it.inputs["vpcId"])
    return Made(made["EgressOnlyInternetGateway"]["EgressOnlyInternetGatewayId"])


@creates("aws:ec2/eip:Eip")
def elastic_ip(it: Declared) -> Made:
    made = it.client("ec2").allocate_address(Domain="vpc", **_tagged(it, "elastic-ip"))
    return Made(made["AllocationId"], {"allocationId": made["AllocationId"], "publicIp": made["PublicIp"]})


@creates("aws:ec2/natGateway:NatGateway")
def nat_gateway(it: Declared) -> Made:
    made = it.client("ec2").create_nat_gateway(
        SubnetId=it.inputs["subnetId"], **given(it.inputs, AllocationId="allocationId"), **_tagged(it, "natgateway")
    )
    return Made(made["NatGateway"]["NatGatewayId"])


@creates("aws:ec2/routeTable:RouteTable")
def route_table(it: Declared) -> Made:
    made = it.client("ec2").create_route_table(VpcId=it.inputs["vpcId"], **_tagged(it, "route-table"))["RouteTable"]
    for route in it.inputs.get("routes") or []:
        _add_route(it, made["RouteTableId"], route)
    return Made(made["RouteTableId"], {"arn": it.arn("ec2", f"route-table/{made['RouteTableId']}")})


@creates("aws:ec2/route:Route")
def route(it: Declared) -> Made:
    _add_route(it, it.inputs["routeTableId"], it.inputs)
    place = it.inputs.get("destinationCidrBlock") or it.inputs.get("destinationIpv6CidrBlock")
    return Made(f"{it.inputs['routeTableId']}_{place}")


def _add_route(it: Declared, table_id: str, inputs: Any) -> None:
    it.client("ec2").create_route(
        RouteTableId=table_id,
        **given(
            inputs, DestinationCidrBlock="destinationCidrBlock", DestinationIpv6CidrBlock="destinationIpv6CidrBlock",
            GatewayId="gatewayId", NatGatewayId="natGatewayId", EgressOnlyInternetGatewayId="egressOnlyGatewayId",
        ),
        **given(inputs, DestinationCidrBlock="cidrBlock"),
    )  # fmt: skip


@creates("aws:ec2/routeTableAssociation:RouteTableAssociation")
def route_table_association(it: Declared) -> Made:
    made = it.client("ec2").associate_route_table(
        RouteTableId=it.inputs["routeTableId"], SubnetId=it.inputs["subnetId"]
    )
    return Made(made["AssociationId"])


@creates("aws:ec2/securityGroup:SecurityGroup")
def security_group(it: Declared) -> Made:
    name = it.physical()
    made = it.client("ec2").create_security_group(
        GroupName=name,
        Description=it.inputs.get("description") or name,
        VpcId=it.inputs["vpcId"],
        **_tagged(it, "security-group"),
    )
    return Made(made["GroupId"], {"arn": it.arn("ec2", f"security-group/{made['GroupId']}"), "name": name})


@creates("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup", update=put_again)
def default_security_group(it: Declared) -> Made:
    """Adopts the VPC's own group and takes every rule out, as the provider does."""
    ec2 = it.client("ec2")
    filters = [{"Name": "vpc-id", "Values": [it.inputs["vpcId"]]}, {"Name": "group-name", "Values": ["default"]}]
    found = ec2.describe_security_groups(Filters=filters)["SecurityGroups"][0]
    if found.get("IpPermissions"):
        ec2.revoke_security_group_ingress(GroupId=found["GroupId"], IpPermissions=found["IpPermissions"])
    if found.get("IpPermissionsEgress"):
        ec2.revoke_security_group_egress(GroupId=found["GroupId"], IpPermissions=found["IpPermissionsEgress"])
    return Made(found["GroupId"], {"arn": it.arn("ec2", f"security-group/{found['GroupId']}")})


def _permission(it: Declared) -> dict[str, Any]:
    inputs = it.inputs
    permission: dict[str, Any] = {"IpProtocol": inputs["ipProtocol"]}
    permission.update(given(inputs, FromPort="fromPort", ToPort="toPort"))
    if inputs.get("cidrIpv4"):
        permission["IpRanges"] = [{"CidrIp": inputs["cidrIpv4"]}]
    if inputs.get("cidrIpv6"):
        permission["Ipv6Ranges"] = [{"CidrIpv6": inputs["cidrIpv6"]}]
    if inputs.get("referencedSecurityGroupId"):
        permission["UserIdGroupPairs"] = [{"GroupId": inputs["referencedSecurityGroupId"]}]
    if inputs.get("prefixListId"):
        permission["PrefixListIds"] = [{"PrefixListId": inputs["prefixListId"]}]
    return permission


@creates("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")
def ingress_rule(it: Declared) -> Made:
    made = it.client("ec2").authorize_security_group_ingress(
        GroupId=it.inputs["securityGroupId"], IpPermissions=[_permission(it)]
    )
    return Made(_rule_id(it, made))


@creates("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule")
def egress_rule(it: Declared) -> Made:
    made = it.client("ec2").authorize_security_group_egress(
        GroupId=it.inputs["securityGroupId"], IpPermissions=[_permission(it)]
    )
    return Made(_rule_id(it, made))


def _rule_id(it: Declared, made: dict[str, Any]) -> str:
    rules = made.get("SecurityGroupRules") or []
    return rules[0]["SecurityGroupRuleId"] if rules else f"sgr-{it.name}"


@creates("aws:ec2/vpcEndpoint:VpcEndpoint")
def vpc_endpoint(it: Declared) -> Made:
    made = it.client("ec2").create_vpc_endpoint(
        VpcId=it.inputs["vpcId"],
        ServiceName=it.inputs["serviceName"],
        **given(
            it.inputs, VpcEndpointType="vpcEndpointType", RouteTableIds="routeTableIds", SubnetIds="subnetIds",
            SecurityGroupIds="securityGroupIds", PrivateDnsEnabled="privateDnsEnabled", PolicyDocument="policy",
        ),
        **_tagged(it, "vpc-endpoint"),
    )["VpcEndpoint"]  # fmt: skip
    return Made(
        made["VpcEndpointId"],
        {"arn": it.arn("ec2", f"vpc-endpoint/{made['VpcEndpointId']}"), "prefixListId": f"pl-{it.name}"},
    )


@creates("aws:ec2/flowLog:FlowLog")
def flow_log(it: Declared) -> Made:
    made = it.client("ec2").create_flow_logs(
        ResourceIds=[it.inputs["vpcId"]],
        ResourceType="VPC",
        TrafficType=it.inputs["trafficType"],
        **given(
            it.inputs, LogDestinationType="logDestinationType", LogDestination="logDestination",
            DeliverLogsPermissionArn="iamRoleArn", MaxAggregationInterval="maxAggregationInterval",
        ),
    )  # fmt: skip
    return Made(made["FlowLogIds"][0])


@creates("aws:ec2/networkAcl:NetworkAcl")
def network_acl(it: Declared) -> Made:
    ec2 = it.client("ec2")
    made = ec2.create_network_acl(VpcId=it.inputs["vpcId"], **_tagged(it, "network-acl"))["NetworkAcl"]["NetworkAclId"]
    for direction, out in (("ingress", False), ("egress", True)):
        for rule in it.inputs.get(direction) or []:
            ec2.create_network_acl_entry(
                NetworkAclId=made,
                RuleNumber=rule["ruleNo"],
                Protocol="6",
                RuleAction=rule["action"],
                Egress=out,
                CidrBlock=rule["cidrBlock"],
                PortRange={"From": rule["fromPort"], "To": rule["toPort"]},
            )
    found = ec2.describe_network_acls(Filters=[{"Name": "vpc-id", "Values": [it.inputs["vpcId"]]}])["NetworkAcls"]
    held = {a["SubnetId"]: a["NetworkAclAssociationId"] for acl in found for a in acl.get("Associations") or []}
    for subnet_id in it.inputs.get("subnetIds") or []:
        if subnet_id in held:
            ec2.replace_network_acl_association(AssociationId=held[subnet_id], NetworkAclId=made)
    return Made(made, {"arn": it.arn("ec2", f"network-acl/{made}")})
