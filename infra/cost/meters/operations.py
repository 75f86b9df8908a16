"""Meters of logs, alarms, dashboards and account guardrails."""

from __future__ import annotations

from collections.abc import Iterator

from infra.cost.lines import Line
from infra.cost.meters.table import HOURLY_METRICS, Month, line, meter
from infra.cost.prices import HOURS
from infra.graph import Resource

FREE_DASHBOARDS = 3  # per account


@meter("aws:cloudwatch/logGroup:LogGroup")
def log_group(resource: Resource, month: Month) -> Iterator[Line]:
    gb = month.traffic.logs_gb * month.share(resource)
    yield line(resource, "GB ingested", gb, "logs.gb_ingested")
    # With even ingestion the stored volume grows to the whole retention; compressed, about a seventh.
    retention_months = (resource.inputs.get("retentionInDays") or 3650) / 30
    yield line(resource, "GB stored", gb * retention_months * 0.15, "logs.gb_stored")


@meter("aws:cloudwatch/metricAlarm:MetricAlarm")
def alarm(resource: Resource, month: Month) -> Iterator[Line]:
    queries = resource.inputs.get("metricQueries") or []
    metrics = sum(bool(query.get("metric")) for query in queries) or 1
    yield line(resource, "metrics watched", metrics, "alarm")


@meter("aws:cloudwatch/compositeAlarm:CompositeAlarm")
def composite(resource: Resource, month: Month) -> Iterator[Line]:
    yield Line(resource=resource.name, type=resource.type, label="composite alarms", quantity=1, unit_usd=0.50)


@meter("aws:cloudwatch/dashboard:Dashboard")
def dashboard(resource: Resource, month: Month) -> Iterator[Line]:
    names = sorted(month.graph.of("cloudwatch/dashboard:Dashboard"))
    yield line(resource, "dashboards", names.index(resource.name) >= FREE_DASHBOARDS, "cloudwatch.dashboard")


@meter("aws:cloudwatch/logMetricFilter:LogMetricFilter")
def metric_filter(resource: Resource, month: Month) -> Iterator[Line]:
    # The metric has data only with errors; assumed is one error per hour while sessions run.
    yield line(resource, HOURLY_METRICS, month.traffic.working_hours / HOURS, "cloudwatch.metric")


@meter("aws:guardduty/detector:Detector")
def guard_duty(resource: Resource, month: Month) -> Iterator[Line]:
    events = month.traffic.tasks * 12 + 500_000  # the account's own events per month
    yield line(resource, "million events", events / 1_000_000, "guardduty.events_million")


@meter("aws:cfg/recorder:Recorder")
def config(resource: Resource, month: Month) -> Iterator[Line]:
    yield line(resource, "items recorded", 500, "config.item")


@meter("aws:securityhub/account:Account")
def security_hub(resource: Resource, month: Month) -> Iterator[Line]:
    # Most controls are checked once or twice a day, each for every resource that it concerns.
    yield line(resource, "checks", 5_000, "securityhub.check")
