"""Dashboard bodies in CloudWatch's format, computed from the watched resources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pulumi import Input

from infra.front.dns import GLOBAL_REGION
from infra.observability.watched import Watched, WatchedApp
from infrafabric.telemetry import NAMESPACE, STACK_DIMENSION

MetricRow = list[Any]  # namespace, metric, dimension name and value …, rendering options
WIDTH, HEIGHT, COLUMNS = 12, 6, 2  # in units of CloudWatch's grid, which is 24 wide


def dashboards(watched: Watched) -> dict[str, dict[str, Any]]:
    """Return the body of every dashboard, by name."""
    widgets = {"swarm": _swarm(watched), "bus": _bus(watched), "cost": _cost(watched), "edge": _edge(watched)}
    if watched.database is not None:
        widgets["database"] = _database(watched, watched.database)
    return {name: _grid(widgets) for name, widgets in sorted(widgets.items())}


def combined(watched: Watched) -> dict[str, Any]:
    """Return all dashboards as one page, because an account includes only three free dashboards."""
    widgets = [widget for body in dashboards(watched).values() for widget in body["widgets"]]
    return _grid(widgets)


def _swarm(watched: Watched) -> list[dict[str, Any]]:
    dimension = (STACK_DIMENSION, watched.stack)
    functions = {**watched.services, **watched.agents}
    return [
        _graph(
            watched, "Tasks that failed (share)", [[NAMESPACE, "CompletionStatus", *dimension, {"stat": "Average"}]]
        ),
        _graph(
            watched,
            "Sessions",
            [[NAMESPACE, name, *dimension, {"stat": "Maximum"}] for name in ("SessionsLive", "SessionsStuck")],
        ),
        _graph(
            watched,
            "Time of a task (ms)",
            [[NAMESPACE, "ExecutionTime", *dimension, {"stat": stat}] for stat in ("p50", "p95")],
        ),
        _graph(watched, "Circuit breakers opened", [[NAMESPACE, "BreakerOpened", *dimension, {"stat": "Sum"}]]),
        _graph(watched, "Errors of functions", _of_functions("Errors", functions)),
        _graph(watched, "Concurrent executions", _of_functions("ConcurrentExecutions", functions, "Maximum")),
        _graph(watched, "Calls turned away", [["AWS/Lambda", "Throttles", {"stat": "Sum"}]]),
    ]


def _bus(watched: Watched) -> list[dict[str, Any]]:
    waiting, age = "ApproximateNumberOfMessagesVisible", "ApproximateAgeOfOldestMessage"
    return [
        _graph(watched, "Messages that wait", _of_queues(waiting, watched.queues)),
        _graph(watched, "Age of the oldest (s)", _of_queues(age, watched.queues)),
        _graph(watched, "Dead letters", _of_queues(waiting, watched.dead_letter_queues)),
        _graph(watched, "Messages in work", _of_queues("ApproximateNumberOfMessagesNotVisible", watched.queues)),
    ]


def _database(watched: Watched, identifier: Input[str]) -> list[dict[str, Any]]:
    def row(name: str, stat: str = "Average") -> MetricRow:
        return ["AWS/RDS", name, "DBInstanceIdentifier", identifier, {"stat": stat}]

    widgets = [
        _graph(watched, "Processor (%)", [row("CPUUtilization")]),
        _graph(watched, "Connections", [row("DatabaseConnections", "Maximum")]),
        _graph(watched, "Free storage (bytes)", [row("FreeStorageSpace", "Minimum")]),
        _graph(watched, "Latency (s)", [row("ReadLatency"), row("WriteLatency")]),
    ]
    return (
        [*widgets, _graph(watched, "Behind the source (s)", [row("ReplicaLag", "Maximum")])]
        if watched.replica
        else widgets
    )


def _cost(watched: Watched) -> list[dict[str, Any]]:
    dimension, day = (STACK_DIMENSION, watched.stack), 86_400
    bill = ["AWS/Billing", "EstimatedCharges", "Currency", "USD", {"stat": "Maximum", "region": GLOBAL_REGION}]
    return [
        _graph(watched, "Models (USD a day)", [[NAMESPACE, "CostUsd", *dimension, {"stat": "Sum"}]], period_s=day),
        _graph(watched, "Tokens a day", [[NAMESPACE, "TokensConsumed", *dimension, {"stat": "Sum"}]], period_s=day),
        _graph(watched, "The account's bill so far (USD)", [bill], period_s=day),
    ]


def _edge(watched: Watched) -> list[dict[str, Any]]:
    def row(name: str, stat: str) -> MetricRow:
        return ["AWS/ApiGateway", name, "ApiName", watched.api_name, "Stage", watched.api_stage, {"stat": stat}]

    api = [
        _graph(watched, "Requests to the API", [row("Count", "Sum")]),
        _graph(watched, "Refused and failed (share)", [row("4XXError", "Average"), row("5XXError", "Average")]),
        _graph(watched, "Latency (ms)", [row("Latency", stat) for stat in ("p50", "p95", "p99")]),
    ]
    app = _app(watched, watched.app) if watched.app else []
    return [*api, *app, *(_cloudfront(watched, watched.distribution) if watched.distribution is not None else [])]


def _app(watched: Watched, app: WatchedApp) -> list[dict[str, Any]]:
    def row(name: str, stat: str, *more: Input[str], **options: str) -> MetricRow:
        return ["AWS/ApplicationELB", name, *more, "LoadBalancer", app.balancer, {**options, "stat": stat}]

    failed = ("HTTPCode_Target_5XX_Count", "HTTPCode_ELB_5XX_Count")
    healthy = [
        row("HealthyHostCount", "Minimum", "TargetGroup", group, label=colour) for colour, group in app.targets.items()
    ]
    return [
        _graph(watched, "Requests to the application", [row("RequestCount", "Sum")]),
        _graph(watched, "Failed answers of the application", [row(name, "Sum") for name in failed]),
        _graph(watched, "Latency of the application (s)", [row("TargetResponseTime", stat) for stat in ("p50", "p95")]),
        _graph(watched, "Healthy instances", healthy),
    ]


def _cloudfront(watched: Watched, distribution: Input[str]) -> list[dict[str, Any]]:
    def row(name: str, stat: str) -> MetricRow:
        options = {"stat": stat, "region": GLOBAL_REGION}  # the only region with CloudFront metrics
        return ["AWS/CloudFront", name, "Region", "Global", "DistributionId", distribution, options]

    return [
        _graph(watched, "Requests to CloudFront", [row("Requests", "Sum")]),
        _graph(watched, "CloudFront: refused and failed (%)", [row(f"{n}xxErrorRate", "Average") for n in (4, 5)]),
    ]


def _of_functions(metric: str, functions: Mapping[str, Input[str]], stat: str = "Sum") -> list[MetricRow]:
    return [_row("AWS/Lambda", metric, "FunctionName", name, label, stat) for label, name in functions.items()]


def _of_queues(metric: str, queues: Mapping[str, Input[str]]) -> list[MetricRow]:
    return [_row("AWS/SQS", metric, "QueueName", name, label, "Maximum") for label, name in queues.items()]


def _row(namespace: str, metric: str, dimension: str, name: Input[str], label: str, stat: str) -> MetricRow:
    return [namespace, metric, dimension, name, {"label": label, "stat": stat}]


def _graph(watched: Watched, title: str, rows: Sequence[MetricRow], period_s: int = 300) -> dict[str, Any]:
    options = {"title": title, "region": watched.region, "view": "timeSeries", "stacked": False, "period": period_s}
    return {"type": "metric", "properties": {**options, "metrics": list(rows)}}


def _grid(widgets: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Place two widgets per row at fixed positions.

    Without positions CloudWatch would rearrange the widgets at each change.
    """
    placed = [
        {**widget, "x": n % COLUMNS * WIDTH, "y": n // COLUMNS * HEIGHT, "width": WIDTH, "height": HEIGHT}
        for n, widget in enumerate(widgets)
    ]
    return {"widgets": placed}
