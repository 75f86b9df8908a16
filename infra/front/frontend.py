"""Public frontend: DNS names, application, CloudFront and web ACLs; the settings switch on each part."""

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
from infra.front.health_alarm import HealthAlarm, HealthAlarmArgs
from infra.front.load_balancer import HEALTH_PATH
from infra.front.public_name import AlarmTopics, PublicName, PublicNameArgs
from infra.front.web_acl import WebAcl, WebAclArgs
from infra.messaging.alerts import Alerts
from infra.network.network import Network
from infra.settings import Settings

NO_ALARM_TOPIC = (
    "alarms on this stack's DNS names notify no topic: Route 53's alarms are in us-east-1 and can only use topics in "
    "that region, but neither this stack nor its primary has alerts there; set observability in a stack in us-east-1"
)


@dataclass(frozen=True, kw_only=True)
class PublicFrontendArgs:
    foundation: Foundation
    network: Network | None
    api: Api
    settings: Settings
    primary_zone_id: Output[str] | None = None  # standby only: zone for the stack's names
    primary_topics: Output[list[str]] | None = None  # standby only: the primary's alert topic in us-east-1
    alerts: Alerts | None = None


class PublicFrontend(ComponentResource):
    """DNS names, application, CloudFront distribution, and the web ACL of the region."""

    zone: dict[str, object] | None  # id, and the name servers of a new zone
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
        self._health_alarm = None
        if args.alerts or settings.failover:
            health = HealthAlarmArgs(context=args.foundation.context, gateway=args.api.gateway, alerts=args.alerts)
            self._health_alarm = HealthAlarm(f"{name}-health", health, self._child)
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
        """Role of this stack in the shared names."""
        if self._args.settings.failover:
            return "SECONDARY" if self._standby else "PRIMARY"
        return "none" if self._standby else "alone"

    @property
    def _alarm_topics(self) -> AlarmTopics | None:
        """Alert topic in us-east-1: this stack's topic, or the topic of a standby's primary; None without alerts."""
        alerts, primary_topics = self._args.alerts, self._args.primary_topics
        if alerts and self._args.foundation.context.region == GLOBAL_REGION:
            return AlarmTopics(topics=[alerts.topic_arn], resource_policy=alerts.resource_policy)
        return AlarmTopics(topics=primary_topics) if alerts and primary_topics is not None else None

    def _warn_without_alarms(self) -> None:
        """Warn in the preview if the stack has alerts, but its DNS alarms can notify no topic."""
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
                alarm_name=self._health_alarm.alarm_name if self._health_alarm else None,
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
        """Declare one web ACL for API and application.

        One for both, because AWS bills per web ACL and per rule.
        """
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
                # The distribution of a standby's primary sends reads here, and requests after a failover.
                behind_cloudfront=settings.edge is not None or self._standby,
            ),
            self._child,
        )
        self.web_acl = acl
        if settings.api.waf:
            acl.protect(f"{self._name}-waf-api", self._args.api.gateway.stage_arn, acl)
        if self.app and protects_app:
            acl.protect(f"{self._name}-waf-app", self.app.balancer.arn, acl)
