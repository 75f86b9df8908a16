"""CloudWatch: log groups, alarms, dashboards."""

from __future__ import annotations

from local.types import Declared, Made, creates, given


@creates("aws:cloudwatch/logGroup:LogGroup")
def log_group(it: Declared) -> Made:
    name, logs = it.physical(), it.client("logs")
    logs.create_log_group(logGroupName=name, tags=it.tag_map(), **given(it.inputs, kmsKeyId="kmsKeyId"))
    if it.inputs.get("retentionInDays"):
        logs.put_retention_policy(logGroupName=name, retentionInDays=int(it.inputs["retentionInDays"]))
    return Made(name, {"name": name, "arn": it.arn("logs", f"log-group:{name}")})


@creates("aws:cloudwatch/logResourcePolicy:LogResourcePolicy")
def log_resource_policy(it: Declared) -> Made:
    it.client("logs").put_resource_policy(
        policyName=it.inputs["policyName"], policyDocument=it.inputs["policyDocument"]
    )
    return Made(it.inputs["policyName"])


@creates("aws:cloudwatch/metricAlarm:MetricAlarm")
def metric_alarm(it: Declared) -> Made:
    name = it.physical("name")
    it.client("cloudwatch").put_metric_alarm(
        AlarmName=name,
        Dimensions=[{"Name": n, "Value": v} for n, v in sorted((it.inputs.get("dimensions") or {}).items())],
        **given(
            it.inputs, ComparisonOperator="comparisonOperator", EvaluationPeriods="evaluationPeriods",
            MetricName="metricName", Namespace="namespace", Period="period", Statistic="statistic",
            Threshold="threshold", AlarmActions="alarmActions", OKActions="okActions",
            TreatMissingData="treatMissingData", AlarmDescription="alarmDescription",
        ),
    )  # fmt: skip
    return Made(name, {"arn": it.arn("cloudwatch", f"alarm:{name}"), "name": name})


@creates("aws:cloudwatch/dashboard:Dashboard")
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
