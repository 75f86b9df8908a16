"""Steps of the clock of a function's worker."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from typing import Any

import pytest

from local.emulator.clock_steps import ClockSteps

STEP = {"function": "f", "step_s": -900, "after_s": 0}
SCRIPT = "import time; print(time.time(), time.time_ns() / 1e9)"


def offsets(clock: ClockSteps, function: str) -> list[int]:
    """How far the clocks of a worker are from this process's, in whole minutes."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", clock.before(SCRIPT)],
        env={**os.environ, "AWS_LAMBDA_FUNCTION_NAME": function},
        capture_output=True,
        text=True,
        check=True,
    )
    return [round((float(read) - time.time()) / 60) for read in done.stdout.split()]


def test_a_step_moves_both_clocks_of_its_function_alone() -> None:
    clock = ClockSteps()
    clock.add([STEP])
    assert offsets(clock, "f") == [-15, -15]
    assert offsets(clock, "g") == [0, 0]


def test_a_step_comes_after_its_time() -> None:
    clock = ClockSteps()
    clock.add([{**STEP, "after_s": 600}])
    assert offsets(clock, "f") == [0, 0]


def test_a_worker_without_steps_runs_as_it_is() -> None:
    clock = ClockSteps()
    clock.add(STEP)
    clock.clear()
    assert clock.before(SCRIPT) == SCRIPT


@pytest.mark.parametrize(
    ("step", "text"),
    [
        ({"function": "f"}, "an object with function (a name), step_s and after_s"),
        ({**STEP, "function": "x y"}, "function = 'x y': not a name of a function"),
        ({**STEP, "step_s": 1e9}, "step_s = 1000000000.0; allowed are numbers from -3600 to 3600"),
        ({**STEP, "after_s": -1}, "after_s = -1; allowed are numbers from 0 to 3600"),
    ],
)
def test_a_bad_step_is_refused_and_says_what_is_allowed(step: dict[str, Any], text: str) -> None:
    clock = ClockSteps()
    with pytest.raises(ValueError, match=re.escape(text)):
        clock.add([STEP, step])
    assert clock.steps() == [], "all or none"
