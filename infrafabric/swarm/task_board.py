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
from infrafabric.swarm.failure_reasons import NOT_NEEDED
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

    def next_attempt(self, index: int, allowance_nusd: int, key: SessionKey, secret: str) -> Attempt:
        """Return the next attempt at a task."""
        state = self.states[index]
        number = self.first_number + state.own_tries
        return Attempt(
            index=index,
            number=number,
            agent=agent_for(index, state.tries, self.agents),
            allowance_nusd=allowance_nusd,
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

        An agent may claim any reason for a failure, so no reason keeps a task from being given to another agent.
        """
        state = self.states[index]
        state.late = late
        state.done = state.done or done
        state.reason = "" if state.done else reason

    def missing(self) -> dict[str, str]:
        """Return the reason of each task that was tried and is not done."""
        return {
            task_id(index): state.reason for index, state in enumerate(self.states) if not state.done and state.reason
        }

    def _may_try(self, state: TaskState) -> bool:
        return not state.done and state.own_tries < self.most_tries and not state.late


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
