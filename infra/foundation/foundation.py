"""Foundation: the components that nearly every other component uses."""

from __future__ import annotations

from dataclasses import dataclass

from infra.foundation.keys import Keys
from infra.foundation.runtime import Runtime
from infra.foundation.storage import Storage
from infra.naming.context import StackContext


@dataclass(frozen=True, kw_only=True)
class Foundation:
    """Context, keys, storage and runtime of a stack, passed as one argument."""

    context: StackContext
    keys: Keys
    storage: Storage
    runtime: Runtime
    log_retention_days: int
