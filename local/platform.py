"""Platform on one machine: AWS emulator, PostgreSQL, fake model server and durable-execution runner as processes."""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from infra.packager.build import Target
from local import postgres, processes
from local.processes import PlatformProcess

ROOT = Path(__file__).resolve().parent.parent
REGION = "us-east-1"
ACCOUNT = "000000000000"
CREDENTIALS = {"access_key_id": "test", "secret_access_key": "test"}  # root of the emulator
_EMULATOR_PYTHON = ROOT / ".venv-emulator" / "bin" / "python"


@dataclass
class Platform:
    """Running processes and their addresses. Created by :func:`start`, ended by :meth:`stop`."""

    home: Path  # logs
    scratch: Path  # temporary files, at a short path: a Unix socket's path has at most 107 characters
    endpoint_url: str
    durable_port: int
    model_url: str
    database_port: int
    processes: list[PlatformProcess] = field(default_factory=list)  # in the order of their start

    def log(self, name: str) -> Path:
        """Return the path of a process's log."""
        return self.home / "logs" / f"{name}.log"

    @property
    def ca(self) -> Path:
        """Certificate authority that signed PostgreSQL's certificate, as a PEM file."""
        return self.scratch / "pg" / "ca.pem"

    @property
    def database_url(self) -> str | None:
        """libpq URL of the RDS instance's database for the master user; None without an RDS instance."""
        return postgres.master_url(self.scratch / "pg", self.database_port)

    def client(self, service: str, region: str = REGION) -> Any:
        """Return a boto3 client with the credentials of the emulated account's root."""
        return boto3.client(
            service,
            endpoint_url=self.endpoint_url,
            region_name=region,
            aws_access_key_id=CREDENTIALS["access_key_id"],
            aws_secret_access_key=CREDENTIALS["secret_access_key"],
            config=Config(retries={"max_attempts": 1}, max_pool_connections=50),
        )

    def on_database(self, name: str, user: str, password: str) -> None:
        """Create the database of an RDS instance in the platform's PostgreSQL."""
        postgres.create_database(self.scratch / "pg", self.database_port, name=name, user=user, password=password)

    def start_durable_runner(self, functions: Mapping[str, Mapping[str, int]], region: str) -> None:
        """Start AWS's local runner for durable executions.

        Args:
            functions: DurableConfig by function name, all of ``region``: the runner supports one Region.

        Raises:
            ProcessFailedError: the runner did not start.
        """
        configs = {name: {"DurableConfig": dict(config)} for name, config in functions.items()}
        environment = {**os.environ, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
        runner_url = f"http://127.0.0.1:{self.durable_port}"
        command: list[str | Path] = [Path(sys.executable).parent / "dex-local-runner", "start-server"]
        command += ["--host", "127.0.0.1", "--port", str(self.durable_port), "--log-level", "WARNING"]
        command += ["--lambda-endpoint", self.endpoint_url, "--local-runner-endpoint", runner_url]
        command += ["--local-runner-region", region, "--function-configs", json.dumps(configs)]
        ready = processes.responds(f"{runner_url}/health")
        runner = processes.start(
            "durable runner", command, log=self.log("durable-runner"), ready=ready, env=environment
        )
        self.processes.append(runner)

    def calls(self) -> dict[str, int]:
        """Return the number of AWS API calls that the emulator has served, by ``service:Operation``."""
        import urllib.request  # noqa: PLC0415

        with urllib.request.urlopen(f"{self.endpoint_url}/_fabric/calls") as response:  # noqa: S310
            return json.load(response)

    def stop(self) -> None:
        """Stop all processes and delete the scratch folder."""
        processes.stop(self.processes)
        self.processes.clear()
        shutil.rmtree(self.scratch, ignore_errors=True)

    def save(self, path: Path) -> None:
        """Write the state for :meth:`load`."""
        state = {**asdict(self), "home": str(self.home), "scratch": str(self.scratch)}
        state["processes"] = [{"name": p.name, "pid": p.pid, "log": str(p.log)} for p in self.processes]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(state))

    @classmethod
    def load(cls, path: Path) -> Platform:
        """Read a platform that another command started and saved."""
        state = json.loads(path.read_text())
        started = [PlatformProcess(p["name"], p["pid"], Path(p["log"])) for p in state.pop("processes")]
        return cls(**{**state, "home": Path(state["home"]), "scratch": Path(state["scratch"]), "processes": started})


