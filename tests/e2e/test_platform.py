"""The platform itself: what its commands say, what they leave behind, and that roles are enforced on it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import psutil
import psycopg
import pytest

from infra.settings import stackfile
from local.processes import still_running
from tests.e2e.conftest import Stage, until

FABRIC = Path(sys.executable).parent / "fabric"


def fabric(home: Path, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "FABRIC_HOME": str(home), "FABRIC_STACK_FILES": str(stackfile.REFERENCE)}
    done = subprocess.run([FABRIC, *words], capture_output=True, text=True, check=False, env=env, timeout=180)
    assert not check or done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("home")
    yield folder
    fabric(folder, "local", "down")


@pytest.fixture(scope="module")
def up(home: Path) -> dict[str, Any]:
    return json.loads(fabric(home, "local", "up", "--json").stdout)


def test_up_says_all_that_a_client_needs(up: dict[str, Any]) -> None:
    assert set(up) == {"endpoint_url", "stack", "region", "credentials", "api", "database_url", "outputs"}
    assert set(up["outputs"]["agents"]["h01"]) == {"queue_url", "dlq_url", "function_name", "principal"}
    assert {"bus_topic_arn", "results_bucket", "sessions_table", "api_url"} <= set(up["outputs"])


def test_any_client_can_be_pointed_at_it(up: dict[str, Any]) -> None:
    keys = up["credentials"]
    sqs = boto3.client(
        "sqs",
        endpoint_url=up["endpoint_url"],
        region_name=up["region"],
        aws_access_key_id=keys["access_key_id"],
        aws_secret_access_key=keys["secret_access_key"],
    )
    assert up["outputs"]["agents"]["h01"]["queue_url"] in sqs.list_queues()["QueueUrls"]
    with psycopg.connect(up["database_url"]) as connection:
        assert connection.execute("SELECT count(*) FROM sessions").fetchone() == (0,)


def test_a_session_can_be_run_from_the_shell(home: Path, up: dict[str, Any]) -> None:
    env = {"FABRIC_API_URL": up["api"]["url"], "FABRIC_API_KEY": up["api"]["key"], "PATH": os.environ["PATH"]}
    words = [FABRIC, "session", "start", "--task", "one", "--id", "shell", "--watch", "--json"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=env, timeout=90)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "COMPLETE"


def test_a_shell_without_a_key_signs_and_who_may_not_invoke_is_refused(home: Path, up: dict[str, Any]) -> None:
    keys, at = up["credentials"], {"endpoint_url": up["endpoint_url"], "region_name": up["region"]}
    iam = boto3.client(
        "iam", **at, aws_access_key_id=keys["access_key_id"], aws_secret_access_key=keys["secret_access_key"]
    )
    iam.create_user(UserName="looker")
    theirs = iam.create_access_key(UserName="looker")["AccessKey"]

    def shell(key: str, secret: str) -> subprocess.CompletedProcess[str]:
        env = {
            "FABRIC_API_URL": up["api"]["url"],
            "PATH": os.environ["PATH"],
            "AWS_DEFAULT_REGION": up["region"],
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
        }
        words = [FABRIC, "session", "list", "--json"]
        return subprocess.run(words, capture_output=True, text=True, check=False, env=env, timeout=90)

    done = shell(keys["access_key_id"], keys["secret_access_key"])
    assert done.returncode == 0, done.stderr
    assert "sessions" in json.loads(done.stdout)
    refused = shell(theirs["AccessKeyId"], theirs["SecretAccessKey"])
    assert refused.returncode == 1
    assert "403: may these AWS credentials execute-api:Invoke" in refused.stderr


def test_a_second_up_says_that_it_is_running(home: Path, up: dict[str, Any]) -> None:
    again = fabric(home, "local", "up")
    assert "the platform is already running" in again.stdout
    assert f"export AWS_ENDPOINT_URL={up['endpoint_url']}" in again.stdout
    assert json.loads(fabric(home, "local", "up", "--json").stdout) == up


@pytest.mark.parametrize("words", [("--stack", "prod"), ("--set", "fleet.size=3")])
def test_another_stack_or_setting_is_refused_while_one_runs(home: Path, up: dict[str, Any], words: tuple[str]) -> None:
    refused = fabric(home, "local", "up", *words, check=False)
    assert refused.returncode == 1
    assert refused.stderr == (
        "fabric: the platform is already running, with stack dev: fabric local down stops it, then another stack or "
        "setting can come up\n"
    )


def test_a_shell_gets_the_variables_again(home: Path, up: dict[str, Any]) -> None:
    lines = fabric(home, "local", "env").stdout
    printed = subprocess.run(["sh", "-c", f"{lines} env"], capture_output=True, text=True, check=True, env={}).stdout

    variables = dict(line.split("=", 1) for line in printed.splitlines())
    assert variables["FABRIC_API_URL"] == up["api"]["url"]
    assert variables["DATABASE_URL"] == up["database_url"]
    assert json.loads(fabric(home, "local", "env", "--json").stdout).items() <= variables.items()


def test_commands_of_pulumi_need_a_platform_that_pulumi_deployed(home: Path, up: dict[str, Any]) -> None:
    refused = fabric(home, "local", "pulumi", "--", "preview", check=False)

    assert refused.returncode == 1
    assert refused.stderr == (
        "fabric: the platform was deployed without Pulumi's engine: fabric local down, "
        "then fabric local up --engine pulumi\n"
    )
    assert fabric(home, "local", "pulumi", check=False).returncode == 2


def test_without_the_pulumi_cli_its_engine_is_refused_before_anything_starts(tmp_path: Path) -> None:
    env = {"FABRIC_HOME": str(tmp_path), "PATH": str(tmp_path)}
    command = [FABRIC, "local", "up", "--engine", "pulumi"]
    refused = subprocess.run(command, capture_output=True, text=True, check=False, env=env)

    assert (refused.returncode, refused.stderr) == (
        1,
        "fabric: pulumi is not on the PATH: install 3.272 or newer (https://www.pulumi.com/docs/install/), "
        "or leave out --engine pulumi\n",
    )
    assert not (tmp_path / "up").exists()


def test_an_old_pulumi_cli_is_refused_with_its_version(tmp_path: Path) -> None:
    old = tmp_path / "pulumi"
    old.write_text("#!/bin/sh\necho v3.100.0\n")
    old.chmod(0o755)
    env = {"FABRIC_HOME": str(tmp_path), "PATH": str(tmp_path)}
    command = [FABRIC, "local", "up", "--engine", "pulumi"]
    refused = subprocess.run(command, capture_output=True, text=True, check=False, env=env)

    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith(f"fabric: {old} is v3.100.0: install 3.272 or newer")


def test_everything_listens_on_the_loopback_only(home: Path, up: dict[str, Any]) -> None:
    parts = json.loads(fabric(home, "local", "status", "--json").stdout)["parts"]
    addresses = {
        connection.laddr.ip
        for pid in parts.values()
        for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert addresses == {"127.0.0.1"}


def test_down_leaves_nothing_listening(home: Path, up: dict[str, Any]) -> None:
    parts = json.loads(fabric(home, "local", "status", "--json").stdout)["parts"]
    running = [psutil.Process(pid) for pid in parts.values()]
    assert fabric(home, "local", "down").stdout == "stopped\n"
    assert still_running(running, 0) == []
    for url in (up["endpoint_url"], up["database_url"]):
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", urlsplit(url).port)) != 0
    assert fabric(home, "local", "down").stdout == "the platform was not running\n"
    assert fabric(home, "local", "status", check=False).returncode == 1


def test_an_interrupted_demo_leaves_no_process(tmp_path: Path) -> None:
    folders = {"FABRIC_HOME": str(tmp_path), "FABRIC_STACK_FILES": str(stackfile.REFERENCE)}
    env = {**os.environ, **folders, "PYTHONUNBUFFERED": "1"}
    demo = subprocess.Popen([FABRIC, "demo"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
    assert demo.stdout
    for line in demo.stdout:
        if line.startswith("created:"):
            break
    started = psutil.Process(demo.pid).children(recursive=True)
    assert started, "the platform runs as processes of its own"
    demo.send_signal(signal.SIGINT)
    _, errors = demo.communicate(timeout=60)
    assert (demo.returncode, errors) == (130, "")
    alive = still_running(started, 10)
    assert not alive, [process.cmdline() for process in alive]


def test_an_unknown_stack_is_one_clear_line(tmp_path: Path) -> None:
    done = fabric(tmp_path, "local", "up", "--stack", "nowhere", check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"fabric: there is no Pulumi.nowhere.yaml: stacks of {stackfile.REFERENCE} are dev, prod, prod-secondary"
    ]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("fleet.size", "--set fleet.size: must be KEY=VALUE, such as --set fleet.size=3"),
        ("fleet.size={", "--set fleet.size={: '{' is not valid YAML: quote the value"),
        ("fleet.size.x=3", "infrafabric:settings.fleet.size = {'x': 3}: Input should be a valid integer"),
    ],
)
def test_a_setting_that_cannot_be_is_one_clear_line_and_leaves_nothing(tmp_path: Path, given: str, said: str) -> None:
    refused = fabric(tmp_path, "local", "up", "--set", given, check=False)
    assert refused.returncode == 1
    assert said in refused.stderr
    assert "Traceback" not in refused.stderr
    assert fabric(tmp_path, "local", "status", check=False).returncode == 1


def test_a_task_of_an_agent_that_lost_its_grants_goes_to_another(stage: Stage) -> None:
    """Roles are enforced: without its policy h02 cannot even read the key registry, and falls silent."""
    iam, role = stage.platform.client("iam"), stage.outputs["agents"]["h02"]["function_name"]
    granted = iam.get_role_policy(RoleName=role, PolicyName="granted")["PolicyDocument"]
    policy = granted if isinstance(granted, str) else json.dumps(granted)
    iam.delete_role_policy(RoleName=role, PolicyName="granted")
    try:
        stage.start(session_id="silent", tasks=["one", "two"], agents=3)
        session = stage.ended("silent")
        assert (session["status"], session["tasks"]["done"]) == ("COMPLETE", 2)
        assert [result["agent"] for result in stage.report("silent")["results"]] == ["h01", "h03"]
    finally:
        iam.put_role_policy(RoleName=role, PolicyName="granted", PolicyDocument=policy)
    until(lambda: stage.call("GET", "/sessions/silent")[0] == 200, "the API to answer")
