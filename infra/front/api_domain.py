"""Custom domain names of the HTTP API, in addition to API Gateway's own address."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi_aws as aws
from pulumi import ComponentResource, ResourceOptions

from infra.api.gateway import TLS_POLICY, Gateway
from infra.front.certificate import Certificate, CertificateArgs
from infra.front.dns import Dns
from infra.front.public_name import AliasTarget
from infra.naming.context import DataClass, StackContext


@dataclass(frozen=True, kw_only=True)
class ApiDomainArgs:
    context: StackContext
    dns: Dns
    gateway: Gateway
    standby: bool = False


class ApiDomain(ComponentResource):
    """Custom domain names ``api.<domain>`` and ``api-<region>.<domain>``, mapped to the stage without a path prefix."""

    regional: AliasTarget
    shared: AliasTarget

    def __init__(self, name: str, args: ApiDomainArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:front:ApiDomain", name, opts=opts)
        self._name, self._args = name, args
        child = ResourceOptions(parent=self)
        regional, shared = args.dns.regional_name("api"), args.dns.shared_name("api")
        certificate = Certificate(
            f"{name}-tls",
            CertificateArgs(
                context=args.context,
                label="api",
                zone_id=args.dns.zone_id,
                names=(regional, shared),
                validated_elsewhere=(shared,) if args.standby else (),
            ),
            child,
        )
        self.regional = self._domain_name("regional", regional, certificate)
        self.shared = self._domain_name("shared", shared, certificate)
        self.register_outputs({})

    def _domain_name(self, label: str, domain: str, certificate: Certificate) -> AliasTarget:
        child, gateway = ResourceOptions(parent=self), self._args.gateway
        domain_name = aws.apigateway.DomainName(
            f"{self._name}-{label}",
            domain_name=domain,
            regional_certificate_arn=certificate.arn,
            endpoint_configuration={"types": "REGIONAL", "ip_address_type": "dualstack"},
            security_policy=TLS_POLICY,
            endpoint_access_mode="STRICT",
            tags=self._args.context.tags("api", DataClass.NONE, f"api-{label}"),
            opts=child,
        )
        aws.apigateway.BasePathMapping(
            f"{self._name}-{label}-mapping",
            domain_name=domain_name.domain_name,
            rest_api=gateway.rest_api_id,
            stage_name=gateway.stage_name,
            opts=child,
        )
        return AliasTarget(name=domain_name.regional_domain_name, zone_id=domain_name.regional_zone_id)
