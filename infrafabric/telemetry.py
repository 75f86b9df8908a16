"""Logs and metrics of the functions: JSON lines, and metrics as EMF in the log, which cost no API call."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, cast

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

NAMESPACE = "InfraFabric/Agents"  # the seed's, section 4.3
STACK_DIMENSION = "Stack"  # two stacks may share an account
TASK_METRICS = {  # of each agent, and of the stack
    "ExecutionTime": MetricUnit.Milliseconds,
    "TokensConsumed": MetricUnit.Count,
    "CompletionStatus": MetricUnit.Count,  # 0 success, 1 failure: its average is the error rate
    "CostUsd": MetricUnit.NoUnit,
}
WATCH_METRICS = {  # of the stack
    "SessionsLive": MetricUnit.Count,
    "SessionsStuck": MetricUnit.Count,
    "SessionsLost": MetricUnit.Count,
    "LongestQuietS": MetricUnit.Seconds,
}
_UNITS = {**TASK_METRICS, **WATCH_METRICS}


class EventLog:
    """Structured logging: an event's name and its fields. Never content, never a secret."""

    def __init__(self, service: str, level: str) -> None:
        # Lambda knows a line's level only beside a time of this form, and takes every other line for INFO (Lambda
        # Developer Guide, "Configuring advanced logging controls").
        self.logger = Logger(service=service, level=level, use_rfc3339=True)

    @property
    def plain(self) -> logging.Logger:
        """For libraries that want the standard library's logger; Powertools' only behaves like one."""
        return cast(logging.Logger, self.logger)

    def info(self, event: str, **fields: Any) -> None:
        self.logger.info(event, extra=fields)

    def warning(self, event: str, **fields: Any) -> None:
        self.logger.warning(event, extra=fields)

    def error(self, event: str, **fields: Any) -> None:
        self.logger.error(event, extra=fields)


def meter(stack: str, **dimensions: str) -> Callable[[Mapping[str, float]], None]:
    """Emits metrics of the stack as a whole, and by these dimensions if any.

    Alarms watch the stack's: one metric, however many agents. The session is no dimension: each value would be a metric
    of its own to pay for.
    """

    def emit(values: Mapping[str, float]) -> None:
        metrics = EphemeralMetrics(namespace=NAMESPACE)  # its own values: agents work side by side
        for name, value in {**dimensions, STACK_DIMENSION: stack}.items():
            metrics.add_dimension(name=name, value=value)
        if dimensions:
            metrics.add_dimensions(**{STACK_DIMENSION: stack})
        for name, value in values.items():
            metrics.add_metric(name=name, unit=_UNITS[name], value=value)
        metrics.flush_metrics()

    return emit
