"""Key registry in S3: a cache of the trusted public keys."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from infrafabric.aws_adapters.objects import split_s3_uri
from infrafabric.bus.registry import BadRegistry, Registry, RegistryUnavailableError

TRUSTED_S = 60.0  # a revoked key is trusted no longer, and a flood of unknown senders causes no more reads
# A read that fails takes a minute and more with its retries. The messages of a batch share one failure: in sequence,
# their reads would outlast the invocation, and SQS would count a receive of each.
_FAILED_S = 5.0


@dataclass(frozen=True)
class _Copy:
    """Copy of the registry. ``age_s`` is how long the object existed when it was read at ``read_at``."""

    registry: Registry
    age_s: float
    read_at: float


class KeyRegistry:
    """Registry object in S3, read again after a minute: a key that is not in it any more was revoked."""

    def __init__(self, s3: Any, uri: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._s3, self._uri, self._clock = s3, uri, clock
        self._lock = threading.Lock()
        self._copy: _Copy | None = None
        self._failure: RegistryUnavailableError | None = None
        self._failed_at = 0.0

    def __call__(self) -> Registry:
        """Return the registry, at most a minute old.

        Raises:
            RegistryUnavailableError: the registry cannot be read. An older copy is not trusted instead.
        """
        return self._fresh_copy().registry

    def last_read(self) -> tuple[Registry, float]:
        """Return the registry and how many seconds ago it was written, from an older copy if S3 cannot be read.

        For signers: an old copy trusts nobody, since the readers of a message verify it with copies of their own.

        Raises:
            RegistryUnavailableError: the registry cannot be read, and never was.
        """
        try:
            copy = self._fresh_copy()
        except RegistryUnavailableError:
            if self._copy is None:
                raise
            copy = self._copy
        return copy.registry, copy.age_s + self._clock() - copy.read_at

    def _fresh_copy(self) -> _Copy:
        with self._lock:
            now = self._clock()
            if self._copy is not None and now - self._copy.read_at <= TRUSTED_S:
                return self._copy
            if self._failure is not None and now - self._failed_at <= _FAILED_S:
                raise RegistryUnavailableError(str(self._failure))
            try:
                self._copy = self._read(now)
            except (BotoCoreError, ClientError, BadRegistry) as error:
                self._failure = RegistryUnavailableError(f"{self._uri} cannot be read: {error}")
                self._failed_at = self._clock()
                raise self._failure from error
            return self._copy

    def _read(self, now: float) -> _Copy:
        bucket, key = split_s3_uri(self._uri)
        response = self._s3.get_object(Bucket=bucket, Key=key)
        return _Copy(Registry.parse(response["Body"].read()), _age_s(response), now)


def _age_s(response: Mapping[str, Any]) -> float:
    """Return the age of an object by S3's own clock, which wrote both times; 0 if the response has no readable date."""
    date = response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
    try:
        # Cut to the length of an IMF-fixdate (RFC 9110 5.6.7), because a server behind another one may add a second.
        return (parsedate_to_datetime(date[:29]) - response["LastModified"]).total_seconds()
    except ValueError:
        return 0.0
