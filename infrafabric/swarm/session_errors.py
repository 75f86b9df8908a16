"""Errors of looking up or creating a session."""

from __future__ import annotations

from infrafabric.swarm.shapes.session_item import SessionItem


class SessionExistsError(Exception):
    """Session id that is taken; ``session`` is the existing session's item."""

    def __init__(self, session: SessionItem) -> None:
        super().__init__(f"session {session.session_id} exists")
        self.session = session


class NoOrderError(Exception):
    """Session without an order, not created by the API: no agent may work on such a session."""

    def __init__(self, session_id: str) -> None:
        super().__init__(f"session {session_id} has no order")
        self.session_id = session_id
