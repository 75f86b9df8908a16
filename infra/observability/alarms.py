"""CloudWatch alarms from ``infra.observability.alarm_table``, and a composite alarm for effects on users."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi_aws as aws
from pulumi import ComponentResource, Output, ResourceOptions

from infra import settings
from infra.messaging.alerts import Alerts
from infra.naming.context import DataClass, StackContext
from infra.observability.alarm_table import Alarm, Metric, alarms
from infra.observability.watched import Watched


@dataclass(frozen=True, kw_only=True)
class AlarmsArgs:
    context: StackContext
    alerts: Alerts
    watched: Watched
    thresholds: settings.AlarmThresholdSettings


class Alarms(ComponentResource):
    """CloudWatch alarms that notify the alert topic when they go off and when they end."""

    degraded_arn: Output[str]  # of the composite alarm

    def __init__(self, name: str, args: AlarmsArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:operations:Alarms", name, opts=opts)
        self._name, self._args = name, args
        table = alarms(args.watched, args.thresholds)
        alarm_resources = [(alarm, self._alarm(alarm)) for alarm in table]
        degrading = [alarm.name for row, alarm in alarm_resources if row.degrades]
        degraded = aws.cloudwatch.CompositeAlarm(
            f"{name}-degraded",
            alarm_name=args.context.physical_name("platform-degraded"),
            alarm_description="Users notice: the alarms that are part of this one say what it is",
            alarm_rule=Output.all(*degrading).apply(_any_of),
            alarm_actions=[args.alerts.topic_arn],
            ok_actions=[args.alerts.topic_arn],
            tags=self._tags("platform-degraded"),
            opts=ResourceOptions(parent=self, depends_on=[args.alerts.resource_policy]),
        )
        self.degraded_arn = degraded.arn
        self.register_outputs({"degraded_arn": self.degraded_arn})

    def _alarm(self, alarm: Alarm) -> aws.cloudwatch.MetricAlarm:
        topic = self._args.alerts.topic_arn
        return aws.cloudwatch.MetricAlarm(
            f"{self._name}-{alarm.label}",
            name=self._args.context.physical_name(alarm.label),
            alarm_description=alarm.description,
            comparison_operator="LessThanThreshold" if alarm.below else "GreaterThanThreshold",
            threshold=alarm.threshold,
            evaluation_periods=alarm.periods,
            datapoints_to_alarm=alarm.datapoints,
            treat_missing_data=alarm.missing_data,
            **(_computed(alarm) if alarm.expression else _plain(alarm.metrics[0])),
            alarm_actions=[topic],
            ok_actions=[topic],
            insufficient_data_actions=[topic] if alarm.missing_data == "missing" else None,
            tags=self._tags(alarm.label),
            opts=ResourceOptions(parent=self, depends_on=[self._args.alerts.resource_policy]),
        )

    def _tags(self, label: str) -> dict[str, str]:
        return self._args.context.tags("observability", DataClass.NONE, label)


def _plain(metric: Metric) -> dict[str, Any]:
    percentile = metric.stat.startswith("p")
    return {
        "namespace": metric.namespace,
        "metric_name": metric.name,
        "dimensions": metric.dimensions or None,
        "period": metric.period_s,
        "extended_statistic" if percentile else "statistic": metric.stat,
        # A percentile of very few requests is meaningless.
        "evaluate_low_sample_count_percentiles": "ignore" if percentile else None,
    }


def _computed(alarm: Alarm) -> dict[str, Any]:
    measured: list[dict[str, Any]] = [
        {
            "id": f"m{number}",
            "metric": {
                "namespace": metric.namespace,
                "metric_name": metric.name,
                "dimensions": metric.dimensions,
                "period": metric.period_s,
                "stat": metric.stat,
            },
            "return_data": False,
        }
        for number, metric in enumerate(alarm.metrics, start=1)
    ]
    result = {"id": "e1", "expression": alarm.expression, "label": alarm.label, "return_data": True}
    return {"metric_queries": [result, *measured]}


def _any_of(names: Sequence[str]) -> str:
    return " OR ".join(f'ALARM("{name}")' for name in names)
