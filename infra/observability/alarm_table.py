"""Which alarms a stack has: plain data, from the names of what is watched and the thresholds of the settings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pulumi import Input

from infra import settings
from infra.front.dns import GLOBAL_REGION
from infra.observability.watched import Watched
from infrafabric.telemetry import NAMESPACE, STACK_DIMENSION

AT_MOST = 10  # metrics that one alarm may compute with (CloudWatch quotas)
GIB = 1024**3

Missing = Literal["breaching", "notBreaching", "ignore", "missing"]


@dataclass(frozen=True, kw_only=True)
class Metric:
    namespace: str
    name: str
    stat: str  # Average, Maximum, Sum, or a percentile: p95
    dimensions: Mapping[str, Input[str]] = field(default_factory=dict)
    period_s: int = 300


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """What goes off when. CloudWatch bills 0.10 USD a month for each metric, also for those that are computed with."""

    what: str
    means: str  # what whoever is woken reads
    metrics: Sequence[Metric]
    above: float
    expression: str | None = None  # over m1, m2 …; None: the one metric itself
    below: bool = False  # it goes off below the threshold instead
    periods: int = 1
    of: int = 1  # so many of the periods must be bad
    # notBreaching: no traffic is no fault. missing: silence itself is told, as INSUFFICIENT_DATA.
    missing: Missing = "notBreaching"
    degrades: bool = True  # users notice: part of the composite alarm


def alarms(it: Watched, limits: settings.Thresholds) -> list[Alarm]:
    """Every alarm of a stack, in an order that an added agent extends at the end of its group."""
    return [
        *_swarm(it, limits), *_queues(it, limits), *_api(it, limits), *_database(it, limits), *_app(it, limits),
        *_edge(it, limits),
    ]  # fmt: skip


def _swarm(it: Watched, limits: settings.Thresholds) -> Iterator[Alarm]:
    share = limits.error_rate_percent / 100
    ours = {STACK_DIMENSION: it.stack}
    yield Alarm(
        what="agent-errors",
        means=f"More than {limits.error_rate_percent:g} % of the tasks that agents finished in 5 minutes failed",
        metrics=[Metric(namespace=NAMESPACE, name="CompletionStatus", stat="Average", dimensions=ours)],
        above=share,
    )
    yield Alarm(
        what="sessions-stuck",
        means=f"A running session has not moved for {limits.stuck_minutes} minutes; no data: the watchdog is dead",
        # Two rounds of the watchdog, so that one that starts late is no silence.
        metrics=[Metric(namespace=NAMESPACE, name="SessionsStuck", stat="Maximum", dimensions=ours, period_s=1200)],
        above=0,
        missing="missing",
    )
    yield Alarm(
        what="sessions-lost",
        means="A session was ended by the watchdog because its coordinator was lost",
        metrics=[Metric(namespace=NAMESPACE, name="SessionsLost", stat="Sum", dimensions=ours)],
        above=0,
    )
    for number, names in _tens(it.services.values(), AT_MOST // 2):
        calls = [_function("Invocations", name) for name in names]
        yield Alarm(
            what=f"function-errors{number}",
            means=f"More than {limits.error_rate_percent:g} % of the calls of {', '.join(it.services)} failed",
            metrics=[*(_function("Errors", name) for name in names), *calls],
            expression=_rate(len(names)),
            above=limits.error_rate_percent,
        )
    yield Alarm(
        what="throttles",
        means="Lambda turned calls away: the account's concurrency in this region is used up",
        # Without a dimension it is the sum over all functions, as the concurrency is one pool for all of them.
        metrics=[Metric(namespace="AWS/Lambda", name="Throttles", stat="Sum")],
        above=0,
        periods=3,
        of=2,
    )


def _queues(it: Watched, limits: settings.Thresholds) -> Iterator[Alarm]:
    for number, names in _tens(it.dead_letters.values()):
        yield Alarm(
            what=f"dead-letters{number}",
            means="A dead-letter queue holds a message: its attribute reason says why; fabric session redrive",
            metrics=[_queue("ApproximateNumberOfMessagesVisible", name) for name in names],
            expression="MAX(METRICS())",
            above=0,
            degrades=False,
        )
    for number, names in _tens(it.queues.values()):
        yield Alarm(
            what=f"queue-age{number}",
            means=f"The oldest message of a queue has waited for more than {limits.queue_age_s} s",
            metrics=[_queue("ApproximateAgeOfOldestMessage", name) for name in names],
            expression="MAX(METRICS())",
            above=limits.queue_age_s,
        )


def _api(it: Watched, limits: settings.Thresholds) -> Iterator[Alarm]:
    ours = {"ApiName": it.api_name, "Stage": it.api_stage}
    yield Alarm(
        what="api-5xx",
        means=f"More than {limits.server_error_percent:g} % of the API's answers are errors of ours",
        # The average of 0 and 1 for each request.
        metrics=[Metric(namespace="AWS/ApiGateway", name="5XXError", stat="Average", dimensions=ours)],
        above=limits.server_error_percent / 100,
    )
    yield Alarm(
        what="api-latency",
        means=f"One of twenty requests to the API took longer than {limits.latency_p95_ms} ms",
        metrics=[Metric(namespace="AWS/ApiGateway", name="Latency", stat="p95", dimensions=ours)],
        above=limits.latency_p95_ms,
        periods=3,
        of=3,
    )


def _database(it: Watched, limits: settings.Thresholds) -> Iterator[Alarm]:
    if it.database is None:
        return
    ours = {"DBInstanceIdentifier": it.database}

    def metric(name: str, stat: str) -> list[Metric]:
        return [Metric(namespace="AWS/RDS", name=name, stat=stat, dimensions=ours)]

    yield Alarm(
        what="database-cpu",
        means=f"The database's processor was above {limits.database_cpu_percent:g} % for a quarter of an hour",
        metrics=metric("CPUUtilization", "Average"),
        above=limits.database_cpu_percent,
        periods=3,
        of=3,
        missing="breaching",  # RDS reports each minute: silence is an instance that is down
    )
    yield Alarm(
        what="database-storage",
        means=f"Less than {limits.database_free_gb:g} GiB are free, and storage no longer grows by itself",
        metrics=metric("FreeStorageSpace", "Minimum"),
        above=limits.database_free_gb * GIB,
        below=True,
    )
    yield Alarm(
        what="database-connections",
        means=f"More than {limits.database_connections} connections are open: PostgreSQL will refuse more",
        metrics=metric("DatabaseConnections", "Maximum"),
        above=limits.database_connections,
    )
    if it.replica:
        yield Alarm(
            what="replica-lag",
            means=f"The replica is more than {limits.replica_lag_s} s behind: what a failover now would lose",
            metrics=metric("ReplicaLag", "Maximum"),
            above=limits.replica_lag_s,
            periods=3,
            of=3,
            missing="breaching",  # a replica that follows nothing reports nothing
        )


def _app(it: Watched, limits: settings.Thresholds) -> Iterator[Alarm]:
    if it.app is None:
        return
    front = {"LoadBalancer": it.app.balancer}

    def metric(name: str, stat: str = "Sum", **more: Input[str]) -> Metric:
        return Metric(namespace="AWS/ApplicationELB", name=name, stat=stat, dimensions={**front, **more})

    yield Alarm(
        what="app-5xx",
        means=f"More than {limits.server_error_percent:g} % of the application's answers are errors of ours",
        metrics=[
            metric("HTTPCode_Target_5XX_Count"),
            metric("HTTPCode_ELB_5XX_Count"),  # nobody behind it to ask
            metric("RequestCount"),
        ],
        expression="100*(FILL(m1,0)+FILL(m2,0))/m3",  # no errors are no data
        above=limits.server_error_percent,
    )
    yield Alarm(
        what="app-latency",
        means=f"One of twenty requests to the application took longer than {limits.latency_p95_ms} ms",
        metrics=[metric("TargetResponseTime", "p95")],
        above=limits.latency_p95_ms / 1000,  # this one is in seconds
        periods=3,
        of=3,
    )
    yield Alarm(
        what="app-instances",
        means="An instance of the application has failed its health check for a quarter of an hour",
        metrics=[metric("UnHealthyHostCount", "Maximum", TargetGroup=group) for group in it.app.targets.values()],
        expression="MAX(METRICS())",
        above=0,
        periods=3,
        of=3,
        degrades=False,  # the others answer; app-5xx says when they do not
    )


def _edge(it: Watched, limits: settings.Thresholds) -> Iterator[Alarm]:
    """CloudFront has its metrics in us-east-1 alone, and an alarm speaks to topics of its own region."""
    if it.distribution is None or it.region != GLOBAL_REGION:
        return
    ours = {"DistributionId": it.distribution, "Region": "Global"}
    yield Alarm(
        what="edge-5xx",
        means=f"More than {limits.server_error_percent:g} % of CloudFront's answers are errors of ours",
        metrics=[Metric(namespace="AWS/CloudFront", name="5xxErrorRate", stat="Average", dimensions=ours)],
        above=limits.server_error_percent,  # it is in per cent
    )


def _tens(names: Iterable[Input[str]], size: int = AT_MOST) -> Iterator[tuple[str, list[Input[str]]]]:
    """``names`` in groups that one alarm can compute with, numbered when there are several: "", "-2", "-3" …"""
    listed = list(names)
    for first in range(0, len(listed), size):
        yield f"-{first // size + 1}" if first else "", listed[first : first + size]


def _rate(functions: int) -> str:
    """Errors in per cent of calls, over m1 … (errors) and as many further ones (calls)."""
    errors = ",".join(f"m{n}" for n in range(1, functions + 1))
    calls = ",".join(f"m{n}" for n in range(functions + 1, 2 * functions + 1))
    return f"100*SUM([{errors}])/SUM([{calls}])"


def _function(metric: str, name: Input[str]) -> Metric:
    return Metric(namespace="AWS/Lambda", name=metric, stat="Sum", dimensions={"FunctionName": name})


def _queue(metric: str, name: Input[str]) -> Metric:
    return Metric(namespace="AWS/SQS", name=metric, stat="Maximum", dimensions={"QueueName": name})
