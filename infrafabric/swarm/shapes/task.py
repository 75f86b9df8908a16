"""Task: content of the request that the coordinator sends to an agent."""

from __future__ import annotations

from infrafabric.swarm.limits import MAX_TOKENS
from infrafabric.swarm.session_key import SessionKey
from infrafabric.swarm.shapes.shape import Shape


class Task(Shape):
    """Task with the callback for the answer."""

    session_id: str
    home: str  # with epoch: which data of the session the answer belongs to (session_key.py)
    epoch: int
    task_id: str
    attempt: int
    text: str
    goal: str  # "" if the session has explicit tasks
    callback_id: str
    allowance_nusd: int  # the most that this attempt may spend
    max_tokens: int = MAX_TOKENS  # of the answer
    place: str  # S3 key under which the agent stores the result

    @property
    def key(self) -> SessionKey:
        return SessionKey(self.session_id, self.home, self.epoch)
