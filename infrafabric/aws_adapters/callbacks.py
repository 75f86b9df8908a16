"""Callbacks of durable executions: how an agent answers the coordinator."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

_CLOSED = frozenset({"CallbackTimeoutException", "ResourceNotFoundException", "InvalidParameterValueException"})


class DurableCallbacks:
    """Completes the coordinator's callbacks. A callback that is closed already (deadline, quorum) is not an error."""

    def __init__(self, lambda_client: Any, on_closed: Callable[[str], None]) -> None:
        """``on_closed`` receives the error code of a callback that is closed or of a heartbeat that got lost."""
        self._lambda, self._on_closed = lambda_client, on_closed

    def succeed(self, callback_id: str, result: Mapping[str, Any]) -> None:
        """Complete a callback with a task's result."""
        body = json.dumps(result).encode()
        self._send(self._lambda.send_durable_execution_callback_success, CallbackId=callback_id, Result=body)

    def fail(self, callback_id: str, reason: str, detail: str) -> None:
        """Complete a callback with a failure; ``reason`` is a slug, ``detail`` a line, cut to 1,000 characters."""
        error = {"ErrorMessage": reason, "ErrorType": reason, "ErrorData": detail[:1000]}
        self._send(self._lambda.send_durable_execution_callback_failure, CallbackId=callback_id, Error=error)

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
