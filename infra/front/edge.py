"""CloudFront distribution in front of the application, the API and the public assets."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi_aws as aws
from pulumi import ComponentResource, Output, Resource, ResourceOptions

from infra import settings
from infra.foundation.foundation import Foundation
from infra.foundation.storage import PUBLIC_ASSETS
from infra.front.certificate import Certificate, CertificateArgs
from infra.front.dns import GLOBAL_REGION, Dns, regional_name
from infra.front.edge_behaviors import (
    READ,
    WRITE,
    behavior,
    cached_behavior,
    origin,
    origin_group,
)
from infra.front.web_acl import WebAcl, WebAclArgs
from infra.naming.context import DataClass

# Paths of the API, see infra/api/definition.py. CloudFront may read a report from the other region; the remaining
# paths start and cancel sessions.
REPORTS, SESSIONS = "/sessions/*/report", "/sessions*"
ASSETS = "assets"
ERROR_TTL_S = 5  # a short TTL, so that visitors do not see an error after its end


@dataclass(frozen=True, kw_only=True)
class EdgeArgs:
    foundation: Foundation
    dns: Dns
    settings: settings.EdgeSettings
    recovery_region: str | None  # region of a standby with its own regional names
    depends_on: tuple[Resource, ...] = ()  # the DNS names of the origins


class Edge(ComponentResource):
    """CloudFront distribution for ``<domain>`` and ``www.<domain>``, with web ACL, logs and DNS records."""

    distribution_arn: Output[str]
    distribution_id: Output[str]
    web_acl: WebAcl

    def __init__(self, name: str, args: EdgeArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:front:Edge", name, opts=opts)
        self._name, self._args = name, args
        child = ResourceOptions(parent=self)
        self.names = (args.dns.domain, f"www.{args.dns.domain}")
        certificate = Certificate(
            f"{name}-tls",
            CertificateArgs(
                context=args.foundation.context,
                label="edge",
                zone_id=args.dns.zone_id,
                names=self.names,
                region=GLOBAL_REGION,
            ),
            child,
        )
        limit = args.settings.rate_limit_per_ip
        self.web_acl = WebAcl(
            f"{name}-waf",
            WebAclArgs(foundation=args.foundation, label="edge", scope="CLOUDFRONT", rate_limit_per_ip=limit),
            child,
        )
        distribution = self._distribution(certificate)
        self.distribution_arn, self.distribution_id = distribution.arn, distribution.id
        args.foundation.storage.let_distribution_read(distribution.arn)
        self._deliver_logs(distribution)
        self._alias_records(distribution)
        self.register_outputs({"distribution_id": self.distribution_id})

    def _distribution(self, certificate: Certificate) -> aws.cloudfront.Distribution:
        args, context = self._args, self._args.foundation.context
        blocked = sorted(set(args.settings.blocked_countries))
        return aws.cloudfront.Distribution(
            f"{self._name}-distribution",
            comment=f"InfraFabric {context.stack}",
            enabled=True,
            aliases=list(self.names),
            http_version="http2and3",
            is_ipv6_enabled=True,
            price_class=args.settings.price_class,
            default_root_object="index.html",
            web_acl_id=self.web_acl.arn,
            origins=self._origins(),
            origin_groups=self._origin_groups(),
            default_cache_behavior=behavior(self._read_origin("app"), READ),
            ordered_cache_behaviors=self._paths(),
            custom_error_responses=[
                {"error_code": code, "error_caching_min_ttl": ERROR_TTL_S} for code in (500, 502, 503, 504)
            ],
            restrictions={
                "geo_restriction": {
                    "restriction_type": "blacklist" if blocked else "none",
                    "locations": blocked,
                }
            },
            viewer_certificate={
                "acm_certificate_arn": certificate.arn,
                "minimum_protocol_version": "TLSv1.2_2021",
                "ssl_support_method": "sni-only",
            },
            tags=self._tags("edge"),
            opts=ResourceOptions(parent=self, depends_on=list(args.depends_on)),
        )

    def _origins(self) -> list[aws.cloudfront.DistributionOriginArgsDict]:
        """Return the origins: assets, and API and application under their shared names.

        With a standby, API and application also have one origin per region.
        """
        args, dns = self._args, self._args.dns
        access = aws.cloudfront.OriginAccessControl(
            f"{self._name}-access",
            name=args.foundation.context.physical_name("assets"),
            description="CloudFront signs what it asks of the assets bucket",
            origin_access_control_origin_type="s3",
            signing_behavior="always",
            signing_protocol="sigv4",
            opts=ResourceOptions(parent=self),
        )
        origins: list[aws.cloudfront.DistributionOriginArgsDict] = [
            {
                "origin_id": ASSETS,
                "domain_name": args.foundation.storage.assets_domain,
                "origin_access_control_id": access.id,
            }
        ]
        for label in ("api", "app"):
            origins.append(origin(label, dns.shared_name(label)))
            if args.recovery_region:
                origins.append(origin(f"{label}-primary", dns.regional_name(label)))
                origins.append(origin(f"{label}-secondary", regional_name(label, args.recovery_region, dns.domain)))
        return origins

    def _origin_groups(self) -> list[aws.cloudfront.DistributionOriginGroupArgsDict] | None:
        return [origin_group(label) for label in ("api", "app")] if self._args.recovery_region else None

    def _read_origin(self, label: str) -> str:
        """Return the origin for reads of ``label``: the origin group if there is a standby.

        CloudFront retries only reads at a group's second member, and refuses a group for methods that write.
        """
        return f"{label}-regions" if self._args.recovery_region else label

    def _paths(self) -> list[aws.cloudfront.DistributionOrderedCacheBehaviorArgsDict]:
        """Return the cache behaviors in order; CloudFront uses the first match."""
        return [
            {"path_pattern": f"/{PUBLIC_ASSETS}*", **cached_behavior(ASSETS)},
            {"path_pattern": REPORTS, **behavior(self._read_origin("api"), READ)},
            {"path_pattern": SESSIONS, **behavior("api", WRITE)},
            *({"path_pattern": path, **behavior("app", WRITE)} for path in self._args.settings.write_paths),
        ]  # pyright: ignore[reportReturnType]  # the two behavior types differ only in the path

    def _deliver_logs(self, distribution: aws.cloudfront.Distribution) -> None:
        """Declare standard logging v2; version 1 needs ACLs, which the log bucket refuses."""
        foundation, child = self._args.foundation, ResourceOptions(parent=self)
        source = aws.cloudwatch.LogDeliverySource(
            f"{self._name}-log-source",
            name=foundation.context.physical_name("edge"),
            log_type="ACCESS_LOGS",
            resource_arn=distribution.arn,
            region=GLOBAL_REGION,
            tags=self._tags("edge"),
            opts=child,
        )
        destination = aws.cloudwatch.LogDeliveryDestination(
            f"{self._name}-log-destination",
            name=foundation.context.physical_name("edge"),
            output_format="json",
            delivery_destination_configuration={"destination_resource_arn": foundation.storage.logs.arn},
            region=GLOBAL_REGION,
            tags=self._tags("edge"),
            opts=child,
        )
        aws.cloudwatch.LogDelivery(
            f"{self._name}-log-delivery",
            delivery_source_name=source.name,
            delivery_destination_arn=destination.arn,
            region=GLOBAL_REGION,
            tags=self._tags("edge"),
            opts=ResourceOptions(parent=self, depends_on=[foundation.storage.logs.resource_policy]),
        )

    def _alias_records(self, distribution: aws.cloudfront.Distribution) -> None:
        for label, named in zip(("apex", "www"), self.names, strict=True):
            for family in ("A", "AAAA"):
                aws.route53.Record(
                    f"{self._name}-{label}-{family.lower()}",
                    zone_id=self._args.dns.zone_id,
                    name=named,
                    type=family,
                    aliases=[
                        {
                            "name": distribution.domain_name,
                            "zone_id": distribution.hosted_zone_id,
                            "evaluate_target_health": False,  # not supported for CloudFront
                        }
                    ],
                    opts=ResourceOptions(parent=self),
                )

    def _tags(self, label: str) -> dict[str, str]:
        return self._args.foundation.context.tags("front", DataClass.INTERNAL, label)
