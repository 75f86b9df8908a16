"""Metrics and saved queries over log groups, and an X-Ray group of the stack's traces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi_aws as aws
from pulumi import ComponentResource, Input, Output, ResourceOptions

from infra.naming.context import DataClass, StackContext
from infra.observability.watched import Watched

LOG_GROUPS_PER_QUERY = 50  # CloudWatch Logs Insights quotas
_NEWEST = "| sort @timestamp asc | limit 1000"
# An operator replaces SESSION and t0001 by a session id and a task id.
SAVED_QUERIES = {
    "session": f'fields @timestamp, service, level, message, task_id | filter session_id = "SESSION" {_NEWEST}',
    "task": f'fields @timestamp, service, message, reason, detail | filter task_id = "t0001" {_NEWEST}',
    "refused": (
        'fields @timestamp, @log, reason, detail | filter message in ["message refused", "message is poison"] '
        "| stats count(*) as refused by reason, bin(1h)"
    ),
    "failed": 'filter message = "task failed" | stats count(*) as failed by reason, @log | sort failed desc',
    "errors": 'filter level = "ERROR" | stats count(*) as errors by service, coalesce(errorType, message) '
    "| sort errors desc",
}


@dataclass(frozen=True, kw_only=True)
class LogMetricsArgs:
    context: StackContext
    watched: Watched


class LogMetrics(ComponentResource):
    """Error metrics of the log groups, saved Logs Insights queries, and an X-Ray group."""

    def __init__(self, name: str, args: LogMetricsArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:operations:Queries", name, opts=opts)
        self._name, self._args = name, args
        for component, groups in args.watched.logs.items():
            for number, group in enumerate(groups, start=1):
                self._count_errors(component, f"{component}-{number}", group)
        groups = [group for groups in args.watched.logs.values() for group in groups]
        for first in range(0, len(groups), LOG_GROUPS_PER_QUERY):
            suffix = f"-{first // LOG_GROUPS_PER_QUERY + 1}" if first else ""
            self._saved_queries(suffix, groups[first : first + LOG_GROUPS_PER_QUERY])
        self._trace_group()
        self.register_outputs({})

    def _count_errors(self, component: str, label: str, group: Input[str]) -> None:
        """Declare a metric of the error lines in one log group.

        The metric costs nothing until the first error. All agents share one metric, which adds up.
        """
        aws.cloudwatch.LogMetricFilter(
            f"{self._name}-errors-{label}",
            name=self._args.context.physical_name("errors"),
            log_group_name=group,
            pattern='{ $.level = "ERROR" }',
            metric_transformation={
                "namespace": f"InfraFabric/Logs/{self._args.context.stack}",
                "name": f"Errors-{component}",
                "value": "1",
                "unit": "Count",
            },
            opts=ResourceOptions(parent=self),
        )

    def _saved_queries(self, suffix: str, groups: Sequence[Input[str]]) -> None:
        for question, text in SAVED_QUERIES.items():
            aws.cloudwatch.QueryDefinition(
                f"{self._name}-{question}{suffix}",
                name=f"{self._args.context.physical_name(question)}{suffix}",
                query_string=text,
                log_group_names=groups,
                opts=ResourceOptions(parent=self),
            )

    def _trace_group(self) -> None:
        context, services = self._args.context, self._args.watched.services
        aws.xray.Group(
            f"{self._name}-traces",
            group_name=f"if-{context.stack}",  # X-Ray's limit is 32 characters
            filter_expression=Output.all(*(services[component] for component in ("api", "coordinator"))).apply(
                _service_filter
            ),
            insights_configuration={"insights_enabled": False, "notifications_enabled": False},
            tags=context.tags("observability", DataClass.INTERNAL, "sessions"),
            opts=ResourceOptions(parent=self),
        )


def _service_filter(names: Sequence[str]) -> str:
    return " OR ".join(f'service("{name}")' for name in names)
