"""Steps of the clock of functions: code that MiniStack's worker runs before a handler.

A client sets the steps (``POST /_fabric/clock``) and removes them (``DELETE``). Workers that start meanwhile have
them: ``after_s`` seconds after the start of a worker, ``time.time`` and ``time.time_ns`` jump by ``step_s`` seconds.
Signatures of requests keep the real time (``datetime.now``), as AWS refuses a request whose time is minutes off.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

MOST_S = 3600.0
_MEMBERS = {"function", "step_s", "after_s"}
_PRELUDE = """
def _step_clock(steps):
    import os, time
    own = [step for step in steps if step["function"] == os.environ.get("AWS_LAMBDA_FUNCTION_NAME")]
    if not own:
        return
    real, real_ns, monotonic, began = time.time, time.time_ns, time.monotonic, time.monotonic()
    def offset_s():
        return sum(step["step_s"] for step in own if monotonic() - began >= step["after_s"])
    time.time = lambda: real() + offset_s()
    time.time_ns = lambda: real_ns() + int(offset_s() * 10**9)

_step_clock({steps})
"""


class ClockSteps:
    """Steps of the clock, by function."""

    def __init__(self) -> None:
        self._steps: list[dict[str, Any]] = []

    def add(self, steps: Any) -> None:
        """Add a list of steps, each with ``function`` (its name), ``step_s`` and ``after_s``.

        Raises:
            ValueError: a step is invalid, and none is added; the message names the allowed members or values.
        """
        checked = [_step(step) for step in (steps if isinstance(steps, list) else [steps])]
        self._steps += checked

    def clear(self) -> None:
        """Remove all steps. Workers that run keep theirs."""
        self._steps = []

    def steps(self) -> list[dict[str, Any]]:
        """Return the steps."""
        return self._steps

    def before(self, script: str) -> str:
        """Return a worker's script that steps the clock first; the script as it is if there are no steps."""
        return _PRELUDE.replace("{steps}", repr(self._steps)) + script if self._steps else script


def _step(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or value.keys() != _MEMBERS or not isinstance(value["function"], str):
        raise ValueError("a step of a clock is an object with function (a name), step_s and after_s")
    if not re.fullmatch(r"[\w-]{1,64}", value["function"]):
        raise ValueError(f"function = {value['function']!r}: not a name of a function")
    for name, least in (("step_s", -MOST_S), ("after_s", 0.0)):
        if not isinstance(value[name], int | float) or not least <= value[name] <= MOST_S:
            raise ValueError(f"{name} = {json.dumps(value[name])}; allowed are numbers from {least:g} to {MOST_S:g}")
    return dict(value)
