"""The platform on one machine: which parts there are, in which order they come up, and how they are ended."""

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

ROOT = Path(__file__).resolve().parent.parent
REGION = "us-east-1"
ACCOUNT = "000000000000"
CREDENTIALS = {"access_key_id": "test", "secret_access_key": "test"}  # the emulator's root
_EMULATOR_PYTHON = ROOT / ".venv-emulator" / "bin" / "python"


@dataclass
class Platform:
    """Running parts and where they answer. Made by :func:`start`, ended by :meth:`stop`."""

    home: Path  # logs, and what the parts write
    scratch: Path  # short path outside the checkout: a Unix socket's path may have 107 characters
    endpoint_url: str
    durable_port: int
    model_url: str
    database_port: int
    parts: list[processes.Part] = field(default_factory=list)
    database: dict[str, str] = field(default_factory=dict)  # name, user, password once an RDS instance was declared

    def log(self, name: str) -> Path:
        return self.home / "logs" / f"{name}.log"

    @property
    def ca(self) -> Path:
        """The certificate authority that PostgreSQL's certificate is signed by."""
        return self.scratch / "pg" / "ca.pem"

    @property
    def database_url(self) -> str | None:
        """libpq URL of the RDS instance's database for its master user, or None when the stack has no database."""
        if not self.database:
            return None
        user, password, name = (self.database[key] for key in ("user", "password", "name"))
        return postgres.url(self.scratch / "pg", self.database_port, user=user, password=password, database=name)

    def client(self, service: str, region: str = REGION) -> Any:
        """A boto3 client of the emulated account's root."""
        return boto3.client(
            service,
            endpoint_url=self.endpoint_url,
            region_name=region,
            aws_access_key_id=CREDENTIALS["access_key_id"],
            aws_secret_access_key=CREDENTIALS["secret_access_key"],
            config=Config(retries={"max_attempts": 1}, max_pool_connections=50),
        )

    def on_database(self, name: str, user: str, password: str) -> None:
        """Make the database of an RDS instance that the program declares."""
        postgres.create_database(self.scratch / "pg", self.database_port, name=name, user=user, password=password)
        self.database.update(name=name, user=user, password=password)

    def start_durable_runner(self, functions: Mapping[str, Mapping[str, int]], region: str) -> None:
        """Start AWS's local runner of durable executions for ``functions`` (name → DurableConfig) of one region."""
        configs = {name: {"DurableConfig": dict(config)} for name, config in functions.items()}
        environment = {**os.environ, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
        here = f"http://127.0.0.1:{self.durable_port}"
        command: list[str | Path] = [Path(sys.executable).parent / "dex-local-runner", "start-server"]
        command += ["--host", "127.0.0.1", "--port", str(self.durable_port), "--log-level", "WARNING"]
        command += ["--lambda-endpoint", self.endpoint_url, "--local-runner-endpoint", here]
        command += ["--local-runner-region", region, "--function-configs", json.dumps(configs)]
        ready = processes.answers(f"{here}/health")
        part = processes.start("durable runner", command, log=self.log("durable-runner"), ready=ready, env=environment)
        self.parts.append(part)

    def calls(self) -> dict[str, int]:
        """AWS API calls that the emulator has served, by ``service:Operation``."""
        import urllib.request  # noqa: PLC0415

        with urllib.request.urlopen(f"{self.endpoint_url}/_fabric/calls") as response:  # noqa: S310
            return json.load(response)

    def stop(self) -> None:
        """End every part, and take away what they wrote outside ``home``."""
        processes.stop(self.parts)
        self.parts.clear()
        shutil.rmtree(self.scratch, ignore_errors=True)

    def save(self, path: Path) -> None:
        """Write down what :meth:`load` needs; it holds the database's password, so only the owner may read it."""
        state = {**asdict(self), "home": str(self.home), "scratch": str(self.scratch)}
        state["parts"] = [{"name": p.name, "pid": p.pid, "log": str(p.log)} for p in self.parts]
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(state, file)

    @classmethod
    def load(cls, path: Path) -> Platform:
        state = json.loads(path.read_text())
        parts = [processes.Part(p["name"], p["pid"], Path(p["log"])) for p in state.pop("parts")]
        return cls(**{**state, "home": Path(state["home"]), "scratch": Path(state["scratch"]), "parts": parts})


def start(home: Path, *, progress: Callable[[str], None] = lambda _: None, only_emulator: bool = False) -> Platform:
    """Bring up emulator, PostgreSQL and the model's stand-in, empty, on free ports of 127.0.0.1.

    Args:
        only_emulator: leave out what only functions that run need.

    Raises:
        PartFailedError: a part did not come up; those already up are stopped again.
    """
    if not _EMULATOR_PYTHON.exists():
        raise processes.PartFailedError("the emulator is not installed: run make setup")
    shutil.rmtree(home / "logs", ignore_errors=True)
    scratch = Path(tempfile.mkdtemp(prefix="fabric-"))
    scratch.chmod(0o755)  # PostgreSQL runs as another user when we are root
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
            platform.parts += postgres.start(scratch / "pg", port=database_port, log=platform.log("postgres"))
        progress("AWS emulator")
        platform.parts.append(_start_emulator(platform, emulator_port))
        if only_emulator:
            return platform
        progress("model stand-in")
        command = [sys.executable, "-m", "local.model_server", "--port", str(model_port)]
        ready = processes.answers(f"{platform.model_url}/health")
        platform.parts.append(processes.start("model stand-in", command, log=platform.log("model"), ready=ready))
    except BaseException:
        platform.stop()
        raise
    return platform


@contextmanager
def running(
    home: Path, *, progress: Callable[[str], None] = lambda _: None, only_emulator: bool = False
) -> Iterator[Platform]:
    """A platform for as long as the block lasts, also when it ends by an error or Ctrl-C."""
    platform = start(home, progress=progress, only_emulator=only_emulator)
    try:
        yield platform
    finally:
        platform.stop()


def _start_emulator(platform: Platform, port: int) -> processes.Part:
    temporary = platform.scratch / "tmp"
    temporary.mkdir()
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(temporary),
        "TMPDIR": str(temporary),  # it leaks unzipped packages when killed: they go with the folder
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "MINISTACK_REGION": REGION,
        "IOT_MTLS_ENABLED": "0",
        "AUTH": "true",  # handlers may do what their roles allow, and no more
        "LOG_LEVEL": "WARNING",
    }
    command: list[str | Path] = [_EMULATOR_PYTHON, ROOT / "local" / "emulator" / "launcher.py", "--port", str(port)]
    command += ["--handler-python", _handler_python(platform.scratch), "--layers", ROOT / ".build" / "layers"]
    command += ["--python-version", Target.here().python.removeprefix("python")]
    command += ["--durable-endpoint", f"http://127.0.0.1:{platform.durable_port}"]
    ready = processes.answers(f"{platform.endpoint_url}/_ministack/health")
    return processes.start("AWS emulator", command, log=platform.log("emulator"), ready=ready, env=environment)


def _handler_python(scratch: Path) -> Path:
    """An interpreter that sees the standard library and nothing installed: what runs is what was packaged."""
    script = scratch / "handler-python"
    base = getattr(sys, "_base_executable", sys.executable)
    script.write_text(f'#!/bin/sh\nexec "{base}" -I -S "$@"\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return script
