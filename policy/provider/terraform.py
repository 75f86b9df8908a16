"""Terraform's command line, in a folder of its own and cut off from AWS and from the user's configuration."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from infra.graph.terraform.configuration import NOWHERE
from policy.provider.installation import Installation

_TIMEOUT_S = 600
_STOP_S = 20  # for the plan of one resource to end after an interrupt


class TerraformError(Exception):
    """Failure of Terraform itself: no diagnostics, or no end."""


class Terraform:
    """Terraform with the provider of an installation. Commands run in several threads; ``stop`` ends them all."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self._running: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def init(self, folder: Path) -> None:
        """Install the provider of ``main.tf.json`` in ``folder`` from the mirror.

        Raises:
            TerraformError: Terraform refuses the provider.
        """
        (folder / "empty.tfrc").write_text("")  # a user's configuration, or a missing one, has no effect
        status, output, errors = self._run(
            folder, "init", f"-plugin-dir={self.installation.plugins}", "-input=false", "-no-color"
        )
        if status:
            raise TerraformError(f"terraform init ended with {status}: {(errors or output).strip()[-2000:]}")

    def schema(self, folder: Path) -> dict[str, Any]:
        """Return the schema of the provider's resources, by type."""
        _, output, errors = self._run(folder, "providers", "schema", "-json")
        (provider,) = _document(output, errors, "providers schema")["provider_schemas"].values()
        return provider["resource_schemas"]

    def validate(self, folder: Path) -> list[dict[str, Any]]:
        """Return the diagnostics of ``terraform validate``."""
        _, output, errors = self._run(folder, "validate", "-json")
        return _document(output, errors, "validate")["diagnostics"]

    def plan(self, folder: Path) -> list[dict[str, Any]]:
        """Return the diagnostics of ``terraform plan``, which validates first.

        Raises:
            TerraformError: the plan ended without a change and without an error.
        """
        status, output, errors = self._run(folder, "plan", "-json", "-input=false", "-refresh=false", "-lock=false")
        events = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
        diagnostics = [event["diagnostic"] for event in events if event["type"] == "diagnostic"]
        failed = any(diagnostic["severity"] == "error" for diagnostic in diagnostics)
        if bool(status) != failed or not (failed or any(event["type"] == "change_summary" for event in events)):
            raise TerraformError(f"terraform plan ended with {status}: {(errors or output).strip()[-2000:]}")
        return diagnostics

    @contextmanager
    def stopping(self) -> Iterator[None]:
        """End all commands if the block is left by an exception, such as Ctrl-C."""
        try:
            yield
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Interrupt the running commands, which end their provider processes, and start no further command."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                process.send_signal(signal.SIGINT)

    def _run(self, folder: Path, *arguments: str) -> tuple[int, str, str]:
        with self._lock:
            if self._stopped:
                raise TerraformError("terraform was interrupted")
            process = subprocess.Popen(  # noqa: S603  fixed program and arguments
                [str(self.installation.terraform), *arguments],
                cwd=folder,
                env=_environment(folder, os.environ),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                process_group=0,  # Ctrl-C reaches this process alone, which interrupts Terraform once
            )
            self._running.add(process)
        try:
            output, errors = process.communicate(timeout=_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise TerraformError(f"terraform {arguments[0]} did not end within {_TIMEOUT_S} s") from None
        finally:
            _end(process)
            with self._lock:
                self._running.discard(process)
        return process.returncode, output, errors


def _end(process: subprocess.Popen[str]) -> None:
    """End a command that was left early; Terraform ends its provider on an interrupt, but not if it is killed."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGINT)
    try:
        process.communicate(timeout=_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()


def _environment(folder: Path, inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without settings of Terraform and AWS, and with every API at a closed port."""
    kept = {key: value for key, value in inherited.items() if not key.startswith(("TF_", "AWS_"))}
    return {
        **kept,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": NOWHERE,
        "CHECKPOINT_DISABLE": "1",  # Terraform asks for no newer version
        "TF_CLI_CONFIG_FILE": str(folder / "empty.tfrc"),
        "TF_IN_AUTOMATION": "1",
    }


def _document(output: str, errors: str, command: str) -> dict[str, Any]:
    try:
        return json.loads(output)
    except json.JSONDecodeError:
        text = (errors or output).strip()[-2000:]
        raise TerraformError(f"terraform {command} printed no JSON: {text}") from None
