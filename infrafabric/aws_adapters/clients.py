"""boto3 clients with the timeouts and retries of this platform."""

from __future__ import annotations

from typing import Any

import boto3
from botocore.config import Config

# Short timeouts and standard retries: a function has minutes, and its callers have a deadline.
_RETRIES: Any = {"max_attempts": 4, "mode": "standard"}
# botocore would check the types of every request: 7 % of an agent's time per message. Typed code makes our requests,
# and the services check them anyway.
_CONFIG = Config(
    retries=_RETRIES, connect_timeout=5, read_timeout=20, max_pool_connections=32, parameter_validation=False
)
# Route 53 waits two seconds for a response: one attempt, and no second wait for a name or a connection.
_HEALTH_CONFIG = Config(
    retries={"total_max_attempts": 1}, connect_timeout=0.8, read_timeout=0.8, parameter_validation=False
)


def client(service: str) -> Any:
    """Return a boto3 client with short timeouts and standard retries."""
    return boto3.client(service, config=_CONFIG)


def health_client(service: str) -> Any:
    """Return a boto3 client that answers or fails within two seconds, for health checks."""
    return boto3.client(service, config=_HEALTH_CONFIG)
