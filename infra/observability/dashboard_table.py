"""What the dashboards show: bodies in CloudWatch's own format, from the names of what is watched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pulumi import Input

from infra.front.dns import GLOBAL_REGION
from infra.observability.watched import Watched, WatchedApp
from infrafabric.telemetry import NAMESPACE, STACK_DIMENSION

Line = list[Any]  # namespace, metric, dimension, value …, and how to draw it
WIDTH, HEIGHT, COLUMNS = 12, 6, 2  # of CloudWatch's grid of 24


def dashboards(it: Watched) -> dict[str, dict[str, Any]]:
    """Every dashboard's body by name."""
    shown = {"swarm": _swarm(it), "bus": _bus(it), "cost": _cost(it), "edge": _edge(it)}
    if it.database is not None:
        shown["database"] = _database(it, it.database)
    return {name: _laid_out(widgets) for name, widgets in sorted(shown.items())}


def combined(it: Watched) -> dict[str, Any]:
    """All of them below one another: an account has three dashboards for nothing."""
    widgets = [widget for body in dashboards(it).values() for widget in body["widgets"]]
    return _laid_out(widgets)


def _swarm(it: Watched) -> list[dict[str, Any]]:
    ours = (STACK_DIMENSION, it.stack)
    functions = {**it.services, **it.agents}
    return [
        _graph(it, "Tasks that failed (share)", [[NAMESPACE, "CompletionStatus", *ours, {"stat": "Average"}]]),
        _graph(
            it,
            "Sessions",
            [[NAMESPACE, name, *ours, {"stat": "Maximum"}] for name in ("SessionsLive", "SessionsStuck")],
        ),
        _graph(
            it,
            "Time of a task (ms)",
            [[NAMESPACE, "ExecutionTime", *ours, {"stat": stat}] for stat in ("p50", "p95")],
        ),
        _graph(it, "Errors of functions", _of_functions("Errors", functions)),
        _graph(it, "Concurrent executions", _of_functions("ConcurrentExecutions", functions, "Maximum")),
        _graph(it, "Calls turned away", [["AWS/Lambda", "Throttles", {"stat": "Sum"}]]),
    ]


def _bus(it: Watched) -> list[dict[str, Any]]:
    waiting, age = "ApproximateNumberOfMessagesVisible", "ApproximateAgeOfOldestMessage"
    return [
        _graph(it, "Messages that wait", _of_queues(waiting, it.queues)),
        _graph(it, "Age of the oldest (s)", _of_queues(age, it.queues)),
        _graph(it, "Dead letters", _of_queues(waiting, it.dead_letters)),
        _graph(it, "Messages in work", _of_queues("ApproximateNumberOfMessagesNotVisible", it.queues)),
    ]


def _database(it: Watched, identifier: Input[str]) -> list[dict[str, Any]]:
    def line(name: str, stat: str = "Average") -> Line:
        return ["AWS/RDS", name, "DBInstanceIdentifier", identifier, {"stat": stat}]

    shown = [
        _graph(it, "Processor (%)", [line("CPUUtilization")]),
        _graph(it, "Connections", [line("DatabaseConnections", "Maximum")]),
        _graph(it, "Free storage (bytes)", [line("FreeStorageSpace", "Minimum")]),
        _graph(it, "Latency (s)", [line("ReadLatency"), line("WriteLatency")]),
    ]
    return [*shown, _graph(it, "Behind the source (s)", [line("ReplicaLag", "Maximum")])] if it.replica else shown


def _cost(it: Watched) -> list[dict[str, Any]]:
    ours, day = (STACK_DIMENSION, it.stack), 86_400
    bill = ["AWS/Billing", "EstimatedCharges", "Currency", "USD", {"stat": "Maximum", "region": GLOBAL_REGION}]
    return [
        _graph(it, "Models (USD a day)", [[NAMESPACE, "CostUsd", *ours, {"stat": "Sum"}]], period_s=day),
        _graph(it, "Tokens a day", [[NAMESPACE, "TokensConsumed", *ours, {"stat": "Sum"}]], period_s=day),
        _graph(it, "The account's bill so far (USD)", [bill], period_s=day),
    ]


def _edge(it: Watched) -> list[dict[str, Any]]:
    def line(name: str, stat: str) -> Line:
        return ["AWS/ApiGateway", name, "ApiName", it.api_name, "Stage", it.api_stage, {"stat": stat}]

    api = [
        _graph(it, "Requests to the API", [line("Count", "Sum")]),
        _graph(it, "Refused and failed (share)", [line("4XXError", "Average"), line("5XXError", "Average")]),
        _graph(it, "Latency (ms)", [line("Latency", stat) for stat in ("p50", "p95", "p99")]),
    ]
    app = _app(it, it.app) if it.app else []
    return [*api, *app, *(_cloudfront(it, it.distribution) if it.distribution is not None else [])]


def _app(it: Watched, app: WatchedApp) -> list[dict[str, Any]]:
    def line(name: str, stat: str, *more: Input[str], **drawn: str) -> Line:
        return ["AWS/ApplicationELB", name, *more, "LoadBalancer", app.balancer, {**drawn, "stat": stat}]

    failed = ("HTTPCode_Target_5XX_Count", "HTTPCode_ELB_5XX_Count")
    healthy = [
        line("HealthyHostCount", "Minimum", "TargetGroup", group, label=colour) for colour, group in app.targets.items()
    ]
    return [
        _graph(it, "Requests to the application", [line("RequestCount", "Sum")]),
        _graph(it, "Failed answers of the application", [line(name, "Sum") for name in failed]),
        _graph(it, "Latency of the application (s)", [line("TargetResponseTime", stat) for stat in ("p50", "p95")]),
        _graph(it, "Healthy instances", healthy),
    ]


def _cloudfront(it: Watched, distribution: Input[str]) -> list[dict[str, Any]]:
    def line(name: str, stat: str) -> Line:
        where = {"stat": stat, "region": GLOBAL_REGION}  # CloudFront has its metrics nowhere else
        return ["AWS/CloudFront", name, "Region", "Global", "DistributionId", distribution, where]

    return [
        _graph(it, "Requests to CloudFront", [line("Requests", "Sum")]),
        _graph(it, "CloudFront: refused and failed (%)", [line(f"{n}xxErrorRate", "Average") for n in (4, 5)]),
    ]


def _of_functions(metric: str, functions: Mapping[str, Input[str]], stat: str = "Sum") -> list[Line]:
    return [_line("AWS/Lambda", metric, "FunctionName", name, label, stat) for label, name in functions.items()]


def _of_queues(metric: str, queues: Mapping[str, Input[str]]) -> list[Line]:
    return [_line("AWS/SQS", metric, "QueueName", name, label, "Maximum") for label, name in queues.items()]


def _line(namespace: str, metric: str, dimension: str, name: Input[str], label: str, stat: str) -> Line:
    return [namespace, metric, dimension, name, {"label": label, "stat": stat}]


def _graph(it: Watched, title: str, lines: Sequence[Line], period_s: int = 300) -> dict[str, Any]:
    drawn = {"title": title, "region": it.region, "view": "timeSeries", "stacked": False, "period": period_s}
    return {"type": "metric", "properties": {**drawn, "metrics": list(lines)}}


def _laid_out(widgets: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Two widgets a row, each at its place: CloudWatch would lay out the rest anew at each change."""
    placed = [
        {**widget, "x": n % COLUMNS * WIDTH, "y": n // COLUMNS * HEIGHT, "width": WIDTH, "height": HEIGHT}
        for n, widget in enumerate(widgets)
    ]
    return {"widgets": placed}
