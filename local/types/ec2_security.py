"""EC2: security groups, network ACLs, VPC endpoints and flow logs."""

from __future__ import annotations

from typing import Any, ClassVar

from local.types.arguments import arguments, inputs_of
from local.types.definition import PutResource, ResourceType, resource
from local.types.request import CreatedResource, ExistingResource, FoundResource, ResourceRequest


@resource("aws:ec2/securityGroup:SecurityGroup")
class Ec2SecurityGroup(ResourceType):
    """Security group."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        name = request.physical_name()
        response = request.client("ec2").create_security_group(
            GroupName=name,
            Description=request.inputs.get("description") or name,
            VpcId=request.inputs["vpcId"],
            **request.tag_specifications("security-group"),
        )
        return CreatedResource(
            response["GroupId"], {"arn": request.arn("ec2", f"security-group/{response['GroupId']}"), "name": name}
        )

    def remove(self, resource: ExistingResource) -> None:
        resource.client("ec2").delete_security_group(GroupId=resource.id)


@resource("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup", replaced_by=("vpcId",))
class Ec2DefaultSecurityGroup(PutResource):
    """Default security group of a VPC: adopted without its rules, as the provider does."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        ec2 = request.client("ec2")
        filters = [
            {"Name": "vpc-id", "Values": [request.inputs["vpcId"]]},
            {"Name": "group-name", "Values": ["default"]},
        ]
        group = ec2.describe_security_groups(Filters=filters)["SecurityGroups"][0]
        if group.get("IpPermissions"):
            ec2.revoke_security_group_ingress(GroupId=group["GroupId"], IpPermissions=group["IpPermissions"])
        if group.get("IpPermissionsEgress"):
            ec2.revoke_security_group_egress(GroupId=group["GroupId"], IpPermissions=group["IpPermissionsEgress"])
        return CreatedResource(group["GroupId"], {"arn": request.arn("ec2", f"security-group/{group['GroupId']}")})


class _Rule(ResourceType):
    """Rule of a security group; every change replaces it. The emulator does not return prefix lists."""

    reads: ClassVar = {
        "cidrIpv4": "",
        "cidrIpv6": "",
        "fromPort": None,
        "ipProtocol": None,
        "referencedSecurityGroupId": "",
        "toPort": None,
    }

    def read(self, resource: ExistingResource) -> FoundResource | None:
        rules = resource.client("ec2").describe_security_group_rules(SecurityGroupRuleIds=[resource.id])
        for rule in rules["SecurityGroupRules"]:
            inputs = inputs_of(
                rule,
                CidrIpv4="cidrIpv4",
                CidrIpv6="cidrIpv6",
                FromPort="fromPort",
                GroupId="securityGroupId",
                IpProtocol="ipProtocol",
                ToPort="toPort",
            )
            inputs["referencedSecurityGroupId"] = (rule.get("ReferencedGroupInfo") or {}).get("GroupId")
            return FoundResource(inputs, {"securityGroupRuleId": resource.id})
        return None


@resource("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")
class Ec2IngressRule(_Rule):
    """Ingress rule of a security group."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        response = request.client("ec2").authorize_security_group_ingress(
            GroupId=request.inputs["securityGroupId"], IpPermissions=[_permission(request)]
        )
        return CreatedResource(_rule_id(response))

    def remove(self, resource: ExistingResource) -> None:
        resource.client("ec2").revoke_security_group_ingress(
            GroupId=resource.value("securityGroupId"), SecurityGroupRuleIds=[resource.id]
        )


@resource("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule")
class Ec2EgressRule(_Rule):
    """Egress rule of a security group."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        response = request.client("ec2").authorize_security_group_egress(
            GroupId=request.inputs["securityGroupId"], IpPermissions=[_permission(request)]
        )
        return CreatedResource(_rule_id(response))

    def remove(self, resource: ExistingResource) -> None:
        resource.client("ec2").revoke_security_group_egress(
            GroupId=resource.value("securityGroupId"), SecurityGroupRuleIds=[resource.id]
        )


