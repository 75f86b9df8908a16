"""Logs and metrics of the functions: JSON lines, and metrics in EMF format in the log, which cost no API call."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Protocol, cast

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from infrafabric.printable import printable

NAMESPACE = "InfraFabric/Agents"  # docs/origin.md, section 4.3
STACK_DIMENSION = "Stack"  # two stacks may share an account
TASK_METRICS = {  # per agent, and per stack
    "ExecutionTime": MetricUnit.Milliseconds,
    "TokensConsumed": MetricUnit.Count,
    "CompletionStatus": MetricUnit.Count,  # 0 success, 1 failure: the average is the error rate
    "CostUsd": MetricUnit.NoUnit,
}
WATCH_METRICS = {  # per stack
    "SessionsLive": MetricUnit.Count,
    "SessionsStuck": MetricUnit.Count,
    "SessionsLost": MetricUnit.Count,
    "LongestQuietS": MetricUnit.Seconds,
}
FAULT_METRICS = {  # per stack; without data while there is no fault
    "UnreadableRows": MetricUnit.Count,
    "RecordsDelayed": MetricUnit.Count,
    "BreakerOpened": MetricUnit.Count,
}
_UNITS = {**TASK_METRICS, **WATCH_METRICS, **FAULT_METRICS}


class EventLog:
    """Structured log: the name of an event and its fields, without control characters; never content or secrets."""

    def __init__(self, service: str, level: str) -> None:
        # Lambda reads a line's level only beside a timestamp of this form, and treats every other line as INFO (Lambda
        # Developer Guide, "Configuring advanced logging controls").
        self.logger = Logger(service=service, level=level, use_rfc3339=True)

    @property
    def plain(self) -> logging.Logger:
        """Logger for libraries that require the standard library's type; Powertools' logger only behaves like it."""
        return cast(logging.Logger, self.logger)

    def info(self, event: str, **fields: Any) -> None:
        """Log an event at level INFO."""
        self.logger.info(event, extra=_printable(fields))

    def warning(self, event: str, **fields: Any) -> None:
        """Log an event at level WARNING."""
        self.logger.warning(event, extra=_printable(fields))

    def error(self, event: str, **fields: Any) -> None:
        """Log an event at level ERROR."""
        self.logger.error(event, extra=_printable(fields))


def _printable(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: printable(value) if isinstance(value, str) else value for name, value in fields.items()}


class Measure(Protocol):
    """Emits metrics in one line of the log."""

    def __call__(self, values: Mapping[str, float], **properties: str | float) -> None:
        """Emit metrics. Properties are fields of the line, for searches; they cost no metric."""
        ...


def meter(stack: str, **dimensions: str) -> Measure:
    """Return a function that emits metrics per stack, and also per these dimensions.

    Alarms use the metric per stack: one metric for any number of agents. The session is not a dimension, because each
    value would be billed as a metric of its own.
    """

    def emit(values: Mapping[str, float], **properties: str | float) -> None:
        metrics = EphemeralMetrics(
            namespace=NAMESPACE
        )  # a new object per emission: messages are processed concurrently
        for name, value in {**dimensions, STACK_DIMENSION: stack}.items():
            metrics.add_dimension(name=name, value=value)
        if dimensions:
            metrics.add_dimensions(**{STACK_DIMENSION: stack})
        for name, value in values.items():
            metrics.add_metric(name=name, unit=_UNITS[name], value=value)
        for name, value in _printable(properties).items():
            metrics.add_metadata(key=name, value=value)
        metrics.flush_metrics()

    return emit
