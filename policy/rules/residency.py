"""Data are where they may be."""

from __future__ import annotations

from collections.abc import Iterator

from policy.config import EU_REGIONS, Config
from policy.controls import PLACE
from policy.rule import Rule, Subject, inner, items

# CloudFront and Route 53 want these in us-east-1. They hold no data of anybody's: a name, rules, a number, a key that
# signs names.
_WORLDWIDE = {
    "aws:acm/certificate:Certificate",
    "aws:acm/certificateValidation:CertificateValidation",
    "aws:cloudwatch/logResourcePolicy:LogResourcePolicy",
    "aws:cloudwatch/metricAlarm:MetricAlarm",
    "aws:wafv2/webAcl:WebAcl",
}
_EU_PREFIXES = ("eu.", "anthropic.")  # a profile that stays in the EU, a model in the stack's own region


def _regions(it: Subject) -> Iterator[str]:
    """Every region that a resource, or a copy of what it holds, is in."""
    yield from (region for region in [inner(it.props, "region")] if region)
    for replica in items(inner(it.props, "replicas")):
        yield from (found for key in ("regionName", "region") if (found := inner(replica, key)))
    for key in ("sourceRegion", "sourceDbInstanceArn", "replicateSourceDb"):
        value = inner(it.props, key)
        if isinstance(value, str) and value.startswith("arn:"):
            yield value.split(":")[3]


def _allowed(it: Subject, config: Config) -> Iterator[str]:
    for region in _regions(it):
        if config.regions and region not in config.regions:
            yield f"is in {region}; the stack's regions are {', '.join(config.regions)}"


def _eu(it: Subject, config: Config) -> Iterator[str]:
    if config.residency != "eu" or it.type in _WORLDWIDE:
        return
    for region in _regions(it):
        if region not in EU_REGIONS:
            yield f"is in {region}, outside the EU"


def _eu_models(it: Subject, config: Config) -> Iterator[str]:
    if config.residency != "eu":
        return
    provider = inner(it.props, "environment", "variables", "MODEL_PROVIDER")
    model = inner(it.props, "environment", "variables", "MODEL_ID")
    if provider == "anthropic":
        yield "asks a model wherever it runs (MODEL_PROVIDER anthropic)"
    elif provider == "bedrock" and not str(model).startswith(_EU_PREFIXES):
        yield f"asks {model}, which may answer outside the EU (MODEL_ID)"


RULES = (
    Rule(
        name="region-allowed",
        description="Resources and their copies are in the stack's own regions.",
        severity="high",
        remediation="Name the region in recovery.region or guardrails.allowedRegions, or do without.",
        controls=PLACE,
        check=_allowed,
    ),
    Rule(
        name="eu-resources",
        description="With residency eu, every resource, replica and log is in the EU.",
        severity="critical",
        remediation="Choose regions of the EU; leave out what only exists elsewhere (edge, and logs of DNS queries).",
        controls=PLACE,
        check=_eu,
    ),
    Rule(
        name="eu-models",
        description="With residency eu, models answer in the EU.",
        severity="critical",
        remediation="Set model.provider to bedrock, with profiles such as eu.anthropic.<model>.",
        controls=PLACE,
        types=frozenset({"aws:lambda/function:Function"}),
        check=_eu_models,
    ),
)
