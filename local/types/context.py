"""Connection to the emulator: its endpoint, Region and account, and boto3 clients for them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

# Errors of a resource type's methods: the emulator refused the call, or an input that the call needs is missing.
EMULATOR_ERRORS = (ClientError, BotoCoreError, RuntimeError, KeyError)


class CreationFailedError(Exception):
    """Refusal of a resource by the emulator. The message has the type, the logical name and the service's error."""


@dataclass(frozen=True)
class EmulatorContext:
    """Addresses and ports of this machine that the Pulumi program does not know."""

    endpoint_url: str
    region: str
    account_id: str
    work: Path  # folder for zip archives on their way to the emulator
    database_port: int
    on_database: Callable[[str, str, str], None]  # called with name, user and password of an RDS instance's database
    _clients: dict[tuple[str, str], Any] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def client(self, service: str, region: str | None = None) -> Any:
        """Return a boto3 client of the emulator with the account's root credentials.

        There is one client per service and Region; threads may share a client.
        """
        key = (service, region or self.region)
        with self._lock:  # boto3's default session is not thread-safe while it creates a client
            if key not in self._clients:
                self._clients[key] = boto3.client(
                    key[0],
                    region_name=key[1],
                    endpoint_url=self.endpoint_url,
                    aws_access_key_id="test",
                    aws_secret_access_key="test",  # noqa: S106  root of the emulator
                    config=Config(retries={"max_attempts": 1}, max_pool_connections=20, read_timeout=120),
                )
            return self._clients[key]
