"""Lost sessions: sessions past their deadline whose coordinator ended without an outcome."""

from __future__ import annotations

from collections.abc import Callable

from infrafabric.swarm.deps import LostSessionStore
from infrafabric.swarm.quorum import outcome
from infrafabric.swarm.session_errors import NoOrderError
from infrafabric.swarm.shapes.order import Order
from infrafabric.swarm.shapes.session_item import SessionItem
from infrafabric.swarm.status import SessionStatus

LOST_AFTER_MS = 300_000  # past the deadline, a session that is still live has lost its coordinator
LOST_REASON = "the coordinator was lost: no report by the deadline"


def is_lost(session: SessionItem, *, now_ms: int) -> bool:
    """Tell whether a session is lost."""
    return not session.status.final and now_ms > session.deadline_ms + LOST_AFTER_MS


def lost_outcome(session: SessionItem) -> SessionStatus:
    """Return the final status of a lost session: the outcome of the done tasks."""
    return outcome(session.tasks_done, session.tasks_total, session.quorum)


def end_lost(session: SessionItem, store: LostSessionStore) -> None:
    """End a lost session."""
    store.end(session.session_id, lost_outcome(session), reason=LOST_REASON)


def give_up_lost(session: SessionItem, store: LostSessionStore, wrap_up: Callable[[Order], str]) -> bool:
    """End a lost session, and start a second execution that reports on the tasks.

    Returns:
        False if the session has no order: the API did not create it, so there is nothing to report on.

    Raises:
        BadShapeError: this release cannot read the order; the session stays as it is.
    """
    try:
        order = store.order(session.session_id)
    except NoOrderError:
        order = None
    if order is not None:
        wrap_up(order)  # first: if this fails, the session still counts as live and the next caller retries
    end_lost(session, store)
    return order is not None
