"""How each resource type is metered: one table, filled by the modules beside this file.

To price a type, write a function beside its neighbours and give it its token::

    @meter("aws:kms/key:Key")
    def key(it: Resource, month: Month) -> Iterator[Line]: ...

A type that costs nothing by itself goes into ``FREE``. A type in neither ends an estimate with an error.
"""

from infra.cost.meters import compute, data, front, operations
from infra.cost.meters.free import FREE
from infra.cost.meters.table import HOURLY_METRICS, METERS, Month, lines_of

__all__ = ["FREE", "HOURLY_METRICS", "METERS", "Month", "known", "lines_of"]

_FILLED_BY = (compute, data, front, operations)


def known() -> set[str]:
    """Every type that an estimate can deal with."""
    return {*METERS, *FREE}
