"""Alarms: the table of ``infra.observability.alarm_table`` in CloudWatch, and one that says that users notice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi_aws as aws
from pulumi import ComponentResource, Output, ResourceOptions

from infra import settings
from infra.messaging.alerts import Alerts
from infra.naming.context import DataClass, Place
from infra.observability.alarm_table import Alarm, Metric, alarms
from infra.observability.watched import Watched


@dataclass(frozen=True, kw_only=True)
class AlarmsArgs:
    place: Place
    alerts: Alerts
    watched: Watched
    thresholds: settings.Thresholds


class Alarms(ComponentResource):
    """Each tells the alert topic when it goes off, and when it is over."""

    degraded_arn: Output[str]  # of the composite alarm

    def __init__(self, name: str, args: AlarmsArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:operations:Alarms", name, opts=opts)
        self._name, self._args = name, args
        table = alarms(args.watched, args.thresholds)
        made = [(alarm, self._alarm(alarm)) for alarm in table]
        felt = [alarm.name for row, alarm in made if row.degrades]
        degraded = aws.cloudwatch.CompositeAlarm(
            f"{name}-degraded",
            alarm_name=args.place.named("platform-degraded"),
            alarm_description="Users notice: the alarms that are part of this one say what it is",
            alarm_rule=Output.all(*felt).apply(_any_of),
            alarm_actions=[args.alerts.topic_arn],
            ok_actions=[args.alerts.topic_arn],
            tags=self._tags("platform-degraded"),
            opts=ResourceOptions(parent=self, depends_on=[args.alerts.door]),
        )
        self.degraded_arn = degraded.arn
        self.register_outputs({"degraded_arn": self.degraded_arn})

    def _alarm(self, it: Alarm) -> aws.cloudwatch.MetricAlarm:
        topic = self._args.alerts.topic_arn
        return aws.cloudwatch.MetricAlarm(
            f"{self._name}-{it.what}",
            name=self._args.place.named(it.what),
            alarm_description=it.means,
            comparison_operator="LessThanThreshold" if it.below else "GreaterThanThreshold",
            threshold=it.above,
            evaluation_periods=it.periods,
            datapoints_to_alarm=it.of,
            treat_missing_data=it.missing,
            **(_computed(it) if it.expression else _plain(it.metrics[0])),
            alarm_actions=[topic],
            ok_actions=[topic],
            insufficient_data_actions=[topic] if it.missing == "missing" else None,
            tags=self._tags(it.what),
            opts=ResourceOptions(parent=self, depends_on=[self._args.alerts.door]),
        )

    def _tags(self, what: str) -> dict[str, str]:
        return self._args.place.tags("observability", DataClass.NONE, what)


def _plain(metric: Metric) -> dict[str, Any]:
    percentile = metric.stat.startswith("p")
    return {
        "namespace": metric.namespace,
        "metric_name": metric.name,
        "dimensions": metric.dimensions or None,
        "period": metric.period_s,
        "extended_statistic" if percentile else "statistic": metric.stat,
        # A percentile of three requests says nothing.
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
    result = {"id": "e1", "expression": alarm.expression, "label": alarm.what, "return_data": True}
    return {"metric_queries": [result, *measured]}


def _any_of(names: Sequence[str]) -> str:
    return " OR ".join(f'ALARM("{name}")' for name in names)
