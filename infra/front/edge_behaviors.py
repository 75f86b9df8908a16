"""The parts of a distribution: origins, groups of them, and how a path is served, with AWS's managed policies."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi_aws as aws
from pulumi import Input

# AWS's managed policies, by the ids that "Use managed cache policies", "… origin request policies" and "… response
# headers policies" in the CloudFront developer guide list; they are the same in every account.
CACHING_OPTIMIZED = "658327ea-f89d-4fab-a63d-7e88639e58f6"
CACHING_DISABLED = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
ALL_VIEWER_EXCEPT_HOST_HEADER = "b689b0a8-53d0-40ab-baf2-68738e2966ac"
SECURITY_HEADERS = "67f7725c-6f97-4210-82d7-5512b31e9d03"

READ = ("GET", "HEAD", "OPTIONS")
WRITE = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
_RETRIED = (500, 502, 503, 504)  # what a region that is in trouble answers; a 403 or 404 is an answer


def origin(origin_id: str, domain: Input[str]) -> aws.cloudfront.DistributionOriginArgsDict:
    """A name of ours, over TLS alone."""
    return {
        "origin_id": origin_id,
        "domain_name": domain,
        "connection_attempts": 2,
        "connection_timeout": 5,
        "custom_origin_config": {
            "http_port": 80,
            "https_port": 443,
            "origin_protocol_policy": "https-only",
            "origin_ssl_protocols": ["TLSv1.2"],
            "origin_read_timeout": 30,
            "origin_keepalive_timeout": 5,
        },
    }


def origin_group(label: str) -> aws.cloudfront.DistributionOriginGroupArgsDict:
    return {
        "origin_id": f"{label}-regions",
        "failover_criteria": {"status_codes": list(_RETRIED)},
        "members": [{"origin_id": f"{label}-primary"}, {"origin_id": f"{label}-secondary"}],
    }


def behavior(target: str, methods: Sequence[str]) -> aws.cloudfront.DistributionDefaultCacheBehaviorArgsDict:
    """Passed through: what the visitor sent, but for the Host, by which the origin chooses its certificate."""
    return {
        "target_origin_id": target,
        "allowed_methods": list(methods),
        "cached_methods": ["GET", "HEAD"],
        "viewer_protocol_policy": "redirect-to-https",
        "cache_policy_id": CACHING_DISABLED,
        "origin_request_policy_id": ALL_VIEWER_EXCEPT_HOST_HEADER,
        "response_headers_policy_id": SECURITY_HEADERS,
        "compress": True,
    }


def cached_behavior(target: str) -> aws.cloudfront.DistributionDefaultCacheBehaviorArgsDict:
    """Kept at the edge: what is the same for everybody."""
    return {
        "target_origin_id": target,
        "allowed_methods": list(READ),
        "cached_methods": ["GET", "HEAD"],
        "viewer_protocol_policy": "redirect-to-https",
        "cache_policy_id": CACHING_OPTIMIZED,
        "response_headers_policy_id": SECURITY_HEADERS,
        "compress": True,
    }
