"""Key registry in S3: a cache of the trusted public keys, and the signer whose key is among them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from infrafabric.aws_adapters.clients import client
from infrafabric.aws_adapters.objects import split_s3_uri
from infrafabric.bus.registry import Registry
from infrafabric.bus.signing import KmsSigner

_REFRESH_S = 60.0  # shortest time between two reads for an unknown sender or a key that differs


class KeyRegistry:
    """Registry object in S3, read once and cached; read again for an unknown sender or a new key."""

    def __init__(self, s3: Any, uri: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._s3, self._location, self._clock = s3, split_s3_uri(uri), clock
        self._lock = threading.Lock()
        self._cached: Registry | None = None
        self._read_at = 0.0

    def __call__(self, sender: str, stated_key: str = "") -> Registry:
        """Return a registry that is fresh enough to look up ``sender``.

        Args:
            stated_key: public key that the sender's message states. If the cached key differs, the sender may have a
                new one.
        """
        with self._lock:
            trusted = self._cached and self._cached.key_of(sender)
            stale = trusted is None or (stated_key and trusted.text != stated_key)
            if self._cached is None or (stale and self._clock() - self._read_at > _REFRESH_S):
                bucket, key = self._location
                self._cached = Registry.parse(self._s3.get_object(Bucket=bucket, Key=key)["Body"].read())
                self._read_at = self._clock()
            return self._cached


def kms_signer(principal: str, key_arn: str, registry: KeyRegistry) -> KmsSigner:
    """Return the signer of ``principal``, whose public key is in the registry.

    Raises:
        LookupError: the registry has no key for ``principal``; the deployment that adds an agent also writes the
            registry.
    """
    key = registry(principal).key_of(principal)
    if key is None:
        raise LookupError(f"{principal} is not in the key registry: deploy the stack again (pulumi up)")
    return KmsSigner(client("kms"), key_id=key_arn, principal=principal, public_key=key.text)
