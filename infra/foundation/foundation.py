"""What nearly every component builds on."""

from __future__ import annotations

from dataclasses import dataclass

from infra.foundation.keys import Keys
from infra.foundation.runtime import Runtime
from infra.foundation.storage import Storage
from infra.naming.context import StackContext


@dataclass(frozen=True, kw_only=True)
class Foundation:
    """Handed down whole, so that a component's Args name only what is particular to it."""

    context: StackContext
    keys: Keys
    storage: Storage
    runtime: Runtime
    log_retention_days: int
