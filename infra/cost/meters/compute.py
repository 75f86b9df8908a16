"""Functions, instances, and what they are reached by within AWS."""

from __future__ import annotations

from collections.abc import Iterator

from infra.cost.lines import Line
from infra.cost.meters.table import HOURLY_METRICS, Month, line, meter
from infra.cost.prices import HOURS
from infra.cost.traffic import OPERATIONS, PUBLISHED, QUEUED
from infra.graph import Resource
from infrafabric.telemetry import TASK_METRICS, WATCH_METRICS

MILLION = 1_000_000
_AGENT = "agents-"
API_MS, RECORD_MS, COORDINATE_S = 50, 20, 0.5  # of a request, of a record, of a task in the coordinator


@meter("aws:lambda/function:Function")
def function(it: Resource, month: Month) -> Iterator[Line]:
    calls, seconds = _use(it, month)
    yield line(it, "million requests", calls / MILLION, "lambda.requests_million")
    yield line(it, "GB-seconds", seconds * it.inputs["memorySize"] / 1024, "lambda.gb_s")
    if it.inputs.get("durableConfig"):
        yield line(
            it, "million durable operations", month.traffic.tasks * OPERATIONS / MILLION, "durable.operations_million"
        )
    if it.inputs.get("snapStart"):
        gb_s = it.inputs["memorySize"] / 1024 * HOURS * 3600
        yield line(it, "GB-seconds of a snapshot that is kept", gb_s, "lambda.snapshot_gb_s")
    yield line(it, HOURLY_METRICS, _metrics(it, month), "cloudwatch.metric")


def _use(it: Resource, month: Month) -> tuple[float, float]:
    """Invocations and seconds a month of a function, by what it is for."""
    traffic, what = month.traffic, it.name.removesuffix("-function")
    if what.startswith(_AGENT):
        return traffic.tasks / _agents(month), traffic.tasks * traffic.task_s / _agents(month)
    return {
        "api": (traffic.api_requests, traffic.api_requests * API_MS / 1000),
        "coordinator": (traffic.tasks, traffic.tasks * COORDINATE_S),
        "recorder": (traffic.tasks, traffic.tasks * RECORD_MS / 1000),
        "watchdog": (HOURS * 6, HOURS * 6),
    }.get(what, (0.0, 0.0))  # the migrator runs once a deployment


def _agents(month: Month) -> int:
    return sum(r.name.startswith(_AGENT) for r in month.graph.of("lambda/function:Function").values())


def _metrics(it: Resource, month: Month) -> float:
    """How many metrics of its own a function sends all month, or the like in fewer hours."""
    if it.name.startswith(_AGENT):
        # Its own, and its part of the stack's, which all agents send.
        return len(TASK_METRICS) * (1 + 1 / _agents(month)) * month.traffic.working_hours / HOURS
    return len(WATCH_METRICS) if it.name == "watchdog-function" else 0


@meter("aws:lambda/provisionedConcurrencyConfig:ProvisionedConcurrencyConfig")
def provisioned(it: Resource, month: Month) -> Iterator[Line]:
    of = next(
        f for f in month.graph.of("lambda/function:Function").values() if f.inputs["name"] == it.inputs["functionName"]
    )
    gb_s = it.inputs["provisionedConcurrentExecutions"] * of.inputs["memorySize"] / 1024 * HOURS * 3600
    yield line(it, "GB-seconds kept ready", gb_s, "lambda.provisioned_gb_s")


@meter("aws:sqs/queue:Queue")
def queue(it: Resource, month: Month) -> Iterator[Line]:
    if "deadLetterTargetArn" not in (it.inputs.get("redrivePolicy") or ""):
        return  # a dead-letter queue that is empty is asked nothing
    polls = HOURS * 3600 / 20 * 5  # Lambda keeps five long polls open on each queue that feeds a function
    share = 1 / sum("redrivePolicy" in q.inputs for q in month.graph.of("sqs/queue:Queue").values())
    asked = polls + month.traffic.tasks * QUEUED * share
    yield line(it, "million requests", asked / MILLION, "sqs.requests_million")


@meter("aws:sns/topic:Topic")
def topic(it: Resource, month: Month) -> Iterator[Line]:
    published = month.traffic.tasks * 2 * PUBLISHED * month.share(it)
    yield line(it, "million publishes", published / MILLION, "sns.requests_million")


@meter("aws:autoscaling/group:Group")
def group(it: Resource, month: Month) -> Iterator[Line]:
    size = it.inputs.get("desiredCapacity", it.inputs.get("minSize", 0)) or 0
    templates = month.graph.of("ec2/launchTemplate:LaunchTemplate")
    wanted = it.inputs["launchTemplate"]["id"]
    template = next(t for t in templates.values() if t.outputs.get("id", f"{t.name}-id") == wanted)
    kind = template.inputs["instanceType"]
    yield line(it, f"hours of {kind}", size * HOURS, f"ec2.{kind}")
    disks = template.inputs.get("blockDeviceMappings") or []
    disk_gb = sum((disk.get("ebs") or {}).get("volumeSize") or 8 for disk in disks)
    yield line(it, "GB of gp3", size * disk_gb, "ebs.gp3_gb")
