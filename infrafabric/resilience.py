"""Policies for waiting and trying again. Time and chance come in, a decision goes out; nothing sleeps here."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long a throttled message may be put back for."""

    base_s: float = 2.0
    longest_s: int = 900  # SQS's longest DelaySeconds
    call_s: float = 5.0  # what one model call needs at least: a wait that leaves less is wasted

    def __post_init__(self) -> None:
        if not 0 < self.longest_s <= 900 or self.base_s <= 0 or self.call_s < 0:
            raise ValueError(f"{self} cannot be: 0 < longest_s <= 900, base_s > 0, call_s >= 0")


def throttle_delay_s(
    throttles: int, *, left_s: float, draw: float, retry_after_s: float = 0.0, patience: Patience = Patience()
) -> int | None:
    """Seconds to put a throttled message back for, or None when no wait would end in time.

    Args:
        throttles: how often the message was put back before.
        left_s: until its deadline.
        retry_after_s: what the API asked for; more than ``patience.longest_s`` is waited for in several steps.

    Full jitter ("Exponential Backoff And Jitter", AWS Architecture Blog): ``draw``, uniform in [0, 1), picks a point
    below a ceiling that doubles with each throttle, so that agents throttled together do not return together.
    """
    earliest = math.ceil(min(retry_after_s, patience.longest_s))
    latest = math.floor(min(left_s - patience.call_s, patience.longest_s))
    if latest < earliest:
        return None
    ceiling = patience.base_s * 2 ** min(throttles, 16)
    return earliest + math.floor(draw * min(ceiling, latest - earliest))


def conflict_delay_s(tries: int, *, draw: float, base_s: float = 0.01, longest_s: float = 2.0) -> float:
    """Seconds to wait before the next try of a DynamoDB transaction that met another one on the same item.

    ``tries`` counts those made, ``draw`` is uniform in [0, 1). Full jitter below a doubling ceiling, which is as high
    as a thousand agents at one session's counters need: a refused try costs capacity too, and makes the others wait.
    """
    return draw * min(longest_s, base_s * 2 ** min(tries, 16))


def call_left_s(left_s: float) -> float:
    """Seconds that a model call may take of what is left of an invocation.

    The rest is for storing and answering, which needs as long as a contended write of the session's counters is tried
    (half a minute, infrafabric/swarm/table.py): whoever is cut off there has paid for an answer that nobody hears of.
    A short invocation keeps a quarter of it at most.
    """
    return left_s - min(35.0, left_s / 4)


def redelivery_s(receives: int, *, draw: float) -> int:
    """Seconds until a message that failed is delivered again.

    The first time it comes back before the coordinator takes its agent for dead, the second time after an outage of
    minutes.

    Args:
        receives: how often it was delivered, from 1.
        draw: uniform in [0, 1): picks a point in the upper half, so that what failed together does not return together.
    """
    return math.ceil(min(300, 30 * 10 ** (min(receives, 9) - 1)) * (1 + draw) / 2)


def silence_s(heartbeat_timeout_s: int, *, tasks: int, agents: int, at_once: int) -> int:
    """How long an agent may say nothing about a task before the task is given to another.

    A task that waits in its agent's queue is silent too. With ``tasks`` spread over ``agents`` that work ``at_once``
    each, the last one waits for so many rounds; each round is allowed one heartbeat timeout.
    """
    rounds = -(-tasks // (agents * at_once))
    return heartbeat_timeout_s * max(1, rounds)
