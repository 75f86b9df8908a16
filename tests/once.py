"""Work that the first of several test processes does for all processes."""

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
    """Return the result of ``make``, which only the first worker of a run calls; other workers get a pickled copy."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return make()
    pickled = (
        folders.getbasetemp().parent / f"{name}.pickle"
    )  # the parent belongs to the run and is shared by all workers
    with pickled.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if pickled.exists():
            return pickle.loads(pickled.read_bytes())
        result = make()
        buffer = io.BytesIO()
        _Pickler(buffer, pickle.HIGHEST_PROTOCOL).dump(result)
        pickled.write_bytes(buffer.getvalue())
        return result


class _Pickler(pickle.Pickler):
    """Pickler for Pulumi's protobuf messages, whose classes name another module than the one that holds them."""

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, Message):
            return _message, (type(obj).__name__, obj.SerializeToString())
        return NotImplemented


def _message(name: str, buffer: bytes) -> Message:
    return getattr(resource_pb2, name).FromString(buffer)
