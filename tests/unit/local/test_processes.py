"""Ending the platform's processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from local.processes import PlatformProcess, start, still_running, stop

NEGLECTFUL = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])
print(child.pid, flush=True)
time.sleep(600)
"""


def test_a_process_that_ended_and_was_not_asked_how_does_not_run() -> None:
    """Its parent may never ask, and a command that stops the platform would wait for that."""
    with subprocess.Popen([sys.executable, "-c", NEGLECTFUL], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        child = psutil.Process(int(parent.stdout.readline()))
        assert still_running([child], 0) == [child]
        child.kill()
        assert still_running([child], 30) == []
        assert child.status() == psutil.STATUS_ZOMBIE, "its parent lives and does not ask"
        parent.kill()


def test_a_part_is_stopped_with_what_it_started() -> None:
    with subprocess.Popen([sys.executable, "-c", NEGLECTFUL], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        family = [psutil.Process(parent.pid), psutil.Process(int(parent.stdout.readline()))]
        stop([PlatformProcess("neglectful", parent.pid, Path("unused"))])
        assert still_running(family, 0) == []


def test_a_start_that_is_interrupted_leaves_no_process(tmp_path: Path) -> None:
    started: list[psutil.Process] = []

    def interrupted() -> bool:
        started.extend(psutil.Process().children())
        raise KeyboardInterrupt

    sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
    with pytest.raises(KeyboardInterrupt):
        start("sleeper", sleeper, log=tmp_path / "log", ready=interrupted)

    assert len(started) == 1
    assert still_running(started, 0) == []
