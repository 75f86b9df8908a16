"""SnapStart: preparation before Lambda takes a snapshot, and renewal after a restore.

Many environments wake from one snapshot. State that would be the same in all of them, or that ages, must not come from
the snapshot: random state, connections, credentials, cached reads (AWS Lambda Developer Guide, "Handling uniqueness
with Lambda SnapStart" and "Implement code before or after Lambda function snapshots").
"""

from __future__ import annotations

import random
from collections.abc import Callable

import boto3
from snapshot_restore_py import register_after_restore, register_before_snapshot


def register_snapshot_hooks(*, before: Callable[[], None], forget: tuple[Callable[[], None], ...]) -> None:
    """Register hooks with Lambda's runtime, which calls them only where SnapStart is on.

    Args:
        before: slow preparation whose result is the same in every environment.
        forget: functions that drop cached state, which the next event builds again.
    """
    register_before_snapshot(before)
    register_after_restore(_restore, forget)


def _restore(forget: tuple[Callable[[], None], ...]) -> None:
    random.seed()
    boto3.DEFAULT_SESSION = None  # holds credentials
    for drop in forget:
        drop()
