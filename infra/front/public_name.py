"""DNS names of one endpoint, regional and shared, with health check and alarm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pulumi
import pulumi_aws as aws
from pulumi import ComponentResource, Input, Output, ResourceOptions

from infra.front.dns import GLOBAL_REGION, Dns
from infra.naming.context import DataClass, StackContext


@dataclass(frozen=True, kw_only=True)
class AliasTarget:
    """Target of a Route 53 alias record."""

    name: Input[str]
    zone_id: Input[str]


@dataclass(frozen=True, kw_only=True)
class AlarmTopics:
    """SNS topics in us-east-1, the only region with Route 53 metrics; an alarm can only notify its own region."""

    topics: Input[Sequence[Input[str]]]
    # Policy of the topic if this stack owns the topic; an alarm depends on the policy.
    resource_policy: pulumi.Resource | None = None


@dataclass(frozen=True, kw_only=True)
class PublicNameArgs:
    context: StackContext
    dns: Dns
    label: str  # api, app
    health_path: str
    regional: AliasTarget
    shared: AliasTarget  # differs from ``regional`` for the API; a load balancer has one target
    # Role of this stack in the shared name: alone is a plain record; a standby without failover has no record.
    failover_role: Literal["alone", "PRIMARY", "SECONDARY", "none"] = "alone"
    ipv6: bool = True
    notify: AlarmTopics | None = None  # notified if Route 53 cannot reach the regional name
    alarm_name: Input[str] | None = None  # alarm in this region that also makes the shared name fail over


class PublicName(ComponentResource):
    """Alias records ``<label>-<region>.<domain>`` and ``<label>.<domain>``, with a health check and an alarm."""

    health_check_id: Output[str]
    alarm_arn: Output[str]

    def __init__(self, name: str, args: PublicNameArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:front:PublicName", name, opts=opts)
        self._name, self._args = name, args
        fqdn = args.dns.regional_name(args.label)
        check = aws.route53.HealthCheck(
            f"{name}-check",
            type="HTTPS",
            fqdn=fqdn,
            port=443,
            resource_path=args.health_path,
            enable_sni=True,
            request_interval=30,
            failure_threshold=3,
            measure_latency=False,
            tags=args.context.tags("front", DataClass.NONE, f"{args.label}-{args.context.region}"),
            # With an in-place change the old name would fail over at once, because the new name does not answer yet.
            opts=ResourceOptions(parent=self, replace_on_changes=["fqdn"]),
        )
        follows = args.alarm_name is not None and args.failover_role in ("PRIMARY", "SECONDARY")
        self.health_check_id = self._check_with_alarm(check, args.alarm_name) if follows else check.id
        self.alarm_arn = self._alarm(check, fqdn)
        for family in ("A", "AAAA") if args.ipv6 else ("A",):
            self._record(f"{name}-regional-{family.lower()}", family, fqdn, args.regional)
            self._shared_record(family)
        self.register_outputs({"health_check_id": self.health_check_id})

    def _check_with_alarm(self, endpoint: aws.route53.HealthCheck, alarm_name: Input[str] | None) -> Output[str]:
        """Return a check that is healthy while the endpoint answers and the alarm is off."""
        context, label, child = self._args.context, self._args.label, ResourceOptions(parent=self)
        follower = aws.route53.HealthCheck(
            f"{self._name}-alarm-check",
            type="CLOUDWATCH_METRIC",
            cloudwatch_alarm_name=alarm_name,
            cloudwatch_alarm_region=context.region,
            insufficient_data_health_status="Healthy",  # without data of the alarm the endpoint's check decides
            tags=context.tags("front", DataClass.NONE, f"{label}-{context.region}-alarm"),
            opts=child,
        )
        both: Sequence[Input[str]] = [endpoint.id, follower.id]
        combined = aws.route53.HealthCheck(
            f"{self._name}-both-checks",
            type="CALCULATED",
            child_healthchecks=both,
            child_health_threshold=len(both),  # all
            tags=context.tags("front", DataClass.NONE, f"{label}-{context.region}-both"),
            opts=child,
        )
        return combined.id

    def _shared_record(self, family: str) -> None:
        args = self._args
        if args.failover_role == "none":
            return
        name, shared = f"{self._name}-shared-{family.lower()}", args.dns.shared_name(args.label)
        self._record(name, family, shared, args.shared, fails_over=args.failover_role != "alone")

    def _record(self, name: str, family: str, record: str, target: AliasTarget, *, fails_over: bool = False) -> None:
        failover_role = self._args.failover_role
        aws.route53.Record(
            name,
            zone_id=self._args.dns.zone_id,
            name=record,
            type=family,
            aliases=[{"name": target.name, "zone_id": target.zone_id, "evaluate_target_health": True}],
            set_identifier=failover_role.lower() if fails_over else None,
            failover_routing_policies=[{"type": failover_role}] if fails_over else None,
            health_check_id=self.health_check_id if fails_over else None,
            # Default order, new record first: a changed failover role updates the record in place, and a new name waits
            # for its certificate, possibly for an hour.
            opts=ResourceOptions(parent=self),
        )

    def _alarm(self, check: aws.route53.HealthCheck, fqdn: str) -> Output[str]:
        context, notified = self._args.context, self._args.notify
        alarm = aws.cloudwatch.MetricAlarm(
            f"{self._name}-unhealthy",
            name=context.physical_name(f"{self._args.label}-{context.region}-unhealthy"),
            alarm_description=f"Route 53 cannot reach https://{fqdn}{self._args.health_path}",
            namespace="AWS/Route53",
            metric_name="HealthCheckStatus",
            dimensions={"HealthCheckId": check.id},
            statistic="Minimum",
            comparison_operator="LessThanThreshold",
            threshold=1,
            period=60,
            evaluation_periods=1,  # the health check has already counted three failures
            treat_missing_data="breaching",
            region=GLOBAL_REGION,  # the only region with Route 53 metrics
            alarm_actions=notified.topics if notified else None,
            ok_actions=notified.topics if notified else None,
            tags=context.tags("front", DataClass.NONE, f"{self._args.label}-unhealthy"),
            opts=ResourceOptions(parent=self, depends_on=notified.resource_policy if notified else None),
        )
        return alarm.arn
