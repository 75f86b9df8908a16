"""CloudWatch: log groups, metric filters, alarms, dashboards; the rules of EventBridge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from local.types import Declared, Made, creates, given, put_again


@creates("aws:cloudwatch/logGroup:LogGroup")
def log_group(it: Declared) -> Made:
    name, logs = it.physical(), it.client("logs")
    logs.create_log_group(logGroupName=name, tags=it.tag_map(), **given(it.inputs, kmsKeyId="kmsKeyId"))
    if it.inputs.get("retentionInDays"):
        logs.put_retention_policy(logGroupName=name, retentionInDays=int(it.inputs["retentionInDays"]))
    return Made(name, {"name": name, "arn": it.arn("logs", f"log-group:{name}")})


@creates("aws:cloudwatch/logResourcePolicy:LogResourcePolicy", update=put_again)
def log_resource_policy(it: Declared) -> Made:
    it.client("logs").put_resource_policy(
        policyName=it.inputs["policyName"], policyDocument=it.inputs["policyDocument"]
    )
    return Made(it.inputs["policyName"])


@creates("aws:cloudwatch/logMetricFilter:LogMetricFilter", update=put_again)
def log_metric_filter(it: Declared) -> Made:
    name, counted = it.physical(), it.inputs["metricTransformation"]
    transformation = given(
        counted, metricName="name", metricNamespace="namespace", metricValue="value", unit="unit",
        defaultValue="defaultValue", dimensions="dimensions",
    )  # fmt: skip
    it.client("logs").put_metric_filter(
        logGroupName=it.inputs["logGroupName"],
        filterName=name,
        filterPattern=it.inputs["pattern"],
        metricTransformations=[transformation],
    )
    return Made(name, {"name": name})


@creates("aws:cloudwatch/metricAlarm:MetricAlarm", update=put_again)
def metric_alarm(it: Declared) -> Made:
    name, queries = it.physical("name"), it.inputs.get("metricQueries") or []
    measured = {"Metrics": [_query(query) for query in queries]} if queries else {"Dimensions": _dimensions(it.inputs)}
    it.client("cloudwatch").put_metric_alarm(
        AlarmName=name,
        Tags=it.tags(),
        **measured,
        **given(
            it.inputs, ComparisonOperator="comparisonOperator", EvaluationPeriods="evaluationPeriods",
            MetricName="metricName", Namespace="namespace", Period="period", Statistic="statistic",
            Threshold="threshold", AlarmActions="alarmActions", OKActions="okActions",
            TreatMissingData="treatMissingData", AlarmDescription="alarmDescription",
            ExtendedStatistic="extendedStatistic", DatapointsToAlarm="datapointsToAlarm",
            InsufficientDataActions="insufficientDataActions",
            EvaluateLowSampleCountPercentile="evaluateLowSampleCountPercentiles",
        ),
    )  # fmt: skip
    return Made(name, {"arn": it.arn("cloudwatch", f"alarm:{name}"), "name": name})


def _query(query: Mapping[str, Any]) -> dict[str, Any]:
    wanted = given(query, Id="id", Expression="expression", Label="label", ReturnData="returnData")
    if query.get("metric"):
        metric = query["metric"]
        named = given(metric, Namespace="namespace", MetricName="metricName")
        what = {"Metric": {**named, "Dimensions": _dimensions(metric)}, **given(metric, Period="period", Stat="stat")}
        wanted["MetricStat"] = what
    return wanted


def _dimensions(of: Mapping[str, Any]) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in sorted((of.get("dimensions") or {}).items())]


@creates("aws:cloudwatch/compositeAlarm:CompositeAlarm", update=put_again)
def composite_alarm(it: Declared) -> Made:
    name = it.inputs["alarmName"]
    it.client("cloudwatch").put_composite_alarm(
        AlarmName=name,
        Tags=it.tags(),
        **given(
            it.inputs, AlarmRule="alarmRule", AlarmDescription="alarmDescription", AlarmActions="alarmActions",
            OKActions="okActions",
        ),
    )  # fmt: skip
    return Made(name, {"arn": it.arn("cloudwatch", f"alarm:{name}")})


@creates("aws:cloudwatch/eventRule:EventRule", update=put_again)
def event_rule(it: Declared) -> Made:
    name = it.physical()
    made = it.client("events").put_rule(
        Name=name,
        Tags=it.tags(),
        **given(
            it.inputs, ScheduleExpression="scheduleExpression", EventPattern="eventPattern", State="state",
            Description="description",
        ),
    )  # fmt: skip
    return Made(name, {"arn": made["RuleArn"], "name": name})


@creates("aws:cloudwatch/eventTarget:EventTarget", update=put_again)
def event_target(it: Declared) -> Made:
    target = {"Id": it.inputs["targetId"], **given(it.inputs, Arn="arn", Input="input")}
    if it.inputs.get("retryPolicy"):
        retry = it.inputs["retryPolicy"]
        target["RetryPolicy"] = given(
            retry, MaximumEventAgeInSeconds="maximumEventAgeInSeconds", MaximumRetryAttempts="maximumRetryAttempts"
        )
    it.client("events").put_targets(Rule=it.inputs["rule"], Targets=[target])
    return Made(f"{it.inputs['rule']}-{it.inputs['targetId']}")


@creates("aws:cloudwatch/dashboard:Dashboard", update=put_again)
def dashboard(it: Declared) -> Made:
    name = it.inputs["dashboardName"]
    it.client("cloudwatch").put_dashboard(DashboardName=name, DashboardBody=it.inputs["dashboardBody"])
    return Made(name, {"dashboardArn": it.arn("cloudwatch", f"dashboard/{name}", regional=False)})


@creates("aws:cloudwatch/logDeliverySource:LogDeliverySource")
def log_delivery_source(it: Declared) -> Made:
    made = it.client("logs").put_delivery_source(
        name=it.physical(), resourceArn=it.inputs["resourceArn"], logType=it.inputs["logType"], tags=it.tag_map()
    )["deliverySource"]
    return Made(it.physical(), {"arn": made["arn"], "name": it.physical()})


@creates("aws:cloudwatch/logDeliveryDestination:LogDeliveryDestination")
def log_delivery_destination(it: Declared) -> Made:
    made = it.client("logs").put_delivery_destination(
        name=it.physical(),
        deliveryDestinationConfiguration=it.inputs["deliveryDestinationConfiguration"],
        tags=it.tag_map(),
        **given(it.inputs, outputFormat="outputFormat"),
    )["deliveryDestination"]
    return Made(it.physical(), {"arn": made["arn"], "name": it.physical()})


@creates("aws:cloudwatch/logDelivery:LogDelivery")
def log_delivery(it: Declared) -> Made:
    made = it.client("logs").create_delivery(
        deliverySourceName=it.inputs["deliverySourceName"],
        deliveryDestinationArn=it.inputs["deliveryDestinationArn"],
        tags=it.tag_map(),
    )["delivery"]
    return Made(made["id"], {"arn": made["arn"]})
