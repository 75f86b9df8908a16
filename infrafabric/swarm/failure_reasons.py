"""Reasons for which an attempt at a task fails, where the coordinator acts on them."""

from __future__ import annotations

from infrafabric.models import errors

BUDGET = "budget"
DEADLINE = "deadline"
CANCELLED = "cancelled"
SILENT = "silent"  # no believed answer from the agent
LOST = "lost"  # the agent's function died with the task, and what it spent is unknown
BAD_EVIDENCE = "bad-evidence"  # an answer of the right agent whose object does not prove it
CUT_OFF = errors.CutOff.slug
# Another agent would fare no better: the same request has the same answer.
NO_SECOND_AGENT = frozenset(
    error.slug for error in (errors.RefusedToAnswer, errors.TooLarge, errors.BadRequest, errors.OutOfCredit)
)
NOT_NEEDED = "not needed: the quorum was reached"  # still running when enough tasks of its part were done