def start(home: Path, *, progress: Callable[[str], None] = lambda _: None, only_emulator: bool = False) -> Platform:
    """Start emulator, PostgreSQL and fake model server, all empty, on free ports of 127.0.0.1.

    Args:
        progress: called with the name of each process before its start.
        only_emulator: start the emulator alone, for tests that run no functions.

    Raises:
        ProcessFailedError: a process did not start; the processes started before are stopped.
    """
    if not _EMULATOR_PYTHON.exists():
        raise processes.ProcessFailedError(
            f"the emulator is not installed in {_EMULATOR_PYTHON.parent}; run make setup"
        )
    shutil.rmtree(home / "logs", ignore_errors=True)
    scratch = Path(tempfile.mkdtemp(prefix="fabric-"))
    scratch.chmod(0o755)  # started by root, PostgreSQL runs as another user
    emulator_port, durable_port, model_port, database_port = (processes.free_port() for _ in range(4))
    platform = Platform(
        home=home,
        scratch=scratch,
        endpoint_url=f"http://127.0.0.1:{emulator_port}",
        durable_port=durable_port,
        model_url=f"http://127.0.0.1:{model_port}",
        database_port=database_port,
    )
    try:
        if not only_emulator:
            progress("PostgreSQL")
            platform.processes += postgres.start(scratch / "pg", port=database_port, log=platform.log("postgres"))
        progress("AWS emulator")
        platform.processes.append(_start_emulator(platform, emulator_port))
        if only_emulator:
            return platform
        progress("model stand-in")
        command = [sys.executable, "-m", "local.model_server", "--port", str(model_port)]
        ready = processes.responds(f"{platform.model_url}/health")
        platform.processes.append(processes.start("model stand-in", command, log=platform.log("model"), ready=ready))
    except BaseException:
        platform.stop()
        raise
    return platform


@contextmanager
def running(
    home: Path, *, progress: Callable[[str], None] = lambda _: None, only_emulator: bool = False
) -> Iterator[Platform]:
    """Run a platform until the block ends, by an error or Ctrl-C as well. Arguments as for :func:`start`."""
    platform = start(home, progress=progress, only_emulator=only_emulator)
    try:
        yield platform
    finally:
        platform.stop()


def _start_emulator(platform: Platform, port: int) -> PlatformProcess:
    temporary = platform.scratch / "tmp"
    temporary.mkdir()
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(temporary),
        "TMPDIR": str(temporary),  # MiniStack leaves unzipped packages behind when killed: deleted with the folder
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "MINISTACK_REGION": REGION,
        "IOT_MTLS_ENABLED": "0",
        "AUTH": "true",  # enforce IAM: a handler has the permissions of its role only
        "LOG_LEVEL": "WARNING",  # of the emulator itself
    }
    command: list[str | Path] = [_EMULATOR_PYTHON, ROOT / "local" / "emulator" / "launcher.py", "--port", str(port)]
    command += ["--handler-python", _handler_python(platform.scratch), "--layers", ROOT / ".build" / "layers"]
    command += ["--python-version", Target.here().python.removeprefix("python")]
    command += ["--durable-endpoint", f"http://127.0.0.1:{platform.durable_port}"]
    ready = processes.responds(f"{platform.endpoint_url}/_ministack/health")
    return processes.start("AWS emulator", command, log=platform.log("emulator"), ready=ready, env=environment)


def _handler_python(scratch: Path) -> Path:
    """Write a script that runs Python without installed packages: handlers import only what their archive contains."""
    script = scratch / "handler-python"
    base = getattr(sys, "_base_executable", sys.executable)
    script.write_text(f'#!/bin/sh\nexec "{base}" -I -S "$@"\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return script
