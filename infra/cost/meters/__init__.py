"""Meters: one function per resource type that yields the type's cost lines; the modules of this folder fill one table.

To price a type, write a function next to similar types, and register its token::

    @meter("aws:kms/key:Key")
    def key(resource: Resource, month: Month) -> Iterator[Line]: ...

Add a type without cost of its own to ``FREE``. An estimate raises an error for a type in neither table.
"""

from infra.cost.meters import compute, data, front, operations
from infra.cost.meters.free import FREE
from infra.cost.meters.table import HOURLY_METRICS, METERS, Month, lines_of

__all__ = ["FREE", "HOURLY_METRICS", "METERS", "Month", "known", "lines_of"]

_FILLED_BY = (compute, data, front, operations)


def known() -> set[str]:
    """Return every type that is metered or free."""
    return {*METERS, *FREE}
