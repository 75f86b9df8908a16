"""Deployment of a stack to a running platform: settings for this machine, packages, resources, warm functions."""

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
from infrafabric.cli.api_client import ApiClient, ApiKeyAuthentication
from local import deploy, types
from local.platform import ACCOUNT, CREDENTIALS, REGION, Platform

_CONCURRENCY = 2  # handlers per event source at the same time; more do not help on two cores
# Settings of the emulated account: with its quota, the stack reserves concurrency as in AWS.
ACCOUNT_SETTINGS: Mapping[str, Any] = {"account.lambdaConcurrency": 1000}


@dataclass(frozen=True, kw_only=True)
class DeployedStack:
    """Stack that is deployed to the platform, by either engine."""

    stack: str
    region: str
    outputs: dict[str, Any]  # of the stack's program, secrets in clear
    primary: DeployedStack | None = None  # for a standby: the primary, on the same platform


@dataclass(frozen=True, kw_only=True)
class EmulatedStack(DeployedStack):
    """Stack that this process deployed, resource by resource."""

    deployment: deploy.Deployment
    primary: EmulatedStack | None = None


def local_settings(platform: Platform) -> dict[str, Any]:
    """Return the settings, by dotted path, in which a stack on this machine differs from the same stack in AWS."""
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


def deploy_stack(
    platform: Platform,
    stack: str = "dev",
    overrides: Mapping[str, Any] | None = None,
    *,
    primary_overrides: Mapping[str, Any] | None = None,
    folder: Path = stackfile.FOLDER,
    report: Callable[[deploy.DeployStep], None] = lambda _: None,
) -> EmulatedStack:
    """Build the packages, run the program against the emulator, and start the durable-execution runner.

    The primary of a standby is deployed first, as in AWS: to the same platform, in its own Region. Only ``stack`` can
    run sessions, as the runner supports one Region.

    Args:
        overrides: settings by dotted path (``{"fleet.size": 2}``), besides :func:`local_settings`.
        primary_overrides: settings of a standby's primary.
        folder: where the stack files are.
        report: called after each resource.

    Raises:
        packager.PackagingError: a package could not be built.
        processes.ProcessFailedError: the runner did not start.
        pulumi.RunError: the settings are invalid.
        types.CreationFailedError: the emulator refused a resource.
    """
    package = packager.build(packager.Target.here())
    with _package_folder(package.code.parent):
        deployed = _deploy(platform, stack, overrides or {}, primary_overrides or {}, folder, report)
    start_runner(platform, deployed)
    return deployed


def _deploy(
    platform: Platform,
    stack: str,
    overrides: Mapping[str, Any],
    primary_overrides: Mapping[str, Any],
    folder: Path,
    report: Callable[[deploy.DeployStep], None],
) -> EmulatedStack:
    # A stack whose settings hold the password has the password encrypted in its file; only the engine can decrypt it.
    config = {
        **stackfile.read(stack, {**local_settings(platform), **ACCOUNT_SETTINGS, **overrides}, folder),
        "infrafabric:databasePassword": secrets.token_urlsafe(24),
    }
    tree = json.loads(config["infrafabric:settings"])
    primary, stacks = None, {}
    if tree.get("primary"):
        name = tree["primary"]["stack"]
        primary = _deploy(platform, name.rpartition("/")[2], primary_overrides, {}, folder, report)
        stacks = {name: primary.outputs}
    context = emulator_context(platform, tree["region"])
    deployment = deploy.deploy(
        program.stack, stack_name=stack, config=config, context=context, stacks=stacks, report=report
    )
    return EmulatedStack(
        stack=stack, region=tree["region"], outputs=deployment.outputs, deployment=deployment, primary=primary
    )


def start_runner(platform: Platform, deployed: DeployedStack) -> None:
    """Start the durable-execution runner for the functions of a deployed stack.

    Raises:
        processes.ProcessFailedError: the runner did not start.
    """
    platform.start_durable_runner(_durable_functions(platform, deployed.region), deployed.region)


def warm_up(platform: Platform, deployed: DeployedStack) -> None:
    """Start one environment per function, all at the same time: one after another would take seconds.

    Agents and recorder receive an empty batch, which has no effect; the API receives a request for all sessions.
    """
    client = platform.client("lambda", deployed.region)
    outputs = deployed.outputs

    def invoke(function: str) -> None:
        client.invoke(FunctionName=f"{function}:live", Payload=b'{"Records": []}')

    jobs = [partial(invoke, agent["function_name"]) for agent in outputs["agents"].values()]
    jobs.append(
        partial(ApiClient(outputs["api_url"], ApiKeyAuthentication(outputs["api_key"])).call, "GET", "/sessions")
    )
    if outputs.get("record_queue_url"):
        jobs.append(partial(invoke, f"infrafabric-{deployed.stack}-recorder"))
    with ThreadPoolExecutor(len(jobs)) as pool:
        for job in [pool.submit(job) for job in jobs]:
            job.result()


def connection(platform: Platform, deployed: DeployedStack) -> dict[str, Any]:
    """Return addresses, credentials and outputs for clients, as ``fabric local up --json`` prints them.

    For a standby the key ``primary`` has ``{"region", "outputs"}`` of its primary.
    """
    primary = deployed.primary
    primary_info = {"primary": {"region": primary.region, "outputs": primary.outputs}} if primary else {}
    return {
        "endpoint_url": platform.endpoint_url,
        "stack": deployed.stack,
        "region": deployed.region,
        "credentials": CREDENTIALS,
        "api": {"url": deployed.outputs["api_url"], "key": deployed.outputs["api_key"]},
        "database_url": platform.database_url,
        "outputs": deployed.outputs,
        **primary_info,
    }


@contextmanager
def _package_folder(folder: Path) -> Iterator[None]:
    """Make the program use the packages in ``folder`` until the block ends."""
    previous = os.environ.get(packages.OVERRIDE)
    os.environ[packages.OVERRIDE] = str(folder)
    try:
        yield
    finally:
        if previous is None:
            del os.environ[packages.OVERRIDE]
        else:
            os.environ[packages.OVERRIDE] = previous


def _durable_functions(platform: Platform, region: str) -> dict[str, dict[str, int]]:
    pages = platform.client("lambda", region).get_paginator("list_functions").paginate()
    functions = [function for page in pages for function in page["Functions"]]
    return {f["FunctionName"]: f["DurableConfig"] for f in functions if f.get("DurableConfig")}
