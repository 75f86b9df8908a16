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


def client(service: str) -> Any:
    """Return a boto3 client with short timeouts and standard retries."""
    return boto3.client(service, config=_CONFIG)
