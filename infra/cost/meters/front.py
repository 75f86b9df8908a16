"""Meters of the network and the public frontend."""

from __future__ import annotations

from collections.abc import Iterator

from infra.cost.lines import Line
from infra.cost.meters.table import Month, line, meter
from infra.cost.prices import HOURS
from infra.graph import Resource

MILLION = 1_000_000


@meter("aws:ec2/vpcEndpoint:VpcEndpoint")
def endpoint(resource: Resource, month: Month) -> Iterator[Line]:
    if resource.inputs.get("vpcEndpointType") == "Interface":
        yield line(resource, "hours in a zone", HOURS * len(resource.inputs["subnetIds"]), "endpoint.hour")


@meter("aws:ec2/natGateway:NatGateway")
def nat(resource: Resource, month: Month) -> Iterator[Line]:
    yield line(resource, "hours", HOURS, "nat.hour")


@meter("aws:ec2/eip:Eip")
def address(resource: Resource, month: Month) -> Iterator[Line]:
    yield line(resource, "hours of a public address", HOURS, "ipv4.hour")


@meter("aws:lb/loadBalancer:LoadBalancer")
def load_balancer(resource: Resource, month: Month) -> Iterator[Line]:
    yield line(resource, "hours", HOURS, "alb.hour")
    yield line(resource, "capacity-unit hours", HOURS * 0.5, "alb.lcu_hour")  # 100 users use less than one unit
    if resource.inputs.get("ipAddressType") != "dualstack-without-public-ipv4" and not resource.inputs.get("internal"):
        yield line(resource, "hours of a public address", HOURS * len(resource.inputs["subnets"]), "ipv4.hour")


@meter("aws:apigateway/restApi:RestApi")
def api(resource: Resource, month: Month) -> Iterator[Line]:
    yield line(resource, "million requests", month.traffic.api_requests / MILLION, "api.requests_million")


@meter("aws:cloudfront/distribution:Distribution")
def edge(resource: Resource, month: Month) -> Iterator[Line]:
    yield line(resource, "GB out", month.traffic.edge_gb, "cloudfront.gb_out")
    yield line(resource, "ten thousand requests", month.traffic.edge_requests / 10_000, "cloudfront.requests_10k")


@meter("aws:wafv2/webAcl:WebAcl")
def web_acl(resource: Resource, month: Month) -> Iterator[Line]:
    yield line(resource, "web ACLs", 1, "waf.acl")
    yield line(resource, "rules", len(resource.inputs.get("rules") or []), "waf.rule")
    edge = resource.inputs["scope"] == "CLOUDFRONT"
    requests = month.traffic.edge_requests if edge else month.traffic.api_requests
    yield line(resource, "million requests", requests / MILLION, "waf.requests_million")


@meter("aws:route53/zone:Zone")
def zone(resource: Resource, month: Month) -> Iterator[Line]:
    yield line(resource, "zones", 1, "route53.zone")
    yield line(resource, "million queries", month.traffic.dns_queries / MILLION, "route53.queries_million")


@meter("aws:route53/healthCheck:HealthCheck")
def health_check(resource: Resource, month: Month) -> Iterator[Line]:
    yield line(resource, "checks of an AWS endpoint", 1, "route53.health_check")
    https, text = resource.inputs.get("type", "").startswith("HTTPS"), bool(resource.inputs.get("searchString"))
    features = https + text + (resource.inputs.get("requestInterval") == 10)
    yield line(resource, "features of a check", features, "route53.health_check_feature")
