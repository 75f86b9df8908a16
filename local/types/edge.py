"""CloudFront."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from local.types import Declared, Made, creates, given


@creates("aws:cloudfront/originAccessControl:OriginAccessControl")
def origin_access_control(it: Declared) -> Made:
    config = given(
        it.inputs, Description="description", SigningBehavior="signingBehavior", SigningProtocol="signingProtocol",
        OriginAccessControlOriginType="originAccessControlOriginType",
    )  # fmt: skip
    made = it.client("cloudfront").create_origin_access_control(
        OriginAccessControlConfig={"Name": it.physical(), **config}
    )
    return Made(made["OriginAccessControl"]["Id"])


@creates("aws:cloudfront/distribution:Distribution")
def distribution(it: Declared) -> Made:
    tagged = {"DistributionConfig": distribution_config(it, it.name), "Tags": {"Items": it.tags()}}
    made = it.client("cloudfront").create_distribution_with_tags(DistributionConfigWithTags=tagged)["Distribution"]
    outputs = {"arn": made["ARN"], "domainName": made["DomainName"], "hostedZoneId": "Z2FDTNDATAQYW2"}
    return Made(made["Id"], outputs)


def distribution_config(it: Declared, reference: str) -> dict[str, Any]:
    inputs, geo = it.inputs, it.inputs["restrictions"]["geoRestriction"]
    errors = [
        {"ErrorCode": e["errorCode"], "ErrorCachingMinTTL": e["errorCachingMinTtl"]}
        for e in inputs.get("customErrorResponses") or []
    ]
    return {
        "CallerReference": reference,
        "Comment": inputs["comment"],
        "Enabled": inputs["enabled"],
        "Aliases": _list(inputs["aliases"]),
        "Origins": _list([_origin(origin) for origin in inputs["origins"]]),
        "OriginGroups": _list([_group(group) for group in inputs.get("originGroups") or []]),
        "DefaultCacheBehavior": _behavior(inputs["defaultCacheBehavior"]),
        "CacheBehaviors": _list(
            [{"PathPattern": b["pathPattern"], **_behavior(b)} for b in inputs["orderedCacheBehaviors"]]
        ),
        "CustomErrorResponses": _list(errors),
        "Restrictions": {"GeoRestriction": {"RestrictionType": geo["restrictionType"], **_list(geo["locations"])}},
        "ViewerCertificate": given(
            inputs["viewerCertificate"], ACMCertificateArn="acmCertificateArn", SSLSupportMethod="sslSupportMethod",
            MinimumProtocolVersion="minimumProtocolVersion",
        ),
        **given(
            inputs, DefaultRootObject="defaultRootObject", PriceClass="priceClass", HttpVersion="httpVersion",
            IsIPV6Enabled="isIpv6Enabled", WebACLId="webAclId",
        ),
    }  # fmt: skip


def _list(items: Sequence[Any]) -> dict[str, Any]:
    """CloudFront counts its lists."""
    return {"Quantity": len(items), **({"Items": list(items)} if items else {})}


def _origin(origin: Any) -> dict[str, Any]:
    made = given(
        origin, Id="originId", DomainName="domainName", ConnectionAttempts="connectionAttempts",
        ConnectionTimeout="connectionTimeout", OriginAccessControlId="originAccessControlId",
    )  # fmt: skip
    custom = origin.get("customOriginConfig")
    if not custom:
        return {**made, "S3OriginConfig": {"OriginAccessIdentity": ""}}
    return {
        **made,
        "CustomOriginConfig": {
            "OriginSslProtocols": _list(custom["originSslProtocols"]),
            **given(
                custom, HTTPPort="httpPort", HTTPSPort="httpsPort", OriginProtocolPolicy="originProtocolPolicy",
                OriginReadTimeout="originReadTimeout", OriginKeepaliveTimeout="originKeepaliveTimeout",
            ),
        },
    }  # fmt: skip


def _group(group: Any) -> dict[str, Any]:
    return {
        "Id": group["originId"],
        "FailoverCriteria": {"StatusCodes": _list(group["failoverCriteria"]["statusCodes"])},
        "Members": _list([{"OriginId": member["originId"]} for member in group["members"]]),
    }


def _behavior(behavior: Any) -> dict[str, Any]:
    methods = {**_list(behavior["allowedMethods"]), "CachedMethods": _list(behavior["cachedMethods"])}
    return {
        "AllowedMethods": methods,
        **given(
            behavior, TargetOriginId="targetOriginId", ViewerProtocolPolicy="viewerProtocolPolicy",
            CachePolicyId="cachePolicyId", OriginRequestPolicyId="originRequestPolicyId",
            ResponseHeadersPolicyId="responseHeadersPolicyId", Compress="compress",
        ),
    }  # fmt: skip
