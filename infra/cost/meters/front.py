"""The network and what faces the public."""

from __future__ import annotations

from collections.abc import Iterator

from infra.cost.lines import Line
from infra.cost.meters.table import Month, line, meter
from infra.cost.prices import HOURS
from infra.graph import Resource

MILLION = 1_000_000


@meter("aws:ec2/vpcEndpoint:VpcEndpoint")
def endpoint(it: Resource, month: Month) -> Iterator[Line]:
    if it.inputs.get("vpcEndpointType") == "Interface":
        yield line(it, "hours in a zone", HOURS * len(it.inputs["subnetIds"]), "endpoint.hour")


@meter("aws:ec2/natGateway:NatGateway")
def nat(it: Resource, month: Month) -> Iterator[Line]:
    yield line(it, "hours", HOURS, "nat.hour")


@meter("aws:ec2/eip:Eip")
def address(it: Resource, month: Month) -> Iterator[Line]:
    yield line(it, "hours of a public address", HOURS, "ipv4.hour")


@meter("aws:lb/loadBalancer:LoadBalancer")
def load_balancer(it: Resource, month: Month) -> Iterator[Line]:
    yield line(it, "hours", HOURS, "alb.hour")
    yield line(it, "capacity-unit hours", HOURS * 0.5, "alb.lcu_hour")  # 100 users do not fill one
    if it.inputs.get("ipAddressType") != "dualstack-without-public-ipv4" and not it.inputs.get("internal"):
        yield line(it, "hours of a public address", HOURS * len(it.inputs["subnets"]), "ipv4.hour")


@meter("aws:apigateway/restApi:RestApi")
def api(it: Resource, month: Month) -> Iterator[Line]:
    yield line(it, "million requests", month.traffic.api_requests / MILLION, "api.requests_million")


@meter("aws:cloudfront/distribution:Distribution")
def edge(it: Resource, month: Month) -> Iterator[Line]:
    yield line(it, "GB out", month.traffic.edge_gb, "cloudfront.gb_out")
    yield line(it, "ten thousand requests", month.traffic.edge_requests / 10_000, "cloudfront.requests_10k")


@meter("aws:wafv2/webAcl:WebAcl")
def web_acl(it: Resource, month: Month) -> Iterator[Line]:
    yield line(it, "web ACLs", 1, "waf.acl")
    yield line(it, "rules", len(it.inputs.get("rules") or []), "waf.rule")
    edge = it.inputs["scope"] == "CLOUDFRONT"
    asked = month.traffic.edge_requests if edge else month.traffic.api_requests
    yield line(it, "million requests", asked / MILLION, "waf.requests_million")


@meter("aws:route53/zone:Zone")
def zone(it: Resource, month: Month) -> Iterator[Line]:
    yield line(it, "zones", 1, "route53.zone")
    yield line(it, "million queries", month.traffic.dns_queries / MILLION, "route53.queries_million")


@meter("aws:route53/healthCheck:HealthCheck")
def health_check(it: Resource, month: Month) -> Iterator[Line]:
    yield line(it, "checks of an AWS endpoint", 1, "route53.health_check")
    https, text = it.inputs.get("type", "").startswith("HTTPS"), bool(it.inputs.get("searchString"))
    features = https + text + (it.inputs.get("requestInterval") == 10)
    yield line(it, "features of a check", features, "route53.health_check_feature")
