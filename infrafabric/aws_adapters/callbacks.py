"""Callbacks of durable executions: how an agent answers the coordinator, and how the API wakes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

_CLOSED = frozenset({"CallbackTimeoutException", "ResourceNotFoundException", "InvalidParameterValueException"})


class DurableCallbacks:
    """Completes the coordinator's callbacks. A callback that is closed already (deadline, quorum) is not an error."""

    def __init__(self, lambda_client: Any, on_closed: Callable[[str], None]) -> None:
        """``on_closed`` receives the error code of a callback that is closed or of a heartbeat that got lost."""
        self._lambda, self._on_closed = lambda_client, on_closed

    def succeed(self, callback_id: str, answer: str) -> None:
        """Complete a callback with a signed message."""
        send = self._lambda.send_durable_execution_callback_success
        self._send(send, CallbackId=callback_id, Result=answer.encode())

    def send_heartbeat(self, callback_id: str) -> None:
        """Send a heartbeat. A lost heartbeat is not an error, for the next one follows soon."""
        try:
            self._send(self._lambda.send_durable_execution_callback_heartbeat, CallbackId=callback_id)
        except (ClientError, BotoCoreError) as error:
            self._on_closed(type(error).__name__)

    def _send(self, operation: Callable[..., Any], **request: Any) -> None:
        try:
            operation(**request)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code not in _CLOSED:
                raise
            self._on_closed(code)
