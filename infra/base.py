"""What nearly every component builds on."""

from __future__ import annotations

from dataclasses import dataclass

from infra.components.keys import Keys
from infra.components.runtime import Runtime
from infra.components.storage import Storage
from infra.place import Place


@dataclass(frozen=True, kw_only=True)
class Base:
    """Handed down whole, so that a component's Args name only what is particular to it."""

    place: Place
    keys: Keys
    storage: Storage
    runtime: Runtime
    log_retention_days: int
