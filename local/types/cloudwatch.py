"""CloudWatch: alarms and dashboards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from local.types.arguments import arguments, inputs_of
from local.types.definition import PutResource, resource
from local.types.request import CreatedResource, ExistingResource, FoundResource, ResourceRequest

# Arguments of PutMetricAlarm, which DescribeAlarms returns by the same names.
_ALARM = {
    "ActionsEnabled": "actionsEnabled",
    "AlarmActions": "alarmActions",
    "AlarmDescription": "alarmDescription",
    "ComparisonOperator": "comparisonOperator",
    "DatapointsToAlarm": "datapointsToAlarm",
    "EvaluateLowSampleCountPercentile": "evaluateLowSampleCountPercentiles",
    "EvaluationPeriods": "evaluationPeriods",
    "ExtendedStatistic": "extendedStatistic",
    "InsufficientDataActions": "insufficientDataActions",
    "MetricName": "metricName",
    "Namespace": "namespace",
    "OKActions": "okActions",
    "Period": "period",
    "Statistic": "statistic",
    "Threshold": "threshold",
    "TreatMissingData": "treatMissingData",
}


@resource("aws:cloudwatch/metricAlarm:MetricAlarm", replaced_by=("name",))
class CloudWatchMetricAlarm(PutResource):
    """Alarm on a metric or on a metric expression. A refresh does not compare the queries of an expression."""

    reads: ClassVar = {
        **dict.fromkeys(set(_ALARM.values()) - {"evaluateLowSampleCountPercentiles"}),  # the emulator forgets this one
        "actionsEnabled": True,
        "alarmActions": [],
        "alarmDescription": "",
        "dimensions": {},
        "insufficientDataActions": [],
        "okActions": [],
        "treatMissingData": "missing",
    }

    def create(self, request: ResourceRequest) -> CreatedResource:
        name, queries = request.physical_name(), request.inputs.get("metricQueries") or []
        if queries:
            metrics = {"Metrics": [_query(query) for query in queries]}
        else:
            metrics = {"Dimensions": _dimensions(request.inputs)}
        request.client("cloudwatch").put_metric_alarm(
            AlarmName=name,
            Tags=request.tag_list(),
            **metrics,
            **arguments(request.inputs, **_ALARM),
        )
        return CreatedResource(name, {"arn": request.arn("cloudwatch", f"alarm:{name}"), "name": name})

    def remove(self, resource: ExistingResource) -> None:
        resource.client("cloudwatch").delete_alarms(AlarmNames=[resource.id])

    def read(self, resource: ExistingResource) -> FoundResource | None:
        alarms = resource.client("cloudwatch").describe_alarms(AlarmNames=[resource.id])["MetricAlarms"]
        if not alarms:
            return None
        dimensions = {one["Name"]: one["Value"] for one in alarms[0].get("Dimensions") or []}
        return FoundResource(
            {"name": resource.id, "dimensions": dimensions, **inputs_of(alarms[0], **_ALARM)},
            {"arn": resource.arn("cloudwatch", f"alarm:{resource.id}")},
        )


@resource("aws:cloudwatch/compositeAlarm:CompositeAlarm", replaced_by=("alarmName",))
class CloudWatchCompositeAlarm(PutResource):
    """Alarm on the states of other alarms."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        name = request.inputs["alarmName"]
        request.client("cloudwatch").put_composite_alarm(
            AlarmName=name,
            Tags=request.tag_list(),
            **arguments(
                request.inputs,
                AlarmRule="alarmRule",
                AlarmDescription="alarmDescription",
                AlarmActions="alarmActions",
                OKActions="okActions",
            ),
        )
        return CreatedResource(name, {"arn": request.arn("cloudwatch", f"alarm:{name}")})

    def remove(self, resource: ExistingResource) -> None:
        resource.client("cloudwatch").delete_alarms(AlarmNames=[resource.id])


@resource("aws:cloudwatch/dashboard:Dashboard", replaced_by=("dashboardName",))
class CloudWatchDashboard(PutResource):
    """Dashboard."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        name = request.inputs["dashboardName"]
        request.client("cloudwatch").put_dashboard(DashboardName=name, DashboardBody=request.inputs["dashboardBody"])
        return CreatedResource(name, {"dashboardArn": request.arn("cloudwatch", f"dashboard/{name}", regional=False)})

    def remove(self, resource: ExistingResource) -> None:
        resource.client("cloudwatch").delete_dashboards(DashboardNames=[resource.id])


def _query(query: Mapping[str, Any]) -> dict[str, Any]:
    converted = arguments(query, Id="id", Expression="expression", Label="label", ReturnData="returnData")
    if query.get("metric"):
        metric = query["metric"]
        name = arguments(metric, Namespace="namespace", MetricName="metricName")
        converted["MetricStat"] = {
            "Metric": {**name, "Dimensions": _dimensions(metric)},
            **arguments(metric, Period="period", Stat="stat"),
        }
    return converted


def _dimensions(metric: Mapping[str, Any]) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in sorted((metric.get("dimensions") or {}).items())]
