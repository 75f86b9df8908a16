"""Reasons for which an attempt at a task fails, where the coordinator acts on them."""

from __future__ import annotations

BUDGET = "budget"
DEADLINE = "deadline"
CANCELLED = "cancelled"
THROTTLED = "throttled"
SILENT = "silent"  # no heartbeat from the agent
BAD_EVIDENCE = "bad-evidence"  # a row claims a done task, and its object does not prove it
# Another agent would fail for the same reason.
NOT_REASSIGNED = frozenset({BUDGET, DEADLINE, CANCELLED})
