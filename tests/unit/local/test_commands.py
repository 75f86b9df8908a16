"""Commands of ``fabric local`` on a folder of their own, without a platform."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from local.platform import Platform
from local.processes import PlatformProcess

NO_SETTINGS = ": has no settings; they belong below config, infrafabric:settings: see docs/configuration.md"


def _fabric(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).parent / "fabric", *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "FABRIC_HOME": str(home)},
    )


@pytest.mark.parametrize(
    ("held", "answer"),
    [
        (fcntl.LOCK_SH, "the platform is not running: fabric local up --engine pulumi"),
        (fcntl.LOCK_EX, "another fabric local command is at work on the platform; wait until the other command has"),
    ],
    ids=["beside another reader", "during up or down"],
)
def test_a_command_of_pulumi_runs_beside_other_commands_but_not_during_up_or_down(
    tmp_path: Path, held: int, answer: str
) -> None:
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, held)
        done = _fabric(tmp_path, "local", "pulumi", "--", "preview")

    assert done.returncode == 1
    assert done.stderr.startswith(f"fabric: {answer}")


def test_a_home_that_cannot_be_written_is_refused_in_one_line(tmp_path: Path) -> None:
    home = tmp_path / "file"
    home.touch()

    done = _fabric(home, "local", "down")

    assert (done.returncode, done.stderr) == (
        1,
        f"fabric: {home} cannot keep the platform's state (File exists): "
        "set FABRIC_HOME to a folder that can be written\n",
    )


def test_a_platform_of_which_a_process_has_ended_is_stopped_with_its_name_and_log(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    platform = Platform(tmp_path, tmp_path / "scratch", "http://127.0.0.1:1", 1, "http://127.0.0.1:1", 1)
    platform.processes.append(PlatformProcess("provider of dev", ended.pid, tmp_path / "provider-dev.log"))
    platform.save(tmp_path / "platform.json")

    done = _fabric(tmp_path, "local", "status", "--json")

    assert json.loads(done.stdout) == {"running": False}
    assert done.stderr == (
        "fabric: the platform was stopped, because these processes have ended: "
        f"provider of dev ({tmp_path / 'provider-dev.log'})\n"
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("config: [1\n", ", line 2: not valid YAML ("),
        (
            "config: {}\n",
            NO_SETTINGS,
        ),
        ("", NO_SETTINGS),
    ],
)
def test_a_stack_file_without_settings_is_refused_before_anything_starts(
    tmp_path: Path, text: str, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "Pulumi.dev.yaml"
    file.write_text(text)
    monkeypatch.setenv("FABRIC_STACK_FILES", str(tmp_path))

    done = _fabric(tmp_path / "home", "local", "up")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"fabric: {file}{problem}")


def test_variables_of_a_stack_that_is_not_on_the_platform_are_refused(tmp_path: Path) -> None:
    platform = Platform(tmp_path, tmp_path / "scratch", "http://127.0.0.1:1", 1, "http://127.0.0.1:1", 1)
    platform.processes.append(PlatformProcess("AWS emulator", os.getpid(), tmp_path / "emulator.log"))
    platform.save(tmp_path / "platform.json")
    (tmp_path / "connection.json").write_text(json.dumps({"stack": "dev"}))

    done = _fabric(tmp_path, "local", "env", "--stack", "prod")

    assert (done.returncode, done.stderr) == (1, "fabric: there is no stack prod on the platform: it has dev\n")
