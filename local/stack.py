"""Puts a stack onto a running platform: packages and settings for this machine, the program, the functions."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from infra import program
from infra.foundation import packages
from infra.packager import build as packager
from infra.settings import stackfile
from infrafabric.cli.api_client import ApiClient, ByKey
from local import deploy, types
from local.platform import ACCOUNT, CREDENTIALS, REGION, Platform

# One event source runs so many handlers side by side: two cores gain nothing from more.
_CONCURRENCY = 2


@dataclass(frozen=True)
class Deployed:
    """A stack on the platform."""

    stack: str
    region: str
    deployment: deploy.Deployment
    primary: Deployed | None = None  # what it stands by for, on the same platform

    @property
    def outputs(self) -> dict[str, Any]:
        return self.deployment.outputs


def changes(platform: Platform) -> dict[str, Any]:
    """Where a stack on this machine differs from the same stack in AWS: by settings only."""
    return {
        "model.provider": "offline",
        "model.baseUrl": platform.model_url,
        "fleet.maxConcurrency": _CONCURRENCY,
        "database.rootCert": str(platform.ca),
    }


def emulator_context(platform: Platform, region: str = REGION) -> types.EmulatorContext:
    """Return the connection to the platform's emulator that resource types use."""
    work = platform.scratch / "work"
    work.mkdir(exist_ok=True)
    return types.EmulatorContext(
        endpoint_url=platform.endpoint_url,
        region=region,
        account_id=ACCOUNT,
        work=work,
        database_port=platform.database_port,
        on_database=platform.on_database,
    )


def put_up(
    platform: Platform,
    stack: str = "dev",
    changed: Mapping[str, Any] | None = None,
    *,
    primary_changed: Mapping[str, Any] | None = None,
    report: Callable[[deploy.Step], None] = lambda _: None,
) -> Deployed:
    """Build the packages, run the program against the emulator, and make the functions answer.

    A standby is put up after the primary that it reads, as in AWS: both on the one platform, each in its region. What
    runs sessions is the stack that was asked for, because the runner of durable executions knows one region.

    Args:
        changed: settings by dotted path (``{"fleet.size": 2}``), beside what this machine makes of a stack.
        primary_changed: likewise, of the primary that a standby is put up after.
        report: called for each resource once it stands.

    Raises:
        packager.PackagingError, types.CreationFailedError, pulumi.RunError
    """
    built = packager.build(packager.Target.here())
    with _packages(built.code.parent):
        deployed = _put_up(platform, stack, changed or {}, primary_changed or {}, report)
    platform.start_durable_runner(_durable_functions(platform, deployed.region), deployed.region)
    return deployed


def _put_up(
    platform: Platform,
    stack: str,
    changed: Mapping[str, Any],
    primary_changed: Mapping[str, Any],
    report: Callable[[deploy.Step], None],
) -> Deployed:
    # A stack that keeps the password itself has it encrypted in its file, where only the engine can read it.
    config = {
        **stackfile.read(stack, {**changes(platform), **changed}),
        "infrafabric:databasePassword": secrets.token_urlsafe(24),
    }
    tree = json.loads(config["infrafabric:settings"])
    primary, stacks = None, {}
    if tree.get("primary"):
        name = tree["primary"]["stack"]
        primary = _put_up(platform, name.rpartition("/")[2], primary_changed, {}, report)
        stacks = {name: primary.outputs}
    context = emulator_context(platform, tree["region"])
    deployment = deploy.deploy(
        program.stack, stack_name=stack, config=config, context=context, stacks=stacks, report=report
    )
    return Deployed(stack, tree["region"], deployment, primary)


def warm(platform: Platform, deployed: Deployed) -> None:
    """Start one environment of every function at once: those that start one after another cost seconds.

    An agent answers an empty batch without doing anything, and so does the recorder; the API lists no sessions.
    """
    client = platform.client("lambda", deployed.region)
    outputs = deployed.outputs

    def invoke(function: str) -> None:
        client.invoke(FunctionName=f"{function}:live", Payload=b'{"Records": []}')

    jobs = [partial(invoke, agent["function_name"]) for agent in outputs["agents"].values()]
    jobs.append(partial(ApiClient(outputs["api_url"], ByKey(outputs["api_key"])).call, "GET", "/sessions"))
    if outputs.get("record_queue_url"):
        jobs.append(partial(invoke, f"infrafabric-{deployed.stack}-recorder"))
    with ThreadPoolExecutor(len(jobs)) as pool:
        for job in [pool.submit(job) for job in jobs]:
            job.result()


def facts(platform: Platform, deployed: Deployed) -> dict[str, Any]:
    """What a client of the platform needs to know, in the shape that ``fabric local up --json`` prints.

    Beside a standby there is ``primary``: {"region", "outputs"} of the stack that it stands by for.
    """
    primary = deployed.primary
    beside = {"primary": {"region": primary.region, "outputs": primary.outputs}} if primary else {}
    return {
        "endpoint_url": platform.endpoint_url,
        "stack": deployed.stack,
        "region": deployed.region,
        "credentials": CREDENTIALS,
        "api": {"url": deployed.outputs["api_url"], "key": deployed.outputs["api_key"]},
        "database_url": platform.database_url,
        "outputs": deployed.outputs,
        **beside,
    }


@contextmanager
def _packages(folder: Path) -> Iterator[None]:
    before = os.environ.get(packages.OVERRIDE)
    os.environ[packages.OVERRIDE] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ[packages.OVERRIDE]
        else:
            os.environ[packages.OVERRIDE] = before


def _durable_functions(platform: Platform, region: str) -> dict[str, dict[str, int]]:
    pages = platform.client("lambda", region).get_paginator("list_functions").paginate()
    found = [function for page in pages for function in page["Functions"]]
    return {f["FunctionName"]: f["DurableConfig"] for f in found if f.get("DurableConfig")}
