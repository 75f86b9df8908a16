"""Assumed monthly traffic of a stack, in the units of sections 4.1 and 8.6 of the analysis (docs/origin.md)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import inf

from infra.cost.prices import HOURS


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """Monthly traffic of a stack."""

    sessions: int
    tasks_a_session: int  # one agent per task
    task_s: float  # run time of an agent's function per task, mostly waiting for the model
    api_requests: int
    stored_gb: float  # in all buckets with data
    s3_puts: int
    s3_gets: int
    logs_gb: float  # of functions and databases
    edge_gb: float  # transferred out of CloudFront
    edge_requests: int
    dns_queries: int
    table_gb: float

    @property
    def tasks(self) -> int:
        return self.sessions * self.tasks_a_session

    @property
    def working_hours(self) -> float:
        """Upper bound of the clock hours in which a session runs: two per session.

        A session takes less than an hour, because its tasks run concurrently, but seldom starts at the full hour.
        """
        return min(HOURS, self.sessions * 2)


# AWS requests per task, counted on the emulator (make bench).
SIGNATURES_PER_TASK = 2
# Write units of the sessions table: a round's item twice, with the results of up to fifty attempts, and the session's
# item before each round and every two seconds.
ROUND_WRITES_PER_TASK = 1
SESSION_WRITES_PER_TASK = 0.2
LEASE_WRITES_PER_TASK = 1
TABLE_READS_PER_TASK = 1
PUBLISHES_PER_TASK = 1
QUEUE_REQUESTS_PER_TASK = 4
DURABLE_OPERATIONS_PER_TASK = 6

PROD = Traffic(
    sessions=50,
    tasks_a_session=10,
    task_s=300,
    api_requests=1_000_000,
    stored_gb=1_000,
    s3_puts=10_000_000,
    s3_gets=1_000_000,
    logs_gb=20,
    edge_gb=500,
    edge_requests=5_000_000,
    dns_queries=1_000_000,
    table_gb=1,
)
DEV = Traffic(
    sessions=10,
    tasks_a_session=10,
    task_s=300,
    api_requests=100_000,
    stored_gb=100,
    s3_puts=100_000,
    s3_gets=100_000,
    logs_gb=2,
    edge_gb=0,
    edge_requests=0,
    dns_queries=0,
    table_gb=0.1,
)
# A standby is idle: its traffic is health checks and its own housekeeping.
STANDBY = Traffic(
    sessions=0,
    tasks_a_session=0,
    task_s=0,
    # Route 53 sends a request every two to three seconds (Developer Guide, "Values that you specify when you create or
    # update health checks").
    api_requests=1_050_000,
    stored_gb=0,
    s3_puts=1_000,
    s3_gets=1_000,
    logs_gb=1,
    edge_gb=0,
    edge_requests=0,
    dns_queries=0,
    table_gb=0,
)
TRAFFIC = {"dev": DEV, "prod": PROD, "prod-secondary": STANDBY}


class BadAssumptionError(Exception):
    """Text after ``--assume`` that is not NAME=NUMBER."""


def traffic_of(stack: str, otherwise: Iterable[str] = ()) -> Traffic:
    """Return the monthly traffic of ``stack``; a stack without an entry has prod's traffic.

    Args:
        otherwise: changed assumptions, such as ``sessions=500``.

    Raises:
        BadAssumptionError: a text is not NAME=NUMBER, or the number is negative or not finite.
    """
    changed: dict[str, float] = {}
    for text in otherwise:
        name, equals, value = text.partition("=")
        if not equals or name not in Traffic.__dataclass_fields__:
            known = ", ".join(sorted(Traffic.__dataclass_fields__))
            raise BadAssumptionError(f"--assume {text}: must be NAME=NUMBER, where NAME is one of {known}")
        try:
            number = float(value)
        except ValueError:
            number = -1.0
        if not 0 <= number < inf:
            raise BadAssumptionError(f"--assume {text}: {value!r} must be a number, 0 or more")
        changed[name] = number
    return replace(TRAFFIC.get(stack, PROD), **changed)  # pyright: ignore[reportArgumentType]  counts may be fractions
