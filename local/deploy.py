"""In-process deployment of the Pulumi program to the emulator, without Pulumi's CLI and without a plugin.

Pulumi's mock monitor replaces the engine: the monitor passes on each resource as soon as all inputs are known, in the
program's own dependency order. ``local.types`` creates the resource, and the result becomes the resource's outputs.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pulumi
from pulumi.runtime import settings, stack
from pulumi.runtime.mocks import MockCallArgs, MockMonitor, MockResourceArgs, Mocks, set_mocks

from infra.graph.capture import abandon, uncollected
from infra.graph.output_shape import in_state
from infra.naming.context import PROJECT
from local import invokes, types
from local.wire import clear

_MAX_PARALLEL = 16  # resources created at the same time; asyncio's default is six on two cores


@dataclass(frozen=True)
class DeployStep:
    """Outcome for one resource of the program."""

    type: str
    name: str
    urn: str
    parent: str  # URN; empty for the stack
    outcome: str  # "created", "recorded" (the emulator does not have the type) or "component"


@dataclass
class Deployment:
    """Result of a run of the program: one step per resource, and the stack's outputs."""

    steps: list[DeployStep] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)

    def count(self, outcome: str) -> Counter[str]:
        """Count the resources with ``outcome``, by type token."""
        return Counter(step.type for step in self.steps if step.outcome == outcome)


class _Emulated(Mocks):
    """Pulumi mocks that create each resource on the emulator."""

    def __init__(self, context: types.EmulatorContext, stacks: Mapping[str, Mapping[str, Any]]) -> None:
        self.context = context
        self.stacks = stacks
        self.outcomes: dict[tuple[str, str], str] = {}

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        inputs = clear(args.inputs)
        if args.typ == "pulumi:pulumi:StackReference":
            outputs = dict(self.stacks.get(inputs["name"], {}))
            return inputs["name"], {**inputs, "outputs": outputs, "secretOutputNames": []}
        if not args.custom or args.typ.startswith("pulumi:"):
            self.outcomes[args.typ, args.name] = "component"
            return f"{args.name}-id" if args.custom else None, inputs
        resource_type = types.find_type(args.typ)
        try:
            created = resource_type.create_whole(types.ResourceRequest(args.typ, args.name, inputs, self.context))
        except types.EMULATOR_ERRORS as error:
            raise types.CreationFailedError(f"{args.typ} {args.name} was refused: {error}") from error
        self.outcomes[args.typ, args.name] = "recorded" if isinstance(resource_type, types.RecordedOnly) else "created"
        return created.id, in_state(
            args.typ, {**inputs, **created.outputs}, inputs.get("region") or self.context.region
        )

    def call(self, args: MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        function = invokes.FUNCTIONS.get(args.token)
        if function is None:
            raise types.CreationFailedError(invokes.unknown_function(args.token))
        return function(self.context, args.args), []


class _ReportingMonitor(MockMonitor):
    """Monitor that records a step per registered resource, with its URN and parent, and reports the step."""

    def __init__(self, mocks: _Emulated, deployment: Deployment, report: Callable[[DeployStep], None]) -> None:
        super().__init__(mocks)
        self._emulated, self._deployment, self._report = mocks, deployment, report

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802  Pulumi's name
        response = super().RegisterResource(request)
        outcome = self._emulated.outcomes.get((request.type, request.name))
        if outcome:
            step = DeployStep(request.type, request.name, response.urn, request.parent, outcome)
            self._deployment.steps.append(step)
            self._report(step)
        return response


def deploy(
    program: Callable[[], None],
    *,
    stack_name: str,
    config: Mapping[str, str],
    context: types.EmulatorContext,
    stacks: Mapping[str, Mapping[str, Any]] | None = None,
    report: Callable[[DeployStep], None] = lambda _: None,
) -> Deployment:
    """Run ``program`` as stack ``stack_name`` against the emulator.

    Args:
        config: configuration of the stack by full key, objects as JSON (``infra.settings.stackfile.read``).
        stacks: outputs of the stacks in the program's stack references, by full name.
        report: called after each resource, in the thread that created the resource.

    Raises:
        CreationFailedError: the emulator refused a resource; the rest of the program did not run.
        pulumi.RunError: the settings are invalid.
    """
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)  # before set_mocks, which binds its locks to the current loop
    loop.set_default_executor(ThreadPoolExecutor(_MAX_PARALLEL))
    deployment = Deployment()
    settings.set_root_resource(None)  # pyright: ignore[reportArgumentType]  an earlier deployment in this process set it
    emulated = _Emulated(context, stacks or {})
    set_mocks(
        emulated,
        project=PROJECT,
        stack=stack_name,
        preview=False,
        logger=logging.getLogger("local.deploy"),
        organization="organization",
        monitor=_ReportingMonitor(emulated, deployment, report),
    )
    pulumi.runtime.set_all_config(dict(config))

    def run() -> None:
        program()
        root = settings.get_root_resource()
        assert root is not None, "set_mocks made the stack"
        pulumi.Output.from_input(root.outputs).apply(deployment.outputs.update)  # pyright: ignore

    try:
        with uncollected():
            loop.run_until_complete(stack.run_pulumi_func(run))
    finally:
        abandon(loop)
        loop.close()
        asyncio.set_event_loop(asyncio.new_event_loop())
    return deployment
