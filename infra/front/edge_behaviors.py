"""Parts of a CloudFront distribution: origins, origin groups and cache behaviors, with AWS managed policies."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi_aws as aws
from pulumi import Input

# Ids of AWS managed policies, the same in every account (CloudFront Developer Guide, "Use managed cache policies",
# "… origin request policies" and "… response headers policies").
CACHING_OPTIMIZED = "658327ea-f89d-4fab-a63d-7e88639e58f6"
CACHING_DISABLED = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
ALL_VIEWER_EXCEPT_HOST_HEADER = "b689b0a8-53d0-40ab-baf2-68738e2966ac"
SECURITY_HEADERS = "67f7725c-6f97-4210-82d7-5512b31e9d03"

READ = ("GET", "HEAD", "OPTIONS")
WRITE = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
_RETRIED = (500, 502, 503, 504)  # status codes of a failing region; 403 and 404 are regular responses


def origin(origin_id: str, domain: Input[str]) -> aws.cloudfront.DistributionOriginArgsDict:
    """Return a custom origin, reached over TLS only."""
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
    """Return the origin group of ``label``: the primary region, then the secondary."""
    return {
        "origin_id": f"{label}-regions",
        "failover_criteria": {"status_codes": list(_RETRIED)},
        "members": [{"origin_id": f"{label}-primary"}, {"origin_id": f"{label}-secondary"}],
    }


def behavior(target: str, methods: Sequence[str]) -> aws.cloudfront.DistributionDefaultCacheBehaviorArgsDict:
    """Return a cache behavior without caching.

    The origin receives the whole request except the Host header, because the origin chooses its certificate by the
    Host.
    """
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
    """Return a cache behavior with caching, for content that is the same for every visitor."""
    return {
        "target_origin_id": target,
        "allowed_methods": list(READ),
        "cached_methods": ["GET", "HEAD"],
        "viewer_protocol_policy": "redirect-to-https",
        "cache_policy_id": CACHING_OPTIMIZED,
        "response_headers_policy_id": SECURITY_HEADERS,
        "compress": True,
    }
