"""Lost sessions: sessions past their deadline whose coordinator ended without an outcome."""

from __future__ import annotations

from infrafabric.swarm.quorum import outcome
from infrafabric.swarm.shapes.session_item import SessionItem
from infrafabric.swarm.status import SessionStatus

LOST_AFTER_MS = 300_000  # past the deadline, a session that is still live has lost its coordinator
LOST_REASON = "the coordinator was lost: no report by the deadline"


def is_lost(session: SessionItem, *, now_ms: int) -> bool:
    """Tell whether a session is lost."""
    return not session.status.final and now_ms > session.deadline_ms + LOST_AFTER_MS


def lost_outcome(session: SessionItem) -> SessionStatus:
    """Return the final status of a lost session: the outcome of the done tasks."""
    if session.cancelled_ms is not None:
        return SessionStatus.CANCELLED
    return outcome(session.tasks_done, session.tasks_total, session.quorum)


def as_lost(session: SessionItem, *, now_ms: int) -> SessionItem:
    """Return a lost session as it ends if its second execution cannot report either: with the numbers of its item."""
    return session.model_copy(
        update={"status": lost_outcome(session), "reason": LOST_REASON, "ended_ms": now_ms, "progress": {}}
    )
