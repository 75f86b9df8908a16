"""WAF: web ACLs."""

from __future__ import annotations

from typing import Any

from local.types.arguments import arguments, pascal_case
from local.types.definition import ResourceType, resource
from local.types.request import CreatedResource, ResourceRequest


@resource("aws:wafv2/webAcl:WebAcl")
class WafWebAcl(ResourceType):
    """Web ACL."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        summary = request.client("wafv2").create_web_acl(
            Name=request.physical_name(),
            Scope=request.inputs["scope"],
            DefaultAction=pascal_case(request.inputs["defaultAction"]),
            VisibilityConfig=_visibility(request.inputs["visibilityConfig"]),
            Rules=[_rule(rule) for rule in request.inputs["rules"]],
            Tags=request.tag_list(),
            **arguments(request.inputs, Description="description"),
        )["Summary"]
        return CreatedResource(summary["Id"], {"arn": summary["ARN"], "name": request.physical_name()})


@resource("aws:wafv2/webAclAssociation:WebAclAssociation")
class WafWebAclAssociation(ResourceType):
    """Association of a web ACL with a load balancer or API stage."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        request.client("wafv2").associate_web_acl(
            WebACLArn=request.inputs["webAclArn"], ResourceArn=request.inputs["resourceArn"]
        )
        return CreatedResource(f"{request.inputs['webAclArn']},{request.inputs['resourceArn']}")


def _rule(rule: Any) -> dict[str, Any]:
    converted = pascal_case({name: value for name, value in rule.items() if name != "visibilityConfig"})
    converted["Priority"] = int(converted["Priority"])
    limit = converted["Statement"].get("RateBasedStatement")
    if limit and "ForwardedIpConfig" in limit:
        limit["ForwardedIPConfig"] = limit.pop("ForwardedIpConfig")
    return {**converted, "VisibilityConfig": _visibility(rule["visibilityConfig"])}


def _visibility(config: Any) -> dict[str, Any]:
    return {
        "SampledRequestsEnabled": config["sampledRequestsEnabled"],
        "CloudWatchMetricsEnabled": config["cloudwatchMetricsEnabled"],
        "MetricName": config["metricName"],
    }
