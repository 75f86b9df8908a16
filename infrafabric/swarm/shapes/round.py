"""Part of a round: attempts that one durable execution runs at the same time, and what came of them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from infrafabric.swarm.session_key import SessionKey
from infrafabric.swarm.shapes.attempt import Attempt
from infrafabric.swarm.shapes.result import TaskResult
from infrafabric.swarm.shapes.session_item import KEEP_S
from infrafabric.swarm.shapes.shape import Shape
from infrafabric.swarm.table_keys import PARTITION_KEY, SORT_KEY, round_sort_key


class RoundPart(Shape):
    """Written before a request of it is sent, so that a second execution knows what may have been spent."""

    number: int  # of the round, from 0
    part: int  # from 0
    attempts: Annotated[tuple[Attempt, ...], Field(strict=False)]
    wake_id: str = ""  # callback that ends the waiting early, for a cancelled session
    settled: bool = False
    results: Annotated[tuple[TaskResult, ...], Field(strict=False)] = ()  # of attempts with a believed answer
    disbelieved: Annotated[tuple[str, ...], Field(strict=False)] = ()  # message ids of requests with a false answer
    findings_key: str = ""  # object with the findings of believed results; "" without any

    def as_item(self, key: SessionKey, *, now_ms: int) -> dict[str, Any]:
        """Return the stored item, keys included."""
        return {
            **self.write(),
            PARTITION_KEY: key.partition,
            SORT_KEY: round_sort_key(self.number, self.part),
            "at_ms": now_ms,
            "expires_at": now_ms // 1000 + KEEP_S,
        }

    def unanswered(self) -> list[Attempt]:
        """Return the attempts without a believed answer: they may have spent their allowances."""
        answered = {result.name for result in self.results}
        return [attempt for attempt in self.attempts if attempt.name not in answered]

    def open_attempts(self) -> list[Attempt]:
        """Return the attempts that may still be answered."""
        return [attempt for attempt in self.unanswered() if attempt.message_id not in self.disbelieved]
