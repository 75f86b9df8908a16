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
