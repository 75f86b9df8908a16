"""Redelivery of messages of the results queue: how soon, and how often before a message is given up.

Pure functions: chance is an argument.
"""

from __future__ import annotations

import math

MAX_RECEIVES = 1000  # SQS's largest maxReceiveCount; the queue itself dead-letters without a reason
# Below MAX_RECEIVES, so that the recorder gives a message up first, with a reason. The delays reach it after 5 to 10
# days; SQS deletes a message after 14.
LAST_RECEIVE = 990
POISON_RECEIVES = 3  # for an error that no waiting mends
_FIRST_DELAY_S, _LONGEST_DELAY_S = 2, 900


def redelivery_delay_s(receives: int, *, random_unit: float) -> int:
    """Return the delay in seconds until a message that could not be written is delivered again.

    Args:
        receives: number of deliveries so far, from 1.
        random_unit: uniform in [0, 1): selects a point in the upper half, so that sessions do not return together.
    """
    ceiling = min(_LONGEST_DELAY_S, _FIRST_DELAY_S * 2 ** (min(receives, 16) - 1))
    return math.ceil(ceiling * (1 + random_unit) / 2)
