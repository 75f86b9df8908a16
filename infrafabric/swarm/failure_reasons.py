"""Reasons for which an attempt at a task fails, where the coordinator acts on them."""

from __future__ import annotations

BUDGET = "budget"
DEADLINE = "deadline"
CANCELLED = "cancelled"
THROTTLED = "throttled"
SILENT = "silent"  # no believed answer from the agent
LOST = "lost"  # the agent's function died with the task, and what it spent is unknown
BAD_EVIDENCE = "bad-evidence"  # an answer of the right agent whose object does not prove it
NOT_NEEDED = "not needed: the quorum was reached"  # still running when enough tasks of its part were done
