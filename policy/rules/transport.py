"""Everything that moves, moves under TLS."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from policy.config import Config
from policy.controls import IN_TRANSIT
from policy.documents import refuses_plain_http
from policy.rule import Rule, Subject, Violation, inner, items, of


def _doors(subjects: Sequence[Subject], _: Config) -> Iterator[Violation]:
    kinds = (
        ("s3/bucket:Bucket", "bucket", "s3/bucketPolicy:BucketPolicy", "bucket"),
        ("sqs/queue:Queue", "url", "sqs/queuePolicy:QueuePolicy", "queueUrl"),
        ("sns/topic:Topic", "arn", "sns/topicPolicy:TopicPolicy", "arn"),
    )
    for kind, identity, policy_kind, key in kinds:
        tight = {it.props[key] for it in of(subjects, policy_kind) if refuses_plain_http(it.props["policy"])}
        for it in of(subjects, kind):
            if it.props[identity] not in tight:
                yield it, "has no policy that refuses requests without TLS"


def _listener(it: Subject, _: Config) -> Iterator[str]:
    if inner(it.props, "protocol") == "HTTPS":
        if "TLS13" not in str(inner(it.props, "sslPolicy")):
            yield f"takes older TLS than it must (sslPolicy {inner(it.props, 'sslPolicy')})"
    elif any(inner(action, "redirect", "protocol") != "HTTPS" for action in items(inner(it.props, "defaultActions"))):
        yield "serves plain HTTP instead of a redirect to HTTPS"


def _distribution(it: Subject, _: Config) -> Iterator[str]:
    behaviours = [inner(it.props, "defaultCacheBehavior"), *items(inner(it.props, "orderedCacheBehaviors"))]
    if any(inner(one, "viewerProtocolPolicy") not in ("https-only", "redirect-to-https") for one in behaviours):
        yield "has a behaviour that serves plain HTTP"
    if inner(it.props, "viewerCertificate", "minimumProtocolVersion") not in ("TLSv1.2_2021", "TLSv1.3_2025"):
        yield f"takes {inner(it.props, 'viewerCertificate', 'minimumProtocolVersion')}"
    for origin in items(inner(it.props, "origins")):
        if (inner(origin, "customOriginConfig", "originProtocolPolicy") or "https-only") != "https-only":
            yield f"talks plain HTTP to its origin {inner(origin, 'originId')}"


def _database(it: Subject, _: Config) -> Iterator[str]:
    asked = {inner(one, "name"): str(inner(one, "value")) for one in items(inner(it.props, "parameters"))}
    if asked.get("rds.force_ssl") not in ("1", "1.0"):
        yield "does not set rds.force_ssl to 1"


def _api(it: Subject, _: Config) -> Iterator[str]:
    policy = str(inner(it.props, "securityPolicy"))
    if not ("TLS_1_2" in policy or "TLS12" in policy or "TLS13" in policy):
        yield f"takes older TLS than 1.2 (securityPolicy {policy})"


RULES = (
    Rule(
        name="tls-only",
        description="Buckets, queues and topics refuse requests without TLS.",
        severity="high",
        remediation="Use infra.foundation.bucket, queue and bus, whose policies deny aws:SecureTransport = false.",
        controls=IN_TRANSIT,
        check_stack=_doors,
    ),
    Rule(
        name="listener-tls",
        description="Load balancers speak TLS 1.3 or 1.2 by a current policy; port 80 only redirects.",
        severity="high",
        remediation="Set protocol HTTPS with a TLS13 sslPolicy, or a redirect to HTTPS as the default action.",
        controls=IN_TRANSIT,
        types=frozenset({"aws:lb/listener:Listener"}),
        check=_listener,
    ),
    Rule(
        name="distribution-tls",
        description="CloudFront takes TLS 1.2 or newer, and speaks it to its origins.",
        severity="high",
        remediation="Set viewerProtocolPolicy, minimumProtocolVersion (TLSv1.2_2021), originProtocolPolicy https-only.",
        controls=IN_TRANSIT,
        types=frozenset({"aws:cloudfront/distribution:Distribution"}),
        check=_distribution,
    ),
    Rule(
        name="database-tls",
        description="Databases refuse connections without TLS.",
        severity="high",
        remediation="Set rds.force_ssl to 1 in the parameter group.",
        controls=IN_TRANSIT,
        types=frozenset({"aws:rds/parameterGroup:ParameterGroup"}),
        check=_database,
    ),
    Rule(
        name="api-tls",
        description="The API's domain takes TLS 1.2 or newer.",
        severity="high",
        remediation="Set securityPolicy to TLS_1_2 or a newer one.",
        controls=IN_TRANSIT,
        types=frozenset({"aws:apigateway/domainName:DomainName"}),
        check=_api,
    ),
)
