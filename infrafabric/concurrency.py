"""Concurrent calls on a thread pool."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, wait
from typing import Any, Protocol


class RunConcurrently(Protocol):
    """Function that runs jobs concurrently and returns when all have returned."""

    def __call__(self, *jobs: Callable[[], Any]) -> None: ...


def run_concurrently_on(pool: Executor) -> RunConcurrently:
    """Return a function that runs its first job in the calling thread and the others on ``pool``.

    When all jobs have ended, the function raises the first job's error, else another job's.
    """

    def run_concurrently(*jobs: Callable[[], Any]) -> None:
        others = [pool.submit(job) for job in jobs[1:]]
        try:
            jobs[0]()
        finally:
            wait(others)
        for future in others:
            future.result()

    return run_concurrently
