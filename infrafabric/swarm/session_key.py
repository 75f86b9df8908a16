"""Key of a session's data: the session, the region that alone writes the data, and the epoch of the session there.

A global table is eventually consistent, and of two regions that write one item the last writer wins. So every item,
object and row of a session has one writing region, which is part of its key (docs/sessions.md, "Where things are").
"""

from __future__ import annotations

from typing import NamedTuple


class SessionKey(NamedTuple):
    """Key of a session's items, objects and rows."""

    session_id: str
    home: str  # region, such as us-east-1
    epoch: int = 1  # a region that takes a session over begins the next epoch

    @property
    def partition(self) -> str:
        """Partition key of the session's items."""
        return f"{self.session_id}#{self.home}#e{self.epoch}"
