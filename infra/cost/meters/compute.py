"""Meters of functions, instances, queues and topics."""

from __future__ import annotations

from collections.abc import Iterator

from infra.cost.lines import Line
from infra.cost.meters.table import HOURLY_METRICS, Month, line, meter
from infra.cost.prices import HOURS
from infra.cost.traffic import DURABLE_OPERATIONS_PER_TASK, PUBLISHES_PER_TASK, QUEUE_REQUESTS_PER_TASK
from infra.graph import Resource
from infrafabric.telemetry import TASK_METRICS, WATCH_METRICS

MILLION = 1_000_000
_AGENT = "agents-"
API_MS, RECORD_MS, COORDINATE_S = 50, 20, 0.5  # per API request, per recorded task, per task in the coordinator


@meter("aws:lambda/function:Function")
def function(resource: Resource, month: Month) -> Iterator[Line]:
    calls, seconds = _use(resource, month)
    yield line(resource, "million requests", calls / MILLION, "lambda.requests_million")
    yield line(resource, "GB-seconds", seconds * resource.inputs["memorySize"] / 1024, "lambda.gb_s")
    if resource.inputs.get("durableConfig"):
        yield line(
            resource,
            "million durable operations",
            month.traffic.tasks * DURABLE_OPERATIONS_PER_TASK / MILLION,
            "durable.operations_million",
        )
    if resource.inputs.get("snapStart"):
        gb_s = resource.inputs["memorySize"] / 1024 * HOURS * 3600
        yield line(resource, "GB-seconds of a snapshot that is kept", gb_s, "lambda.snapshot_gb_s")
    yield line(resource, HOURLY_METRICS, _metrics(resource, month), "cloudwatch.metric")


def _use(resource: Resource, month: Month) -> tuple[float, float]:
    """Return a function's invocations and seconds per month."""
    traffic, label = month.traffic, resource.name.removesuffix("-function")
    if label.startswith(_AGENT):
        return traffic.tasks / _agents(month), traffic.tasks * traffic.task_s / _agents(month)
    return {
        "api": (traffic.api_requests, traffic.api_requests * API_MS / 1000),
        "coordinator": (traffic.tasks, traffic.tasks * COORDINATE_S),
        "recorder": (traffic.tasks, traffic.tasks * RECORD_MS / 1000),
        "watchdog": (HOURS * 6, HOURS * 6),
    }.get(label, (0.0, 0.0))  # the migrator runs once per deployment


def _agents(month: Month) -> int:
    return sum(r.name.startswith(_AGENT) for r in month.graph.of("lambda/function:Function").values())


def _metrics(resource: Resource, month: Month) -> float:
    """Return the number of custom metrics of a function, weighted by the share of hours with data."""
    if resource.name.startswith(_AGENT):
        # The agent's own metrics, and its share of the stack's metrics, which all agents send.
        return len(TASK_METRICS) * (1 + 1 / _agents(month)) * month.traffic.working_hours / HOURS
    return len(WATCH_METRICS) if resource.name == "watchdog-function" else 0


@meter("aws:lambda/provisionedConcurrencyConfig:ProvisionedConcurrencyConfig")
def provisioned(resource: Resource, month: Month) -> Iterator[Line]:
    function_ = next(
        f
        for f in month.graph.of("lambda/function:Function").values()
        if f.inputs["name"] == resource.inputs["functionName"]
    )
    gb_s = resource.inputs["provisionedConcurrentExecutions"] * function_.inputs["memorySize"] / 1024 * HOURS * 3600
    yield line(resource, "GB-seconds kept ready", gb_s, "lambda.provisioned_gb_s")


@meter("aws:sqs/queue:Queue")
def queue(resource: Resource, month: Month) -> Iterator[Line]:
    if "deadLetterTargetArn" not in (resource.inputs.get("redrivePolicy") or ""):
        return  # nothing polls an empty dead-letter queue
    polls = HOURS * 3600 / 20 * 5  # Lambda keeps five long polls open per queue with an event source mapping
    share = 1 / sum("redrivePolicy" in q.inputs for q in month.graph.of("sqs/queue:Queue").values())
    requests = polls + month.traffic.tasks * QUEUE_REQUESTS_PER_TASK * share
    yield line(resource, "million requests", requests / MILLION, "sqs.requests_million")


@meter("aws:sns/topic:Topic")
def topic(resource: Resource, month: Month) -> Iterator[Line]:
    published = month.traffic.tasks * 2 * PUBLISHES_PER_TASK * month.share(resource)
    yield line(resource, "million publishes", published / MILLION, "sns.requests_million")


@meter("aws:autoscaling/group:Group")
def group(resource: Resource, month: Month) -> Iterator[Line]:
    size = resource.inputs.get("desiredCapacity", resource.inputs.get("minSize", 0)) or 0
    templates = month.graph.of("ec2/launchTemplate:LaunchTemplate")
    template_id = resource.inputs["launchTemplate"]["id"]
    template = next(t for t in templates.values() if t.id == template_id)
    kind = template.inputs["instanceType"]
    yield line(resource, f"hours of {kind}", size * HOURS, f"ec2.{kind}")
    disks = template.inputs.get("blockDeviceMappings") or []
    disk_gb = sum((disk.get("ebs") or {}).get("volumeSize") or 8 for disk in disks)
    yield line(resource, "GB of gp3", size * disk_gb, "ebs.gp3_gb")
