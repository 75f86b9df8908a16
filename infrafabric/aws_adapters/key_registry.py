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

_BELIEVED_S = 60.0  # a revoked key is believed no longer, and a flood of unknown senders reads no more often


class KeyRegistry:
    """Registry object in S3, read again once a minute: a key that is not in it any more was revoked."""

    def __init__(self, s3: Any, uri: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._s3, self._location, self._clock = s3, split_s3_uri(uri), clock
        self._lock = threading.Lock()
        self._cached: Registry | None = None
        self._read_at = 0.0

    def __call__(self) -> Registry:
        """Return the registry, at most a minute old.

        Raises:
            ClientError, BotoCoreError: the object cannot be read. An older registry is not believed instead.
        """
        with self._lock:
            now = self._clock()
            if self._cached is None or now - self._read_at > _BELIEVED_S:
                bucket, key = self._location
                self._cached = Registry.parse(self._s3.get_object(Bucket=bucket, Key=key)["Body"].read())
                self._read_at = now
            return self._cached


def kms_signer(principal: str, key_arn: str, registry: KeyRegistry) -> KmsSigner:
    """Return the signer of ``principal``, whose public key is in the registry.

    Raises:
        LookupError: the registry has no key for ``principal``; the deployment that adds an agent also writes the
            registry.
    """
    keys = registry().keys_of(principal)
    if not keys:
        raise LookupError(f"{principal} is not in the key registry: deploy the stack again (pulumi up)")
    return KmsSigner(client("kms"), key_id=key_arn, principal=principal, public_key=keys[0].text)
