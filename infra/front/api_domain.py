"""ApiDomain: the API under names of ours, beside the one that AWS gave it."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi_aws as aws
from pulumi import ComponentResource, ResourceOptions

from infra.api.gateway import TLS_POLICY, Gateway
from infra.front.certificate import Certificate, CertificateArgs
from infra.front.dns import Dns
from infra.front.public_name import Target
from infra.naming.context import DataClass, Place


@dataclass(frozen=True, kw_only=True)
class ApiDomainArgs:
    place: Place
    dns: Dns
    gateway: Gateway
    standby: bool = False


class ApiDomain(ComponentResource):
    """``api.<domain>`` and ``api-<region>.<domain>``, each leading to the stage without its name in the path."""

    regional: Target
    shared: Target

    def __init__(self, name: str, args: ApiDomainArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:front:ApiDomain", name, opts=opts)
        self._name, self._args = name, args
        child = ResourceOptions(parent=self)
        regional, shared = args.dns.regional("api"), args.dns.shared("api")
        certificate = Certificate(
            f"{name}-tls",
            CertificateArgs(
                place=args.place,
                what="api",
                zone_id=args.dns.zone_id,
                names=(regional, shared),
                proved_elsewhere=(shared,) if args.standby else (),
            ),
            child,
        )
        self.regional = self._named("regional", regional, certificate)
        self.shared = self._named("shared", shared, certificate)
        self.register_outputs({})

    def _named(self, what: str, domain: str, certificate: Certificate) -> Target:
        child, gateway = ResourceOptions(parent=self), self._args.gateway
        made = aws.apigateway.DomainName(
            f"{self._name}-{what}",
            domain_name=domain,
            regional_certificate_arn=certificate.arn,
            endpoint_configuration={"types": "REGIONAL", "ip_address_type": "dualstack"},
            security_policy=TLS_POLICY,
            endpoint_access_mode="STRICT",
            tags=self._args.place.tags("api", DataClass.NONE, f"api-{what}"),
            opts=child,
        )
        aws.apigateway.BasePathMapping(
            f"{self._name}-{what}-mapping",
            domain_name=made.domain_name,
            rest_api=gateway.rest_api_id,
            stage_name=gateway.stage_name,
            opts=child,
        )
        return Target(name=made.regional_domain_name, zone_id=made.regional_zone_id)
