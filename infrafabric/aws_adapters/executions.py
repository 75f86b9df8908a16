"""Durable executions of the coordinator: starting, resuming and inspecting them. Starts are idempotent by name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from infrafabric.aws_adapters.callbacks import DurableCallbacks
from infrafabric.swarm.session_key import SessionKey
from infrafabric.swarm.shapes.coordinator_event import CoordinatorEvent, ExecutionMode
from infrafabric.swarm.shapes.order import Order

# Lambda API Reference, GetDurableExecution. A paused execution goes on, so a second one beside it would pay twice.
_ENDED = frozenset({"SUCCEEDED", "FAILED", "TIMED_OUT", "STOPPED"})


@dataclass(frozen=True)
class CoordinatorExecutions:
    """Executions of a coordinator, given by the ARN of the alias. Each start returns the execution's ARN.

    A repeated start finds the execution by name and starts no second execution (idempotency). Lambda refuses a repeat
    with another payload (Lambda Developer Guide, "Idempotency"), so a release writes the payloads of the one before.
    """

    lambda_client: Any
    coordinator_arn: str

    def start(self, order: Order) -> str:
        """Start a session's coordinator."""
        return self._start(order, ExecutionMode.START)

    def resume(self, order: Order) -> str:
        """Start a second execution for the unfinished tasks, after the first execution has ended."""
        return self._start(order, ExecutionMode.RESUME)

    def wrap_up(self, order: Order) -> str:
        """Start a second execution that only ends, reports and archives a session whose coordinator was lost."""
        return self._start(order, ExecutionMode.WRAP_UP)

    def has_ended(self, execution_arn: str) -> bool:
        """Tell whether an execution has ended, with any outcome, or does not exist any more."""
        try:
            execution = self.lambda_client.get_durable_execution(DurableExecutionArn=execution_arn)
        except self.lambda_client.exceptions.ResourceNotFoundException:
            return True
        return execution["Status"] in _ENDED

    def wake(self, callback_ids: Sequence[str]) -> None:
        """End the waiting of executions early. A callback that is closed already is not an error."""
        callbacks = DurableCallbacks(self.lambda_client, on_closed=lambda _code: None)
        for callback_id in callback_ids:
            callbacks.succeed(callback_id, "cancelled")

    def _start(self, order: Order, mode: ExecutionMode) -> str:
        event = CoordinatorEvent(order=order, mode=mode).as_event()
        response = self.lambda_client.invoke(
            FunctionName=self.coordinator_arn,
            InvocationType="Event",
            DurableExecutionName=execution_name(self.coordinator_arn, order.key, mode),
            Payload=json.dumps(event, ensure_ascii=False).encode(),  # escapes could triple the size
        )
        return response["DurableExecutionArn"]


def execution_name(coordinator_arn: str, key: SessionKey, mode: ExecutionMode = ExecutionMode.START) -> str:
    """Return the name of a session's execution, at most 64 characters.

    A name is unique per account and region, not only per function (Lambda Developer Guide, "Execution names"): without
    the function's ARN in the name, a session of dev could keep a session of prod from starting.
    """
    purpose = "" if mode is ExecutionMode.START else mode.value
    digest = hashlib.sha256(f"{coordinator_arn} {purpose} {key.partition}".encode()).hexdigest()
    return f"{key.session_id[:40].replace('.', '_')}_{digest[:20]}"  # a name has no dots
