"""Work that the first of several test processes does for all of them."""

from __future__ import annotations

import fcntl
import io
import os
import pickle
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from google.protobuf.message import Message
from pulumi.runtime.proto import resource_pb2

T = TypeVar("T")


def once(folders: pytest.TempPathFactory, name: str, make: Callable[[], T]) -> T:
    """What ``make`` gives, made by whichever worker of this run asks first; for the others, a copy of it."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return make()
    kept = folders.getbasetemp().parent / f"{name}.pickle"  # the parent is the run's own, and its workers share it
    with kept.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if kept.exists():
            return pickle.loads(kept.read_bytes())
        made = make()
        written = io.BytesIO()
        _Pickler(written, pickle.HIGHEST_PROTOCOL).dump(made)
        kept.write_bytes(written.getvalue())
        return made


class _Pickler(pickle.Pickler):
    """Pulumi's requests are found under another module than the one that they name."""

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, Message):
            return _message, (type(obj).__name__, obj.SerializeToString())
        return NotImplemented


def _message(name: str, written: bytes) -> Message:
    return getattr(resource_pb2, name).FromString(written)
