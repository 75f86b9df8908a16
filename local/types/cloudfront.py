"""CloudFront: distributions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from local.types.arguments import arguments
from local.types.definition import ResourceType, resource
from local.types.request import CreatedResource, ExistingResource, ResourceRequest


@resource("aws:cloudfront/originAccessControl:OriginAccessControl")
class CloudFrontOriginAccessControl(ResourceType):
    """Origin access control of a CloudFront distribution."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        config = arguments(
            request.inputs,
            Description="description",
            SigningBehavior="signingBehavior",
            SigningProtocol="signingProtocol",
            OriginAccessControlOriginType="originAccessControlOriginType",
        )
        response = request.client("cloudfront").create_origin_access_control(
            OriginAccessControlConfig={"Name": request.physical_name(), **config}
        )
        return CreatedResource(response["OriginAccessControl"]["Id"])


@resource("aws:cloudfront/distribution:Distribution", replaced_by=())
class CloudFrontDistribution(ResourceType):
    """CloudFront distribution."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        config = {
            "DistributionConfig": _distribution_config(request, request.name),
            "Tags": {"Items": request.tag_list()},
        }
        response = request.client("cloudfront").create_distribution_with_tags(DistributionConfigWithTags=config)
        distribution = response["Distribution"]
        outputs = {
            "arn": distribution["ARN"],
            "domainName": distribution["DomainName"],
            "hostedZoneId": "Z2FDTNDATAQYW2",
        }
        return CreatedResource(distribution["Id"], outputs)

    def change(self, resource: ExistingResource) -> None:
        cloudfront = resource.client("cloudfront")
        current = cloudfront.get_distribution_config(Id=resource.id)
        config = _distribution_config(resource, current["DistributionConfig"]["CallerReference"])
        cloudfront.update_distribution(Id=resource.id, IfMatch=current["ETag"], DistributionConfig=config)


def _distribution_config(request: ResourceRequest, reference: str) -> dict[str, Any]:
    inputs, geo = request.inputs, request.inputs["restrictions"]["geoRestriction"]
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
        "ViewerCertificate": arguments(
            inputs["viewerCertificate"],
            ACMCertificateArn="acmCertificateArn",
            SSLSupportMethod="sslSupportMethod",
            MinimumProtocolVersion="minimumProtocolVersion",
        ),
        **arguments(
            inputs,
            DefaultRootObject="defaultRootObject",
            PriceClass="priceClass",
            HttpVersion="httpVersion",
            IsIPV6Enabled="isIpv6Enabled",
            WebACLId="webAclId",
        ),
    }


def _list(items: Sequence[Any]) -> dict[str, Any]:
    """Return a list with its length, as CloudFront's API takes lists."""
    return {"Quantity": len(items), **({"Items": list(items)} if items else {})}


def _origin(origin: Any) -> dict[str, Any]:
    settings = arguments(
        origin,
        Id="originId",
        DomainName="domainName",
        ConnectionAttempts="connectionAttempts",
        ConnectionTimeout="connectionTimeout",
        OriginAccessControlId="originAccessControlId",
    )
    custom = origin.get("customOriginConfig")
    if not custom:
        return {**settings, "S3OriginConfig": {"OriginAccessIdentity": ""}}
    return {
        **settings,
        "CustomOriginConfig": {
            "OriginSslProtocols": _list(custom["originSslProtocols"]),
            **arguments(
                custom,
                HTTPPort="httpPort",
                HTTPSPort="httpsPort",
                OriginProtocolPolicy="originProtocolPolicy",
                OriginReadTimeout="originReadTimeout",
                OriginKeepaliveTimeout="originKeepaliveTimeout",
            ),
        },
    }


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
        **arguments(
            behavior,
            TargetOriginId="targetOriginId",
            ViewerProtocolPolicy="viewerProtocolPolicy",
            CachePolicyId="cachePolicyId",
            OriginRequestPolicyId="originRequestPolicyId",
            ResponseHeadersPolicyId="responseHeadersPolicyId",
            Compress="compress",
        ),
    }
