"""Backoff: exponential delays with full jitter for throttled messages, contended writes and failed deliveries.

Pure functions: time and chance are arguments, and nothing sleeps here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Patience:
    """Limits of the delay before a throttled message is retried."""

    base_s: float = 2.0
    longest_s: int = 900  # SQS's longest DelaySeconds
    call_s: float = 5.0  # shortest time in which a model call is worth trying

    def __post_init__(self) -> None:
        if not 0 < self.longest_s <= 900 or self.base_s <= 0 or self.call_s < 0:
            raise ValueError(f"{self} is not allowed: 0 < longest_s <= 900, base_s > 0, call_s >= 0")


def throttle_delay_s(
    throttles: int, *, left_s: float, random_unit: float, retry_after_s: float = 0.0, patience: Patience = Patience()
) -> int | None:
    """Return the delay in seconds before a throttled message is retried, or None if no delay ends in time.

    Exponential backoff with full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter"): ``random_unit``,
    uniform in [0, 1), selects a point below a ceiling that doubles with each throttle, so that agents throttled
    together spread out.

    Args:
        throttles: number of earlier put-backs of this message.
        left_s: seconds until the message's deadline.
        retry_after_s: delay that the API asked for; a delay above ``patience.longest_s`` takes several put-backs.
    """
    earliest = math.ceil(min(retry_after_s, patience.longest_s))
    latest = math.floor(min(left_s - patience.call_s, patience.longest_s))
    if latest < earliest:
        return None
    ceiling = patience.base_s * 2 ** min(throttles, 16)
    return earliest + math.floor(random_unit * min(ceiling, latest - earliest))


def conflict_delay_s(tries: int, *, random_unit: float, base_s: float = 0.01, longest_s: float = 2.0) -> float:
    """Return the delay in seconds before a conflicting DynamoDB transaction is retried.

    Full jitter below a doubling ceiling. The ceiling is high because a refused try costs capacity too, and delays the
    other writers.

    Args:
        tries: number of tries so far.
        random_unit: uniform in [0, 1).
    """
    return random_unit * min(longest_s, base_s * 2 ** min(tries, 16))


def model_call_timeout_s(left_s: float) -> float:
    """Return the timeout in seconds of a model call, out of ``left_s`` seconds that are left of an invocation.

    The rest is reserved for storing and answering. A write that DynamoDB throttles is retried for half a minute
    (infrafabric/aws_adapters/dynamodb_table.py), and an agent that is cut off there has paid for an answer that
    never arrives. A short invocation reserves a quarter at most.
    """
    return left_s - min(35.0, left_s / 4)


def redelivery_delay_s(receives: int, *, random_unit: float) -> int:
    """Return the delay in seconds until a failed message is delivered again.

    The first delay ends before the coordinator declares the agent silent, the second one outlasts an outage of minutes.

    Args:
        receives: number of deliveries so far, from 1.
        random_unit: uniform in [0, 1): selects a point in the upper half, so that messages that failed together do not
            return together.
    """
    return math.ceil(min(300, 30 * 10 ** (min(receives, 9) - 1)) * (1 + random_unit) / 2)


def silence_timeout_s(heartbeat_timeout_s: int, *, tasks: int, agents: int, tasks_at_once: int) -> int:
    """Return the timeout in seconds after which a task without a heartbeat goes to another agent.

    A task that waits in its agent's queue sends no heartbeat either. With ``tasks`` spread over ``agents`` that process
    ``tasks_at_once`` each, the last task waits for several rounds; each round is allowed one heartbeat timeout.
    """
    rounds = -(-tasks // (agents * tasks_at_once))
    return heartbeat_timeout_s * max(1, rounds)
