"""Alarms of a stack as plain data, computed from the watched resources and the thresholds of the settings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pulumi import Input

from infra import settings
from infra.front.dns import GLOBAL_REGION
from infra.observability.watched import Watched
from infrafabric.telemetry import NAMESPACE, STACK_DIMENSION

METRICS_PER_ALARM = 10  # metrics per metric-math alarm (CloudWatch quotas)
GIB = 1024**3

MissingData = Literal["breaching", "notBreaching", "ignore", "missing"]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """CloudWatch metric with statistic and period."""

    namespace: str
    name: str
    stat: str  # Average, Maximum, Sum, or a percentile: p95
    dimensions: Mapping[str, Input[str]] = field(default_factory=dict)
    period_s: int = 300


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """CloudWatch alarm on a metric, or on an expression over several metrics.

    CloudWatch bills 0.10 USD per month for every metric of an alarm, also for the operands of an expression.
    """

    label: str
    description: str  # text of the notification
    metrics: Sequence[Metric]
    threshold: float
    expression: str | None = None  # metric math over m1, m2 …; None: the single metric
    below: bool = False  # alarm below the threshold instead of above
    periods: int = 1
    datapoints: int = 1  # number of breaching periods that raise the alarm
    # notBreaching: no traffic is no fault. missing: missing data is notified as INSUFFICIENT_DATA.
    missing_data: MissingData = "notBreaching"
    degrades: bool = True  # users are affected; part of the composite alarm


def alarms(watched: Watched, limits: settings.AlarmThresholdSettings) -> list[Alarm]:
    """Return every alarm of a stack; an added agent only extends the end of its group."""
    return [
        *_swarm(watched, limits),
        *_queues(watched, limits),
        *_api(watched, limits),
        *_database(watched, limits),
        *_app(watched, limits),
        *_edge(watched, limits),
    ]


def _swarm(watched: Watched, limits: settings.AlarmThresholdSettings) -> Iterator[Alarm]:
    share = limits.error_rate_percent / 100
    dimensions = {STACK_DIMENSION: watched.stack}
    yield Alarm(
        label="agent-errors",
        description=f"More than {limits.error_rate_percent:g} % of the tasks that agents finished in 5 minutes failed",
        metrics=[Metric(namespace=NAMESPACE, name="CompletionStatus", stat="Average", dimensions=dimensions)],
        threshold=share,
    )
    yield Alarm(
        label="sessions-stuck",
        description=(
            f"A running session has not moved for {limits.stuck_minutes} minutes; no data: the watchdog is dead"
        ),
        # Two rounds of the watchdog, so that a late round does not count as missing data.
        metrics=[
            Metric(namespace=NAMESPACE, name="SessionsStuck", stat="Maximum", dimensions=dimensions, period_s=1200)
        ],
        threshold=0,
        missing_data="missing",
    )
    yield Alarm(
        label="sessions-lost",
        description="A session was ended by the watchdog because its coordinator was lost",
        metrics=[Metric(namespace=NAMESPACE, name="SessionsLost", stat="Sum", dimensions=dimensions)],
        threshold=0,
    )
    yield Alarm(
        label="model-breaker",
        description="An agent's circuit breaker opened: the model API did not answer three calls in a row",
        metrics=[Metric(namespace=NAMESPACE, name="BreakerOpened", stat="Sum", dimensions=dimensions)],
        threshold=0,
    )
    yield Alarm(
        label="unreadable-rows",
        description="A stored part of a session cannot be read: see who may write the sessions table",
        metrics=[Metric(namespace=NAMESPACE, name="UnreadableRows", stat="Sum", dimensions=dimensions)],
        threshold=0,
    )
    yield Alarm(
        label="model-cost",
        description=f"Calls of models cost more than {limits.model_usd_per_day:g} USD in a day, all sessions together",
        metrics=[Metric(namespace=NAMESPACE, name="CostUsd", stat="Sum", dimensions=dimensions, period_s=86_400)],
        threshold=limits.model_usd_per_day,
        degrades=False,
    )
    for number, names in _numbered_groups(watched.services.values(), METRICS_PER_ALARM // 2):
        calls = [_function("Invocations", name) for name in names]
        yield Alarm(
            label=f"function-errors{number}",
            description=(
                f"More than {limits.error_rate_percent:g} % of the calls of {', '.join(watched.services)} failed"
            ),
            metrics=[*(_function("Errors", name) for name in names), *calls],
            expression=_rate(len(names)),
            threshold=limits.error_rate_percent,
        )
    yield Alarm(
        label="throttles",
        description="Lambda turned calls away: the account's concurrency in this region is used up",
        # Without a dimension: the sum over all functions, which share one concurrency pool.
        metrics=[Metric(namespace="AWS/Lambda", name="Throttles", stat="Sum")],
        threshold=0,
        periods=3,
        datapoints=2,
    )


def _queues(watched: Watched, limits: settings.AlarmThresholdSettings) -> Iterator[Alarm]:
    for number, names in _numbered_groups(watched.dead_letter_queues.values()):
        yield Alarm(
            label=f"dead-letters{number}",
            description="A dead-letter queue holds a message: its attribute reason says why; fabric session redrive",
            metrics=[_queue("ApproximateNumberOfMessagesVisible", name) for name in names],
            expression="MAX(METRICS())",
            threshold=0,
            degrades=False,
        )
    for number, names in _numbered_groups(watched.queues.values()):
        yield Alarm(
            label=f"queue-age{number}",
            description=f"The oldest message of a queue has waited for more than {limits.queue_age_s} s",
            metrics=[_queue("ApproximateAgeOfOldestMessage", name) for name in names],
            expression="MAX(METRICS())",
            threshold=limits.queue_age_s,
        )


def _api(watched: Watched, limits: settings.AlarmThresholdSettings) -> Iterator[Alarm]:
    dimensions = {"ApiName": watched.api_name, "Stage": watched.api_stage}
    yield Alarm(
        label="api-5xx",
        description=f"More than {limits.server_error_percent:g} % of the API's answers are errors of ours",
        # The metric is 0 or 1 per request, so the average is the share of errors.
        metrics=[Metric(namespace="AWS/ApiGateway", name="5XXError", stat="Average", dimensions=dimensions)],
        threshold=limits.server_error_percent / 100,
    )
    yield Alarm(
        label="api-latency",
        description=f"One of twenty requests to the API took longer than {limits.latency_p95_ms} ms",
        metrics=[Metric(namespace="AWS/ApiGateway", name="Latency", stat="p95", dimensions=dimensions)],
        threshold=limits.latency_p95_ms,
        periods=3,
        datapoints=3,
    )


def _database(watched: Watched, limits: settings.AlarmThresholdSettings) -> Iterator[Alarm]:
    if watched.database is None:
        return
    dimensions = {"DBInstanceIdentifier": watched.database}

    def metric(name: str, stat: str) -> list[Metric]:
        return [Metric(namespace="AWS/RDS", name=name, stat=stat, dimensions=dimensions)]

    yield Alarm(
        label="database-cpu",
        description=f"The database's processor was above {limits.database_cpu_percent:g} % for a quarter of an hour",
        metrics=metric("CPUUtilization", "Average"),
        threshold=limits.database_cpu_percent,
        periods=3,
        datapoints=3,
        missing_data="breaching",  # RDS reports every minute, so missing data means that the instance is down
    )
    yield Alarm(
        label="database-storage",
        description=f"Less than {limits.database_free_gb:g} GiB are free, and storage no longer grows by itself",
        metrics=metric("FreeStorageSpace", "Minimum"),
        threshold=limits.database_free_gb * GIB,
        below=True,
    )
    yield Alarm(
        label="database-connections",
        description=f"More than {limits.database_connections} connections are open: PostgreSQL will refuse more",
        metrics=metric("DatabaseConnections", "Maximum"),
        threshold=limits.database_connections,
    )
    yield Alarm(
        label="history-delayed",
        description="Records wait for the database or the key registry: see the recorder's log",
        metrics=[
            Metric(namespace=NAMESPACE, name="RecordsDelayed", stat="Sum", dimensions={STACK_DIMENSION: watched.stack})
        ],
        threshold=0,
        periods=4,  # the delay between two tries grows to a quarter of an hour
        datapoints=2,
        degrades=False,  # nothing is lost, and sessions go on
    )
    if watched.replica:
        yield Alarm(
            label="replica-lag",
            description=f"The replica is more than {limits.replica_lag_s} s behind: what a failover now would lose",
            metrics=metric("ReplicaLag", "Maximum"),
            threshold=limits.replica_lag_s,
            periods=3,
            datapoints=3,
            missing_data="breaching",  # a replica without a source reports nothing
        )


def _app(watched: Watched, limits: settings.AlarmThresholdSettings) -> Iterator[Alarm]:
    if watched.app is None:
        return
    front = {"LoadBalancer": watched.app.balancer}

    def metric(name: str, stat: str = "Sum", **more: Input[str]) -> Metric:
        return Metric(namespace="AWS/ApplicationELB", name=name, stat=stat, dimensions={**front, **more})

    yield Alarm(
        label="app-5xx",
        description=f"More than {limits.server_error_percent:g} % of the application's answers are errors of ours",
        metrics=[
            metric("HTTPCode_Target_5XX_Count"),
            metric("HTTPCode_ELB_5XX_Count"),  # errors of the load balancer, without a healthy target
            metric("RequestCount"),
        ],
        expression="100*(FILL(m1,0)+FILL(m2,0))/m3",  # the error metrics have no data without errors
        threshold=limits.server_error_percent,
    )
    yield Alarm(
        label="app-latency",
        description=f"One of twenty requests to the application took longer than {limits.latency_p95_ms} ms",
        metrics=[metric("TargetResponseTime", "p95")],
        threshold=limits.latency_p95_ms / 1000,  # metric in seconds
        periods=3,
        datapoints=3,
    )
    yield Alarm(
        label="app-instances",
        description="An instance of the application has failed its health check for a quarter of an hour",
        metrics=[metric("UnHealthyHostCount", "Maximum", TargetGroup=group) for group in watched.app.targets.values()],
        expression="MAX(METRICS())",
        threshold=0,
        periods=3,
        datapoints=3,
        degrades=False,  # other instances answer; otherwise app-5xx raises the alarm
    )


def _edge(watched: Watched, limits: settings.AlarmThresholdSettings) -> Iterator[Alarm]:
    """Return the alarm on CloudFront's errors, if the stack is in us-east-1.

    CloudFront has metrics in us-east-1 only, and an alarm can only notify topics of its own region.
    """
    if watched.distribution is None or watched.region != GLOBAL_REGION:
        return
    dimensions = {"DistributionId": watched.distribution, "Region": "Global"}
    yield Alarm(
        label="edge-5xx",
        description=f"More than {limits.server_error_percent:g} % of CloudFront's answers are errors of ours",
        metrics=[Metric(namespace="AWS/CloudFront", name="5xxErrorRate", stat="Average", dimensions=dimensions)],
        threshold=limits.server_error_percent,  # metric in per cent
    )


def _numbered_groups(
    names: Iterable[Input[str]], size: int = METRICS_PER_ALARM
) -> Iterator[tuple[str, list[Input[str]]]]:
    """Yield ``names`` in groups of ``size``, each with a suffix for its alarm's name.

    The first suffix is empty, then "-2", "-3" and so on.
    """
    listed = list(names)
    for first in range(0, len(listed), size):
        yield f"-{first // size + 1}" if first else "", listed[first : first + size]


def _rate(functions: int) -> str:
    """Return the expression for errors in per cent of calls: the error metrics m1 …, then as many call metrics."""
    errors = ",".join(f"m{n}" for n in range(1, functions + 1))
    calls = ",".join(f"m{n}" for n in range(functions + 1, 2 * functions + 1))
    return f"100*SUM([{errors}])/SUM([{calls}])"


def _function(metric: str, name: Input[str]) -> Metric:
    return Metric(namespace="AWS/Lambda", name=metric, stat="Sum", dimensions={"FunctionName": name})


def _queue(metric: str, name: Input[str]) -> Metric:
    return Metric(namespace="AWS/SQS", name=metric, stat="Maximum", dimensions={"QueueName": name})
