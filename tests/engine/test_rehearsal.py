"""``fabric local up --engine pulumi`` as a user runs it: the README's walk, a failed update, an interruption."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from infra.settings import stackfile
from tests.engine.workspace import NO_CLI

pytestmark = NO_CLI
BIN = Path(sys.executable).parent


def _environment(home: Path) -> dict[str, str]:
    path = os.pathsep.join([str(BIN), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "FABRIC_HOME": str(home), "FABRIC_STACK_FILES": str(stackfile.REFERENCE)}


def _fabric(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / "fabric", *words], capture_output=True, text=True, check=False, env=_environment(home), timeout=180
    )


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    _fabric(tmp_path, "local", "down")


def _stack_files() -> dict[str, str]:
    folders = (stackfile.ROOT, stackfile.REFERENCE)
    return {str(path): path.read_text() for folder in folders for path in folder.glob("Pulumi*.yaml")}


def _counts(output: str) -> list[str]:
    return re.findall(r"[-~+] \d+", output.split("Resources:")[1])


def test_the_walk_of_the_readme_deploys_changes_and_removes_dev(home: Path) -> None:
    section = (stackfile.ROOT / "README.md").read_text().split("## Rehearsal of a deployment")[1]
    block = re.search(r"```sh\n(.*?)```", section, re.DOTALL)
    assert block, "the README has the walk"
    before = _stack_files()

    done = subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", block[1]],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env=_environment(home),
        cwd=stackfile.ROOT,
        timeout=400,
    )

    assert done.returncode == 0, done.stdout
    outputs = re.split(r"^\+ fabric ", done.stdout, flags=re.MULTILINE)
    by_command = {output.partition("\n")[0]: output for output in outputs}
    assert "created" in by_command["local up --engine pulumi"]
    assert "COMPLETE  10 of 10 done" in by_command["session start --goal … --budget 0.50 --watch"]
    announced = _counts(by_command["local pulumi --set fleet.size=9 -- preview"])
    assert announced[-1] == "- 22"
    changed = _counts(by_command["local pulumi -- up --yes"])
    assert changed == announced, "the setting stays, and the update does what the preview announced"
    assert re.search(r"- \d+ deleted", by_command["local pulumi -- destroy --yes"])
    assert by_command["local down"].endswith("stopped\n")
    assert not (home / "pulumi").exists()
    assert _stack_files() == before


def test_a_failed_update_leaves_the_platform_to_go_on_with(home: Path) -> None:
    up = ("local", "up", "--engine", "pulumi", "--set", "observability.pagerDuty=true", "--set", "fleet.size=1")

    failed = _fabric(home, *up)

    assert failed.returncode == 1
    assert "pagerDutyEndpoint is not set" in failed.stdout
    assert failed.stderr.endswith(
        "fabric: pulumi up failed. The platform keeps running: "
        "fabric local pulumi -- up goes on, fabric local down stops it\n"
    )
    assert "# the stack is not deployed, so it has no API" in _fabric(home, "local", "env").stdout
    secret = _fabric(
        home, "local", "pulumi", "--", "config", "set", "--secret", "pagerDutyEndpoint", "https://pd.example"
    )
    assert secret.returncode == 0, secret.stderr
    preview = _fabric(home, "local", "pulumi", "--", "preview")
    assert preview.returncode == 0, preview.stderr
    shell = {**_environment(home), **json.loads(_fabric(home, "local", "env", "--json").stdout)}
    project = ["-C", str(home / "pulumi" / "project")]
    for words, status in ((["config", "--stack", "dev", *project], 0), (["config"], 1)):
        done = subprocess.run(
            ["pulumi", *words], cwd=stackfile.ROOT, env=shell, capture_output=True, text=True, check=False
        )
        assert done.returncode == status, "in the checkout's root no stack is chosen, whose file Pulumi would change"
    unknown = _fabric(home, "local", "pulumi", "--", "preview", "--stack", "nowhere")
    assert (unknown.returncode, unknown.stderr) == (
        1,
        "fabric: there is no stack nowhere on the platform: it has dev\n",
    )
    removed = _fabric(home, "local", "pulumi", "--", "stack", "rm", "--yes", "--force")
    assert (removed.returncode, removed.stdout) == (0, "Stack 'dev' has been removed!\n"), removed.stderr
    printed = _fabric(home, "local", "env").stdout
    assert f"# on the platform's stack: pulumi -C {home / 'pulumi' / 'project'} preview --stack dev\n" in printed
    assert "PULUMI_STACK" not in printed


def test_an_interrupted_update_leaves_no_process_and_no_state(home: Path) -> None:
    command = [BIN / "fabric", "local", "up", "--engine", "pulumi"]
    up = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=_environment(home))
    assert up.stdout
    for line in up.stdout:
        if "created" in line:
            break
    started = psutil.Process(up.pid).children(recursive=True)
    assert any(process.name() == "pulumi" for process in started)

    up.send_signal(signal.SIGTERM)
    up.communicate(timeout=60)

    assert up.returncode == 130
    assert [process for process in started if process.is_running() and process.status() != psutil.STATUS_ZOMBIE] == []
    assert not (home / "pulumi").exists()
    assert _fabric(home, "local", "status").returncode == 1
