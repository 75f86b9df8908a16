"""Task board: what is done, what is still to be tried, and by which agent. Plain state, the same in every replay."""

from __future__ import annotations

import hashlib
import hmac
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from infrafabric.bus.uris import message_uri
from infrafabric.swarm.assignment import TASKS_PER_EXECUTION, agent_for, task_id
from infrafabric.swarm.failure_reasons import CUT_OFF, NO_SECOND_AGENT, NOT_NEEDED
from infrafabric.swarm.limits import MOST_TOKENS
from infrafabric.swarm.session_key import SessionKey
from infrafabric.swarm.shapes.attempt import Attempt

PART_BYTES = 150_000  # of a part's texts as JSON: a checkpoint holds 256 KB


@dataclass
class TaskState:
    """State of one task."""

    tries: int = 0  # attempts by all executions
    own_tries: int = 0  # attempts by this execution
    done: bool = False
    reason: str = ""  # of the latest attempt that failed or was not answered
    late: bool = False  # not answered by the deadline of the tasks
    cut_offs: int = 0  # answers that did not fit, by this execution


@dataclass
class TaskBoard:
    """State of a session's tasks."""

    texts: Sequence[str]
    agents: int
    most_tries: int  # by one execution
    first_number: int = 0  # number of this execution's first attempt at a task
    states: list[TaskState] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.states:
            self.states = [TaskState() for _ in self.texts]

    @property
    def done(self) -> int:
        return sum(state.done for state in self.states)

    @property
    def failed(self) -> int:
        """Tasks that are not done, and not tried again."""
        given_up = (state for state in self.states if not state.done and not self._may_try(state))
        return sum(state.reason != NOT_NEEDED for state in given_up)

    def open(self) -> list[int]:
        """Return the tasks that may be tried (again), fewest tries first."""
        indexes = [index for index, state in enumerate(self.states) if self._may_try(state)]
        return sorted(indexes, key=lambda index: self.states[index].own_tries)

    def tokens_of_next(self, index: int, max_tokens: int) -> int:
        """Return the longest answer of a task's next attempt: twice ``max_tokens`` after a cut-off."""
        return min(MOST_TOKENS, 2 * max_tokens) if self.states[index].cut_offs else max_tokens

    def next_attempt(
        self, index: int, allowance_nusd: int, key: SessionKey, secret: str, *, max_tokens: int
    ) -> Attempt:
        """Return the next attempt at a task."""
        state = self.states[index]
        number = self.first_number + state.own_tries
        return Attempt(
            index=index,
            number=number,
            agent=agent_for(index, state.tries, self.agents),
            allowance_nusd=allowance_nusd,
            max_tokens=max_tokens,
            message_id=message_id_of(secret, key, task_id(index), number),
        )

    def agent_of_next(self, index: int) -> str:
        """Return the agent that the next attempt at a task goes to."""
        return agent_for(index, self.states[index].tries, self.agents)

    def tried(self, index: int) -> None:
        """Note that an attempt at a task was sent."""
        self.states[index].tries += 1
        self.states[index].own_tries += 1

    def ended(self, index: int, *, done: bool, reason: str = "", late: bool = False) -> None:
        """Note the end of an attempt; a task that was done stays done.

        An agent may claim any reason for a failure, also one of those that keep a task from another agent. It could
        as well have answered anything.
        """
        state = self.states[index]
        state.cut_offs += reason == CUT_OFF
        state.late = late
        state.done = state.done or done
        state.reason = "" if state.done else reason

    def missing(self) -> dict[str, str]:
        """Return the reason of each task that was tried and is not done."""
        return {
            task_id(index): state.reason for index, state in enumerate(self.states) if not state.done and state.reason
        }

    def _may_try(self, state: TaskState) -> bool:
        if state.done or state.late or state.reason in NO_SECOND_AGENT or state.cut_offs > 1:
            return False
        return state.own_tries < self.most_tries


def message_id_of(secret: str, key: SessionKey, name: str, number: int) -> str:
    """Return the message id of an attempt's request (idempotency key): nobody without the secret can foretell it."""
    attempt = f"{key.partition} {name} {number}".encode()
    digest = hmac.new(secret.encode(), attempt, hashlib.sha256).digest()
    return message_uri(uuid.UUID(bytes=digest[:16], version=4))


def parts_of(attempts: Sequence[Attempt], texts: Mapping[int, str] | Sequence[str]) -> list[list[Attempt]]:
    """Split a round's attempts into parts that an execution, and a checkpoint, can hold."""
    parts: list[list[Attempt]] = []
    size_bytes = 0
    for attempt in attempts:
        text_bytes = len(json.dumps(texts[attempt.index]))
        if not parts or len(parts[-1]) == TASKS_PER_EXECUTION or size_bytes + text_bytes > PART_BYTES:
            parts.append([])
            size_bytes = 0
        parts[-1].append(attempt)
        size_bytes += text_bytes
    return parts
