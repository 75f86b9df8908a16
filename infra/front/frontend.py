"""Face: what the world sees of a stack, each part after what it stands on; all of it is off unless the settings ask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pulumi
from pulumi import ComponentResource, Output, Resource, ResourceOptions

from infra.api import definition
from infra.api.api import Api
from infra.foundation.base import Base
from infra.front.api_domain import ApiDomain, ApiDomainArgs
from infra.front.app import App, AppArgs
from infra.front.dns import GLOBAL_REGION, Dns, DnsArgs
from infra.front.edge import Edge, EdgeArgs
from infra.front.load_balancer import HEALTH_PATH
from infra.front.public_name import Audience, PublicName, PublicNameArgs
from infra.front.web_acl import WebAcl, WebAclArgs
from infra.messaging.alerts import Alerts
from infra.network.network import Network
from infra.settings import Settings

SILENT = (
    "nobody is told when the names of this stack do not answer: Route 53's alarms are in us-east-1 and speak to topics "
    "there alone, and neither this stack nor a primary of it has alerts (settings.observability) in that region"
)


@dataclass(frozen=True, kw_only=True)
class FaceArgs:
    base: Base
    network: Network | None
    api: Api
    settings: Settings
    primary_zone_id: Output[str] | None = None  # a standby's: the zone that it writes its names into
    primary_topics: Output[list[str]] | None = None  # likewise: where its primary's alerts are heard in us-east-1
    alerts: Alerts | None = None


class Face(ComponentResource):
    """Names, application, edge, and the web ACL of what stands in the region."""

    zone: dict[str, object] | None  # id, and the name servers of a zone that was made here
    dns: Dns | None = None
    app: App | None = None
    edge: Edge | None = None
    web_acl: WebAcl | None = None
    names: dict[str, PublicName]  # api, app

    def __init__(self, name: str, args: FaceArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:front:Face", name, opts=opts)
        self._name, self._args = name, args
        self._child, self._standby = ResourceOptions(parent=self), args.settings.role == "standby"
        self.names, self.zone = {}, None
        wanted, base = args.settings, args.base
        if wanted.dns:
            named = DnsArgs(
                base=base,
                settings=wanted.dns,
                log_queries=wanted.residency != "eu",
                primary_zone_id=args.primary_zone_id,
            )
            self.dns = Dns(f"{name}-dns", named, self._child)
            self.zone = {"id": self.dns.zone_id, "name_servers": self.dns.name_servers}
            self._name_api(self.dns)
            if args.network:
                self._put_up_app(self.dns, args.network)
        self._warn_of_silence()
        self._guard()
        if wanted.edge and self.dns:
            behind: tuple[Resource, ...] = tuple(self.names.values())
            region = wanted.recovery.region if wanted.recovery and wanted.failover else None
            shown = EdgeArgs(base=base, dns=self.dns, settings=wanted.edge, recovery_region=region, needs=behind)
            self.edge = Edge(f"{name}-edge", shown, self._child)
        self.register_outputs({"zone": self.zone})

    @property
    def _part(self) -> Literal["alone", "PRIMARY", "SECONDARY", "none"]:
        if self._args.settings.failover:
            return "SECONDARY" if self._standby else "PRIMARY"
        return "none" if self._standby else "alone"

    @property
    def _tell(self) -> Audience | None:
        """This stack's topic where it is in us-east-1; else a standby's primary may have one there."""
        alerts, given = self._args.alerts, self._args.primary_topics
        if alerts and self._args.base.place.region == GLOBAL_REGION:
            return Audience(topics=[alerts.topic_arn], door=alerts.door)
        return Audience(topics=given) if alerts and given is not None else None

    def _warn_of_silence(self) -> None:
        """Say it in the preview when the stack has alerts, and still nobody hears of a name that does not answer."""
        if self._args.alerts and self.names:
            topics = Output.from_input(self._tell.topics if self._tell else [])
            topics.apply(lambda found: None if found else pulumi.log.warn(SILENT))

    def _name_api(self, dns: Dns) -> None:
        place = self._args.base.place
        domain = ApiDomain(
            f"{self._name}-api",
            ApiDomainArgs(place=place, dns=dns, gateway=self._args.api.gateway, standby=self._standby),
            self._child,
        )
        self.names["api"] = PublicName(
            f"{self._name}-api-name",
            PublicNameArgs(
                place=place,
                dns=dns,
                what="api",
                health_path=definition.HEALTH_PATH,
                regional=domain.regional,
                shared=domain.shared,
                part=self._part,
                tell=self._tell,
            ),
            self._child,
        )

    def _put_up_app(self, dns: Dns, network: Network) -> None:
        args = self._args
        if not args.settings.app:
            return
        made = AppArgs(base=args.base, network=network, dns=dns, settings=args.settings.app, standby=self._standby)
        self.app = App(f"{self._name}-app", made, self._child)
        self.names["app"] = PublicName(
            f"{self._name}-app-name",
            PublicNameArgs(
                place=args.base.place,
                dns=dns,
                what="app",
                health_path=HEALTH_PATH,
                regional=self.app.target,
                shared=self.app.target,
                part=self._part,
                tell=self._tell,
                ipv6=network.ipv6,
            ),
            self._child,
        )

    def _guard(self) -> None:
        """One ACL for all that stands in the region: it is paid for by the ACL and by the rule."""
        wanted = self._args.settings
        guards_app = wanted.app is not None and wanted.app.waf
        if not (wanted.api.waf or guards_app):
            return
        acl = WebAcl(
            f"{self._name}-waf",
            WebAclArgs(
                base=self._args.base,
                what="region",
                scope="REGIONAL",
                rate_limit_per_ip=wanted.api.rate_limit_per_ip,
                # A standby's primary may have one: its reads, and names that fail over, bring it here.
                behind_cloudfront=wanted.edge is not None or self._standby,
            ),
            self._child,
        )
        self.web_acl = acl
        if wanted.api.waf:
            acl.protect(f"{self._name}-waf-api", self._args.api.gateway.stage_arn, acl)
        if self.app and guards_app:
            acl.protect(f"{self._name}-waf-app", self.app.balancer.arn, acl)
