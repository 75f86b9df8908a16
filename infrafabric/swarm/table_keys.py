"""Keys of the sessions table: partition ``pk``, sort key ``sk``, and the indexes that list sessions."""

from __future__ import annotations

PARTITION_KEY, SORT_KEY = "pk", "sk"
# An item of a session has the session's key (session_key.py) as its partition and one of these sort keys.
SESSION = "SESSION"
ORDER = "ORDER"
PLAN = "PLAN"
CALL_PREFIX = "CALL#"
ROUND_PREFIX = "ROUND#"
# The index over a region's sessions, newest first, for operators and the watchdog.
INDEX = "by_created"
INDEX_PARTITION_KEY, INDEX_SORT_KEY = "listing", "created"
# The index over the sessions of an owner in all regions, with the same sort key.
OWNER_INDEX = "by_owner"
OWNER_KEY = "owner"
# What an owner's sessions of one day may cost in one region.
CAP_PARTITION_PREFIX = "cap#"
CAP = "CAP"


def index_partition(home: str) -> str:
    """Return the index's partition of a region's sessions."""
    return f"sessions#{home}"


def call_sort_key(name: str, number: int) -> str:
    """Return the sort key of one of the coordinator's model calls."""
    return f"{CALL_PREFIX}{name}#{number:04}"


def round_sort_key(number: int, part: int) -> str:
    """Return the sort key of one part of a round."""
    return f"{ROUND_PREFIX}{number:04}#{part:04}"
