"""Ending the platform's processes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
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


WITH_A_FORK_HANDLER = """
import ctypes, sys
from pathlib import Path
from local.processes import start
forks = []
handler = ctypes.CFUNCTYPE(None)(lambda: forks.append(1))
ctypes.CDLL(None)["__register_atfork"](handler, None, None, None)  # what a library's pthread_atfork calls
folder = Path(sys.argv[1])
command = ["/bin/sh", "-c", f"id -u; id -g; id -G; touch {folder}/started; exec sleep 600"]
process = start("sleeper", command, log=folder / "log", ready=(folder / "started").exists, user=65534)
print(process.pid, len(forks))
"""


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only root can start as another user")
def test_a_start_as_another_user_runs_no_fork_handler() -> None:
    """gRPC's handlers, in a process that talked to Pulumi's engine, let the child crash before its command starts."""
    root = Path(start.__code__.co_filename).parents[1]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        script = [sys.executable, "-c", WITH_A_FORK_HANDLER, name]
        result = subprocess.run(script, capture_output=True, text=True, check=True, cwd=root)
        pid, forks = map(int, result.stdout.split())
        stop([PlatformProcess("sleeper", pid, folder / "log")])
        assert forks == 0
        assert (folder / "log").read_text().split() == ["65534"] * 3
