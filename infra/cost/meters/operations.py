"""Logs, alarms, and what watches the account."""

from __future__ import annotations

from collections.abc import Iterator

from infra.cost.lines import Line
from infra.cost.meters.table import HOURLY_METRICS, Month, line, meter
from infra.cost.prices import HOURS
from infra.graph import Resource

FREE_DASHBOARDS = 3  # of an account


@meter("aws:cloudwatch/logGroup:LogGroup")
def log_group(it: Resource, month: Month) -> Iterator[Line]:
    gb = month.traffic.logs_gb * month.share(it)
    yield line(it, "GB ingested", gb, "logs.gb_ingested")
    # What is ingested evenly and kept for a year is there in full after it; compressed, about a seventh of that.
    kept_months = (it.inputs.get("retentionInDays") or 3650) / 30
    yield line(it, "GB stored", gb * kept_months * 0.15, "logs.gb_stored")


@meter("aws:cloudwatch/metricAlarm:MetricAlarm")
def alarm(it: Resource, month: Month) -> Iterator[Line]:
    queries = it.inputs.get("metricQueries") or []
    watched = sum(bool(query.get("metric")) for query in queries) or 1
    yield line(it, "metrics watched", watched, "alarm")


@meter("aws:cloudwatch/compositeAlarm:CompositeAlarm")
def composite(it: Resource, month: Month) -> Iterator[Line]:
    yield Line(resource=it.name, type=it.type, what="composite alarms", quantity=1, unit_usd=0.50)


@meter("aws:cloudwatch/dashboard:Dashboard")
def dashboard(it: Resource, month: Month) -> Iterator[Line]:
    made = sorted(month.graph.of("cloudwatch/dashboard:Dashboard"))
    yield line(it, "dashboards", made.index(it.name) >= FREE_DASHBOARDS, "cloudwatch.dashboard")


@meter("aws:cloudwatch/logMetricFilter:LogMetricFilter")
def metric_filter(it: Resource, month: Month) -> Iterator[Line]:
    # Nothing is sent where nothing is counted: an error an hour while sessions run is what this allows for.
    yield line(it, HOURLY_METRICS, month.traffic.working_hours / HOURS, "cloudwatch.metric")


@meter("aws:guardduty/detector:Detector")
def guard_duty(it: Resource, month: Month) -> Iterator[Line]:
    events = month.traffic.tasks * 12 + 500_000  # what the account itself does all month
    yield line(it, "million events", events / 1_000_000, "guardduty.events_million")


@meter("aws:cfg/recorder:Recorder")
def config(it: Resource, month: Month) -> Iterator[Line]:
    yield line(it, "items recorded", 500, "config.item")
