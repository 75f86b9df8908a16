"""SnapStart: what a function does before its snapshot is taken, and what is made anew when it wakes from one.

Many environments wake from one snapshot. What would be the same in all of them, or has grown old meanwhile, must not
come from it: random state, connections, credentials, what was read from elsewhere (AWS Lambda Developer Guide,
"Handling uniqueness with Lambda SnapStart" and "Implement code before or after Lambda function snapshots").
"""

from __future__ import annotations

import random
from collections.abc import Callable

import boto3
from snapshot_restore_py import register_after_restore, register_before_snapshot


def around(*, before: Callable[[], None], forget: tuple[Callable[[], None], ...]) -> None:
    """Register with Lambda's runtime; without SnapStart it never calls either.

    Args:
        before: what is slow, and the same in every environment.
        forget: each lets go of something that the next event then makes anew.
    """
    register_before_snapshot(before)
    register_after_restore(_wake, forget)


def _wake(forget: tuple[Callable[[], None], ...]) -> None:
    random.seed()
    boto3.DEFAULT_SESSION = None  # it holds credentials
    for let_go in forget:
        let_go()
