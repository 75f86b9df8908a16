"""Route 53: hosted zones, records and health checks."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from local.types.arguments import arguments
from local.types.definition import ResourceType, resource
from local.types.request import CreatedResource, ResourceRequest


@resource("aws:route53/zone:Zone")
class Route53Zone(ResourceType):
    """Hosted zone."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        response = request.client("route53").create_hosted_zone(
            Name=request.physical_name(),
            CallerReference=_caller_reference(request),
            HostedZoneConfig={"Comment": request.inputs.get("comment") or ""},
        )
        id_ = response["HostedZone"]["Id"].rpartition("/")[2]
        servers = response["DelegationSet"]["NameServers"]
        return CreatedResource(
            id_, {"zoneId": id_, "arn": f"arn:aws:route53:::hostedzone/{id_}", "nameServers": servers}
        )


@resource("aws:route53/record:Record")
class Route53Record(ResourceType):
    """DNS record set."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        record: dict[str, Any] = {"Name": request.inputs["name"], "Type": request.inputs["type"]}
        if request.inputs.get("aliases"):
            (alias,) = request.inputs["aliases"]
            record["AliasTarget"] = {
                "DNSName": alias["name"],
                "HostedZoneId": alias["zoneId"],
                "EvaluateTargetHealth": alias["evaluateTargetHealth"],
            }
        else:
            record["TTL"] = int(request.inputs["ttl"])
            record["ResourceRecords"] = [{"Value": value} for value in request.inputs["records"]]
        for policy in request.inputs.get("failoverRoutingPolicies") or []:
            record["Failover"] = policy["type"]
        record |= arguments(request.inputs, SetIdentifier="setIdentifier", HealthCheckId="healthCheckId")
        change = {"Action": "CREATE", "ResourceRecordSet": record}
        request.client("route53").change_resource_record_sets(
            HostedZoneId=request.inputs["zoneId"], ChangeBatch={"Changes": [change]}
        )
        return CreatedResource(
            f"{request.inputs['zoneId']}_{request.inputs['name']}_{request.inputs['type']}",
            {"fqdn": request.inputs["name"]},
        )


@resource("aws:route53/healthCheck:HealthCheck")
class Route53HealthCheck(ResourceType):
    """Health check."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        config = arguments(
            request.inputs,
            Type="type",
            FullyQualifiedDomainName="fqdn",
            Port="port",
            ResourcePath="resourcePath",
            EnableSNI="enableSni",
            RequestInterval="requestInterval",
            FailureThreshold="failureThreshold",
            MeasureLatency="measureLatency",
            ChildHealthChecks="childHealthchecks",
            HealthThreshold="childHealthThreshold",
            InsufficientDataHealthStatus="insufficientDataHealthStatus",
        )
        if "cloudwatchAlarmName" in request.inputs:
            config["AlarmIdentifier"] = {
                "Region": request.inputs["cloudwatchAlarmRegion"],
                "Name": request.inputs["cloudwatchAlarmName"],
            }
        response = request.client("route53").create_health_check(
            CallerReference=_caller_reference(request), HealthCheckConfig=config
        )
        id_ = response["HealthCheck"]["Id"]
        return CreatedResource(id_, {"arn": f"arn:aws:route53:::healthcheck/{id_}"})


def _caller_reference(request: ResourceRequest) -> str:
    """Return a new reference. For a reference used before, Route 53 returns the old resource instead of a new one."""
    return f"{request.name}-{uuid4()}"
