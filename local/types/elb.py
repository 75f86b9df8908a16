"""Elastic Load Balancing: load balancers, target groups, listeners and rules."""

from __future__ import annotations

from typing import Any

from local.types.arguments import arguments, pascal_case
from local.types.definition import ResourceType, resource
from local.types.request import CreatedResource, ExistingResource, ResourceRequest


@resource("aws:lb/loadBalancer:LoadBalancer")
class LbLoadBalancer(ResourceType):
    """Application Load Balancer."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        elb, inputs = request.client("elbv2"), request.inputs
        (balancer,) = elb.create_load_balancer(
            Name=request.physical_name(),
            Subnets=inputs["subnets"],
            SecurityGroups=inputs["securityGroups"],
            Scheme="internal" if inputs.get("internal") else "internet-facing",
            Type=inputs["loadBalancerType"],
            Tags=request.tag_list(),
            **arguments(inputs, IpAddressType="ipAddressType"),
        )["LoadBalancers"]
        request.exists_as(balancer["LoadBalancerArn"])
        logs = inputs.get("accessLogs") or {}
        attributes = {
            "routing.http.drop_invalid_header_fields.enabled": inputs.get("dropInvalidHeaderFields"),
            "routing.http.desync_mitigation_mode": inputs.get("desyncMitigationMode"),
            "idle_timeout.timeout_seconds": inputs.get("idleTimeout"),
            "access_logs.s3.enabled": logs.get("enabled"),
            "access_logs.s3.bucket": logs.get("bucket"),
            "access_logs.s3.prefix": logs.get("prefix"),
        }
        attribute_list = [{"Key": key, "Value": str(v).lower()} for key, v in attributes.items() if v is not None]
        elb.modify_load_balancer_attributes(LoadBalancerArn=balancer["LoadBalancerArn"], Attributes=attribute_list)
        arn = balancer["LoadBalancerArn"]
        return CreatedResource(
            arn, {"arn": arn, "dnsName": balancer["DNSName"], "zoneId": balancer["CanonicalHostedZoneId"]}
        )

    def remove(self, resource: ExistingResource) -> None:
        resource.client("elbv2").delete_load_balancer(LoadBalancerArn=resource.id)


@resource("aws:lb/targetGroup:TargetGroup")
class LbTargetGroup(ResourceType):
    """Target group of a load balancer."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        check = request.inputs["healthCheck"]
        (group,) = request.client("elbv2").create_target_group(
            Name=request.physical_name(),
            Matcher={"HttpCode": check["matcher"]},
            Tags=request.tag_list(),
            **arguments(
                request.inputs,
                Port="port",
                Protocol="protocol",
                ProtocolVersion="protocolVersion",
                TargetType="targetType",
                IpAddressType="ipAddressType",
                VpcId="vpcId",
            ),
            **arguments(
                check,
                HealthCheckEnabled="enabled",
                HealthCheckPath="path",
                HealthCheckPort="port",
                HealthCheckProtocol="protocol",
                HealthCheckIntervalSeconds="interval",
                HealthCheckTimeoutSeconds="timeout",
                HealthyThresholdCount="healthyThreshold",
                UnhealthyThresholdCount="unhealthyThreshold",
            ),
        )["TargetGroups"]
        return CreatedResource(group["TargetGroupArn"], {"arn": group["TargetGroupArn"]})


@resource("aws:lb/listener:Listener")
class LbListener(ResourceType):
    """Listener of a load balancer."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        certificate = arguments(request.inputs, CertificateArn="certificateArn")
        (listener,) = request.client("elbv2").create_listener(
            LoadBalancerArn=request.inputs["loadBalancerArn"],
            DefaultActions=[_action(action) for action in request.inputs["defaultActions"]],
            Certificates=[certificate] if certificate else [],
            Tags=request.tag_list(),
            **arguments(request.inputs, Port="port", Protocol="protocol", SslPolicy="sslPolicy"),
        )["Listeners"]
        return CreatedResource(listener["ListenerArn"], {"arn": listener["ListenerArn"]})


@resource("aws:lb/listenerRule:ListenerRule")
class LbListenerRule(ResourceType):
    """Rule of a listener."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        conditions = [
            {"Field": "host-header", "HostHeaderConfig": {"Values": condition["hostHeader"]["values"]}}
            for condition in request.inputs["conditions"]
        ]
        (rule,) = request.client("elbv2").create_rule(
            ListenerArn=request.inputs["listenerArn"],
            Priority=int(request.inputs["priority"]),
            Conditions=conditions,
            Actions=[_action(action) for action in request.inputs["actions"]],
            Tags=request.tag_list(),
        )["Rules"]
        return CreatedResource(rule["RuleArn"], {"arn": rule["RuleArn"]})


def _action(action: Any) -> dict[str, Any]:
    converted: dict[str, Any] = {"Type": action["type"]}
    if action.get("redirect"):
        converted["RedirectConfig"] = pascal_case(action["redirect"])
    if action.get("fixedResponse"):
        converted["FixedResponseConfig"] = pascal_case(action["fixedResponse"])
    if action.get("forward"):
        groups = [{"TargetGroupArn": g["arn"], "Weight": int(g["weight"])} for g in action["forward"]["targetGroups"]]
        converted["ForwardConfig"] = {"TargetGroups": groups}
    return converted
