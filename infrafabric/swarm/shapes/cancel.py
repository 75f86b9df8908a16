"""Cancel: content of the message with which the coordinator takes requests back."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from infrafabric.swarm.shapes.shape import Shape


class Cancel(Shape):
    """Requests of a session that need no answer any more."""

    session_id: str
    home: str
    epoch: int
    requests: Annotated[tuple[str, ...], Field(strict=False)]  # message ids
