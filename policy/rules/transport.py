"""Encryption in transit: TLS for all requests, with current versions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from policy.config import Config
from policy.controls import IN_TRANSIT
from policy.documents import refuses_plain_http
from policy.rule import Rule, Subject, Violation, as_list, of_type, value_at


def _resource_policies(subjects: Sequence[Subject], _: Config) -> Iterator[Violation]:
    kinds = (
        ("s3/bucket:Bucket", "bucket", "s3/bucketPolicy:BucketPolicy", "bucket"),
        ("sqs/queue:Queue", "url", "sqs/queuePolicy:QueuePolicy", "queueUrl"),
        ("sns/topic:Topic", "arn", "sns/topicPolicy:TopicPolicy", "arn"),
    )
    for kind, identity, policy_kind, key in kinds:
        protected = {
            resource.props[key]
            for resource in of_type(subjects, policy_kind)
            if refuses_plain_http(resource.props["policy"])
        }
        for resource in of_type(subjects, kind):
            if resource.props[identity] not in protected:
                yield resource, "has no policy that refuses requests without TLS"


def _listener(resource: Subject, _: Config) -> Iterator[str]:
    if resource.value("protocol") == "HTTPS":
        if "TLS13" not in str(resource.value("sslPolicy")):
            yield f"has no TLS 1.3 policy (sslPolicy {resource.value('sslPolicy')})"
    elif any(
        value_at(action, "redirect", "protocol") != "HTTPS" for action in as_list(resource.value("defaultActions"))
    ):
        yield "serves HTTP without a redirect to HTTPS"


def _distribution(resource: Subject, _: Config) -> Iterator[str]:
    behaviours = [
        resource.value("defaultCacheBehavior"),
        *as_list(resource.value("orderedCacheBehaviors")),
    ]
    if any(
        value_at(behaviour, "viewerProtocolPolicy") not in ("https-only", "redirect-to-https")
        for behaviour in behaviours
    ):
        yield "has a cache behaviour that serves HTTP (viewerProtocolPolicy)"
    if resource.value("viewerCertificate", "minimumProtocolVersion") not in ("TLSv1.2_2021", "TLSv1.3_2025"):
        yield f"accepts {resource.value('viewerCertificate', 'minimumProtocolVersion')}"
    for origin in as_list(resource.value("origins")):
        if (value_at(origin, "customOriginConfig", "originProtocolPolicy") or "https-only") != "https-only":
            yield f"uses HTTP for the origin {value_at(origin, 'originId')}"


def _database(resource: Subject, _: Config) -> Iterator[str]:
    values = {
        value_at(parameter, "name"): str(value_at(parameter, "value"))
        for parameter in as_list(resource.value("parameters"))
    }
    if values.get("rds.force_ssl") not in ("1", "1.0"):
        yield "does not set rds.force_ssl to 1"


def _api(resource: Subject, _: Config) -> Iterator[str]:
    policy = str(resource.value("securityPolicy"))
    if not ("TLS_1_2" in policy or "TLS12" in policy or "TLS13" in policy):
        yield f"accepts TLS before 1.2 (securityPolicy {policy})"


RULES = (
    Rule(
        name="tls-only",
        description="Buckets, queues and topics refuse requests without TLS.",
        severity="high",
        remediation="Declare buckets with infra.foundation.bucket.Bucket, queues with infra.messaging.queue.Queue and "
        "topics with infra.messaging.bus.Bus: their policies deny requests with aws:SecureTransport = false.",
        controls=IN_TRANSIT,
        check_stack=_resource_policies,
    ),
    Rule(
        name="listener-tls",
        description="HTTPS listeners have a policy with TLS 1.3 and 1.2; HTTP listeners redirect to HTTPS.",
        severity="high",
        remediation="Set protocol HTTPS with a TLS13 sslPolicy, or a redirect to HTTPS as the default action.",
        controls=IN_TRANSIT,
        types=frozenset({"aws:lb/listener:Listener"}),
        check=_listener,
    ),
    Rule(
        name="distribution-tls",
        description="CloudFront requires TLS 1.2 or newer from viewers, and HTTPS to origins.",
        severity="high",
        remediation="Set viewerProtocolPolicy to redirect-to-https, minimumProtocolVersion to TLSv1.2_2021, and "
        "originProtocolPolicy to https-only.",
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
        description="Custom domains of the API require TLS 1.2 or newer.",
        severity="high",
        remediation="Set securityPolicy to TLS_1_2 or a newer policy.",
        controls=IN_TRANSIT,
        types=frozenset({"aws:apigateway/domainName:DomainName"}),
        check=_api,
    ),
)
