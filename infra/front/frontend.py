"""Face: what the world sees of a stack, each part after what it stands on; all of it is off unless the settings ask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pulumi
from pulumi import ComponentResource, Output, ResourceOptions

from infra.api import definition
from infra.api.api import Api
from infra.foundation.foundation import Foundation
from infra.front.api_domain import ApiDomain, ApiDomainArgs
from infra.front.app import App, AppArgs
from infra.front.dns import GLOBAL_REGION, Dns, DnsArgs
from infra.front.edge import Edge, EdgeArgs
from infra.front.load_balancer import HEALTH_PATH
from infra.front.public_name import AlarmTopics, PublicName, PublicNameArgs
from infra.front.web_acl import WebAcl, WebAclArgs
from infra.messaging.alerts import Alerts
from infra.network.network import Network
from infra.settings import Settings

NO_ALARM_TOPIC = (
    "nobody is told when the names of this stack do not answer: Route 53's alarms are in us-east-1 and speak to topics "
    "there alone, and neither this stack nor a primary of it has alerts (settings.observability) in that region"
)


@dataclass(frozen=True, kw_only=True)
class PublicFrontendArgs:
    foundation: Foundation
    network: Network | None
    api: Api
    settings: Settings
    primary_zone_id: Output[str] | None = None  # a standby's: the zone that it writes its names into
    primary_topics: Output[list[str]] | None = None  # likewise: where its primary's alerts are heard in us-east-1
    alerts: Alerts | None = None


class PublicFrontend(ComponentResource):
    """Names, application, edge, and the web ACL of what stands in the region."""

    zone: dict[str, object] | None  # id, and the name servers of a zone that was made here
    dns: Dns | None = None
    app: App | None = None
    edge: Edge | None = None
    web_acl: WebAcl | None = None
    names: dict[str, PublicName]  # api, app

    def __init__(self, name: str, args: PublicFrontendArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:front:Face", name, opts=opts)
        self._name, self._args = name, args
        self._child, self._standby = ResourceOptions(parent=self), args.settings.role == "standby"
        self.names, self.zone = {}, None
        settings = args.settings
        if settings.dns:
            self.dns = Dns(
                f"{name}-dns",
                DnsArgs(
                    foundation=args.foundation,
                    settings=settings.dns,
                    log_queries=settings.residency != "eu",
                    primary_zone_id=args.primary_zone_id,
                ),
                self._child,
            )
            self.zone = {"id": self.dns.zone_id, "name_servers": self.dns.name_servers}
            self._add_api_names(self.dns)
            if args.network:
                self._add_app(self.dns, args.network)
        self._warn_without_alarms()
        self._add_web_acl()
        if settings.edge and self.dns:
            self.edge = Edge(
                f"{name}-edge",
                EdgeArgs(
                    foundation=args.foundation,
                    dns=self.dns,
                    settings=settings.edge,
                    recovery_region=settings.recovery.region if settings.recovery and settings.failover else None,
                    depends_on=tuple(self.names.values()),
                ),
                self._child,
            )
        self.register_outputs({"zone": self.zone})

    @property
    def _failover_role(self) -> Literal["alone", "PRIMARY", "SECONDARY", "none"]:
        if self._args.settings.failover:
            return "SECONDARY" if self._standby else "PRIMARY"
        return "none" if self._standby else "alone"

    @property
    def _alarm_topics(self) -> AlarmTopics | None:
        """This stack's topic where it is in us-east-1; else a standby's primary may have one there."""
        alerts, primary_topics = self._args.alerts, self._args.primary_topics
        if alerts and self._args.foundation.context.region == GLOBAL_REGION:
            return AlarmTopics(topics=[alerts.topic_arn], resource_policy=alerts.resource_policy)
        return AlarmTopics(topics=primary_topics) if alerts and primary_topics is not None else None

    def _warn_without_alarms(self) -> None:
        """Say it in the preview when the stack has alerts, and still nobody hears of a name that does not answer."""
        if self._args.alerts and self.names:
            topics = Output.from_input(self._alarm_topics.topics if self._alarm_topics else [])
            topics.apply(lambda found: None if found else pulumi.log.warn(NO_ALARM_TOPIC))

    def _add_api_names(self, dns: Dns) -> None:
        context = self._args.foundation.context
        domain = ApiDomain(
            f"{self._name}-api",
            ApiDomainArgs(context=context, dns=dns, gateway=self._args.api.gateway, standby=self._standby),
            self._child,
        )
        self.names["api"] = PublicName(
            f"{self._name}-api-name",
            PublicNameArgs(
                context=context,
                dns=dns,
                label="api",
                health_path=definition.HEALTH_PATH,
                regional=domain.regional,
                shared=domain.shared,
                failover_role=self._failover_role,
                notify=self._alarm_topics,
            ),
            self._child,
        )

    def _add_app(self, dns: Dns, network: Network) -> None:
        args = self._args
        if not args.settings.app:
            return
        self.app = App(
            f"{self._name}-app",
            AppArgs(
                foundation=args.foundation, network=network, dns=dns, settings=args.settings.app, standby=self._standby
            ),
            self._child,
        )
        self.names["app"] = PublicName(
            f"{self._name}-app-name",
            PublicNameArgs(
                context=args.foundation.context,
                dns=dns,
                label="app",
                health_path=HEALTH_PATH,
                regional=self.app.target,
                shared=self.app.target,
                failover_role=self._failover_role,
                notify=self._alarm_topics,
                ipv6=network.ipv6,
            ),
            self._child,
        )

    def _add_web_acl(self) -> None:
        """One ACL for all that stands in the region: it is paid for by the ACL and by the rule."""
        settings = self._args.settings
        protects_app = settings.app is not None and settings.app.waf
        if not (settings.api.waf or protects_app):
            return
        acl = WebAcl(
            f"{self._name}-waf",
            WebAclArgs(
                foundation=self._args.foundation,
                label="region",
                scope="REGIONAL",
                rate_limit_per_ip=settings.api.rate_limit_per_ip,
                # A standby's primary may have one: its reads, and names that fail over, bring it here.
                behind_cloudfront=settings.edge is not None or self._standby,
            ),
            self._child,
        )
        self.web_acl = acl
        if settings.api.waf:
            acl.protect(f"{self._name}-waf-api", self._args.api.gateway.stage_arn, acl)
        if self.app and protects_app:
            acl.protect(f"{self._name}-waf-app", self.app.balancer.arn, acl)
