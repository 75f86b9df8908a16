"""Data residency: allowed Regions of resources, copies and models."""

from __future__ import annotations

from collections.abc import Iterator

from policy.config import EU_REGIONS, Config
from policy.controls import PLACE
from policy.rule import Rule, Subject, as_list, value_at

# CloudFront and Route 53 require these types in us-east-1. They hold no personal data: a domain name, rules, a metric,
# a policy for query logs.
_WORLDWIDE = {
    "aws:acm/certificate:Certificate",
    "aws:acm/certificateValidation:CertificateValidation",
    "aws:cloudwatch/logResourcePolicy:LogResourcePolicy",
    "aws:cloudwatch/metricAlarm:MetricAlarm",
    "aws:wafv2/webAcl:WebAcl",
}
_EU_PREFIXES = ("eu.", "anthropic.")  # EU inference profiles, and models in the stack's own Region


def _regions(resource: Subject) -> Iterator[str]:
    """Yield all Regions of a resource, its replicas and its source."""
    yield from (region for region in [resource.value("region")] if region)
    for replica in as_list(resource.value("replicas")):
        yield from (name for key in ("regionName", "region") if (name := value_at(replica, key)))
    for key in ("sourceRegion", "sourceDbInstanceArn", "replicateSourceDb"):
        value = resource.value(key)
        if isinstance(value, str) and value.startswith("arn:"):
            yield value.split(":")[3]


def _allowed(resource: Subject, config: Config) -> Iterator[str]:
    for region in _regions(resource):
        if config.regions and region not in config.regions:
            yield f"is in {region}; allowed are {', '.join(config.regions)}"


def _eu(resource: Subject, config: Config) -> Iterator[str]:
    if config.residency != "eu" or resource.type in _WORLDWIDE:
        return
    for region in _regions(resource):
        if region not in EU_REGIONS:
            yield f"is in {region}, outside the EU"


def _eu_models(resource: Subject, config: Config) -> Iterator[str]:
    if config.residency != "eu":
        return
    provider = resource.value("environment", "variables", "MODEL_PROVIDER")
    model = resource.value("environment", "variables", "MODEL_ID")
    if provider == "anthropic":
        yield "uses models outside the EU (MODEL_PROVIDER anthropic)"
    elif provider == "bedrock" and not str(model).startswith(_EU_PREFIXES):
        yield f"uses {model}, which can run outside the EU (MODEL_ID)"


RULES = (
    Rule(
        name="region-allowed",
        description="Resources and their replicas are in the stack's allowed Regions.",
        severity="high",
        remediation="Add the Region to guardrails.allowedRegions or set recovery.region; or remove the resource.",
        controls=PLACE,
        check=_allowed,
    ),
    Rule(
        name="eu-resources",
        description="With residency eu, every resource, replica and log is in the EU.",
        severity="critical",
        remediation="Set Regions of the EU; remove edge and DNS query logs, which AWS keeps in us-east-1.",
        controls=PLACE,
        check=_eu,
    ),
    Rule(
        name="eu-models",
        description="With residency eu, models run in the EU.",
        severity="critical",
        remediation="Set model.provider to bedrock, and models to EU inference profiles such as eu.anthropic.<model>.",
        controls=PLACE,
        types=frozenset({"aws:lambda/function:Function"}),
        check=_eu_models,
    ),
)
