"""Alarm on server errors of the API's health check, in a form that Route 53 can follow."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi_aws as aws
from pulumi import ComponentResource, Input, Output, ResourceOptions

from infra.api.definition import HEALTH_PATH
from infra.api.gateway import Gateway
from infra.messaging.alerts import Alerts
from infra.naming.context import DataClass, StackContext

FAILED_SHARE = 0.5  # of the responses in a minute
MINUTES = 3


@dataclass(frozen=True, kw_only=True)
class HealthAlarmArgs:
    context: StackContext
    gateway: Gateway
    alerts: Alerts | None = None


class HealthAlarm(ComponentResource):
    """Alarm: most responses of ``/health`` were 5xx for three minutes.

    A health check by Route 53 follows only alarms on one metric, with a standard statistic and a standard resolution,
    in which all periods must breach (Route 53 API Reference, AlarmIdentifier).
    """

    alarm_name: Output[str]

    def __init__(self, name: str, args: HealthAlarmArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:front:HealthAlarm", name, opts=opts)
        gateway, topics = args.gateway, [args.alerts.topic_arn] if args.alerts else None
        dimensions: dict[str, Input[str]] = {
            "ApiName": gateway.api_name,
            "Method": "GET",
            "Resource": HEALTH_PATH,
            "Stage": gateway.stage_name,
        }
        alarm = aws.cloudwatch.MetricAlarm(
            f"{name}-failing",
            name=args.context.physical_name("health-5xx"),
            alarm_description=(
                f"{HEALTH_PATH} answers 5xx: the sessions table, the topic or the coordinator's signing key cannot be "
                "reached, or the API function fails; the function's log names it"
            ),
            namespace="AWS/ApiGateway",
            metric_name="5XXError",
            dimensions=dimensions,
            statistic="Average",  # the metric is 0 or 1 per request
            comparison_operator="GreaterThanThreshold",
            threshold=FAILED_SHARE,
            period=60,
            evaluation_periods=MINUTES,
            treat_missing_data="notBreaching",  # nobody asks
            alarm_actions=topics,
            ok_actions=topics,
            tags=args.context.tags("front", DataClass.NONE, "health-5xx"),
            opts=ResourceOptions(parent=self, depends_on=args.alerts.resource_policy if args.alerts else None),
        )
        self.alarm_name = alarm.name
        self.register_outputs({"alarm_name": self.alarm_name})