@resource("aws:ec2/vpcEndpoint:VpcEndpoint")
class Ec2VpcEndpoint(ResourceType):
    """VPC endpoint."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        endpoint = request.client("ec2").create_vpc_endpoint(
            VpcId=request.inputs["vpcId"],
            ServiceName=request.inputs["serviceName"],
            **arguments(
                request.inputs,
                VpcEndpointType="vpcEndpointType",
                RouteTableIds="routeTableIds",
                SubnetIds="subnetIds",
                SecurityGroupIds="securityGroupIds",
                PrivateDnsEnabled="privateDnsEnabled",
                PolicyDocument="policy",
            ),
            **request.tag_specifications("vpc-endpoint"),
        )["VpcEndpoint"]
        return CreatedResource(
            endpoint["VpcEndpointId"],
            {
                "arn": request.arn("ec2", f"vpc-endpoint/{endpoint['VpcEndpointId']}"),
                "prefixListId": f"pl-{request.name}",
            },
        )

    def remove(self, resource: ExistingResource) -> None:
        resource.client("ec2").delete_vpc_endpoints(VpcEndpointIds=[resource.id])


@resource("aws:ec2/flowLog:FlowLog")
class Ec2FlowLog(ResourceType):
    """Flow log of a VPC."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        response = request.client("ec2").create_flow_logs(
            ResourceIds=[request.inputs["vpcId"]],
            ResourceType="VPC",
            TrafficType=request.inputs["trafficType"],
            **arguments(
                request.inputs,
                LogDestinationType="logDestinationType",
                LogDestination="logDestination",
                DeliverLogsPermissionArn="iamRoleArn",
                MaxAggregationInterval="maxAggregationInterval",
            ),
        )
        return CreatedResource(response["FlowLogIds"][0])

    def remove(self, resource: ExistingResource) -> None:
        resource.client("ec2").delete_flow_logs(FlowLogIds=[resource.id])


@resource("aws:ec2/networkAcl:NetworkAcl")
class Ec2NetworkAcl(ResourceType):
    """Network ACL of a VPC, associated with its subnets."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        ec2 = request.client("ec2")
        vpc_id = request.inputs["vpcId"]
        response = ec2.create_network_acl(VpcId=vpc_id, **request.tag_specifications("network-acl"))
        acl_id = response["NetworkAcl"]["NetworkAclId"]
        request.exists_as(acl_id)
        for direction, egress in (("ingress", False), ("egress", True)):
            for rule in request.inputs.get(direction) or []:
                ec2.create_network_acl_entry(
                    NetworkAclId=acl_id,
                    RuleNumber=rule["ruleNo"],
                    Protocol="6",
                    RuleAction=rule["action"],
                    Egress=egress,
                    CidrBlock=rule["cidrBlock"],
                    PortRange={"From": rule["fromPort"], "To": rule["toPort"]},
                )
        acls = ec2.describe_network_acls(Filters=[{"Name": "vpc-id", "Values": [vpc_id]}])["NetworkAcls"]
        associations = [association for acl in acls for association in acl.get("Associations") or []]
        association_ids = {a["SubnetId"]: a["NetworkAclAssociationId"] for a in associations}
        for subnet_id in request.inputs.get("subnetIds") or []:
            if subnet_id in association_ids:
                ec2.replace_network_acl_association(AssociationId=association_ids[subnet_id], NetworkAclId=acl_id)
        return CreatedResource(acl_id, {"arn": request.arn("ec2", f"network-acl/{acl_id}")})

    def remove(self, resource: ExistingResource) -> None:
        resource.client("ec2").delete_network_acl(NetworkAclId=resource.id)


def _permission(request: ResourceRequest) -> dict[str, Any]:
    inputs = request.inputs
    permission: dict[str, Any] = {"IpProtocol": inputs["ipProtocol"]}
    permission.update(arguments(inputs, FromPort="fromPort", ToPort="toPort"))
    if inputs.get("cidrIpv4"):
        permission["IpRanges"] = [{"CidrIp": inputs["cidrIpv4"]}]
    if inputs.get("cidrIpv6"):
        permission["Ipv6Ranges"] = [{"CidrIpv6": inputs["cidrIpv6"]}]
    if inputs.get("referencedSecurityGroupId"):
        permission["UserIdGroupPairs"] = [{"GroupId": inputs["referencedSecurityGroupId"]}]
    if inputs.get("prefixListId"):
        permission["PrefixListIds"] = [{"PrefixListId": inputs["prefixListId"]}]
    return permission


def _rule_id(response: dict[str, Any]) -> str:
    return response["SecurityGroupRules"][0]["SecurityGroupRuleId"]
