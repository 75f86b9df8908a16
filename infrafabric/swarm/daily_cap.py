"""Daily cap: what an owner's sessions that start on one UTC day may cost in one region.

A session reserves its whole budget when it is created. When it ends, the reservation shrinks to what it spent and what
its unanswered model calls may still cost. Each region counts alone, because replicas of a table lag behind: on the day
of a failover an owner may spend the cap twice.
"""

from __future__ import annotations

import datetime

from infrafabric.swarm.shapes.shape import Shape
from infrafabric.swarm.table_keys import CAP_PARTITION_PREFIX

_DAY_MS = 86_400_000


class CapUse(Shape):
    """What is taken from a daily cap, in nano-USD."""

    total_nusd: int = 0  # never above the cap
    running_nusd: int = 0  # the part that sessions reserve that have not ended

    @property
    def used_nusd(self) -> int:
        """Cost of the sessions that have ended, unanswered model calls at their worst price."""
        return self.total_nusd - self.running_nusd


class OverDailyCapError(Exception):
    """Session whose budget does not fit into what is left of its owner's daily cap."""

    def __init__(self, use: CapUse) -> None:
        super().__init__(f"{use.total_nusd} nano-USD of the daily cap are taken")
        self.use = use


def cap_partition(owner: str, created_ms: int, region: str) -> str:
    """Return the partition of the cap that a session of ``owner`` counts against."""
    day = datetime.datetime.fromtimestamp(created_ms / 1000, datetime.UTC).date().isoformat()
    return f"{CAP_PARTITION_PREFIX}{owner}#{day}#{region}"


def cap_region(partition: str) -> str:
    """Return the region that alone writes a cap."""
    return partition.rpartition("#")[2]


def day_end_ms(now_ms: int) -> int:
    """Return the end of the UTC day, in Unix milliseconds."""
    return now_ms - now_ms % _DAY_MS + _DAY_MS
