"""Keys of the sessions table: partition ``pk``, sort key ``sk``, and the indexes that list sessions."""

from __future__ import annotations

from infrafabric.bus.uris import last_segment

PARTITION_KEY, SORT_KEY = "pk", "sk"
# An item of a session has the session's id as its partition key and one of these sort keys.
SESSION = "SESSION"
TASK_PREFIX = "TASK#"
MESSAGE_PREFIX = "MSG#"
# A session's order and plan have a partition of their own, which agents' roles may not touch.
ORDER_PARTITION_PREFIX = "order#"
ORDER = "ORDER"
PLAN = "PLAN"
# The index over all sessions, newest first, for operators and the watchdog.
INDEX = "by_created"
INDEX_PARTITION_KEY, INDEX_SORT_KEY = "listing", "created"
INDEX_PARTITION = "sessions"
# The index over the sessions of an owner, with the same sort key.
OWNER_INDEX = "by_owner"
OWNER_KEY = "owner"
# What an owner's sessions of one day may cost in one region.
CAP_PARTITION_PREFIX = "cap#"
CAP = "CAP"


def order_partition(session_id: str) -> str:
    """Return the partition of a session's order.

    Only the API may write orders, because the watchdog starts every order.
    """
    return f"{ORDER_PARTITION_PREFIX}{session_id}"


def task_sort_key(task_id: str) -> str:
    """Return the sort key of a task's row."""
    return f"{TASK_PREFIX}{task_id}"


def message_sort_key(message_id: str) -> str:
    """Return the sort key of a message's lease."""
    return f"{MESSAGE_PREFIX}{last_segment(message_id)}"
