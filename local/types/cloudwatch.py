"""CloudWatch: alarms and dashboards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from local.types.arguments import arguments
from local.types.definition import PutResource, resource
from local.types.request import CreatedResource, ExistingResource, ResourceRequest


@resource("aws:cloudwatch/metricAlarm:MetricAlarm", replaced_by=("name",))
class CloudWatchMetricAlarm(PutResource):
    """Alarm on a metric or on a metric expression."""

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
            **arguments(
                request.inputs,
                ComparisonOperator="comparisonOperator",
                EvaluationPeriods="evaluationPeriods",
                MetricName="metricName",
                Namespace="namespace",
                Period="period",
                Statistic="statistic",
                Threshold="threshold",
                AlarmActions="alarmActions",
                OKActions="okActions",
                TreatMissingData="treatMissingData",
                AlarmDescription="alarmDescription",
                ExtendedStatistic="extendedStatistic",
                DatapointsToAlarm="datapointsToAlarm",
                InsufficientDataActions="insufficientDataActions",
                EvaluateLowSampleCountPercentile="evaluateLowSampleCountPercentiles",
            ),
        )
        return CreatedResource(name, {"arn": request.arn("cloudwatch", f"alarm:{name}"), "name": name})

    def remove(self, resource: ExistingResource) -> None:
        resource.client("cloudwatch").delete_alarms(AlarmNames=[resource.id])


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
