"""Deploys the Pulumi program in this process: its own graph and dependency order, resources made by ``local.types``.

Pulumi's mock monitor stands in for the engine: it hands over each resource when all that it needs is known, and what is
returned here becomes the resource's outputs. No CLI and no plugin take part.
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
from local import invokes, types
from local.wire import clear

PROJECT = "infrafabric"
_AT_ONCE = 16  # resources made side by side; asyncio alone would take six on two cores


@dataclass(frozen=True)
class Step:
    """One resource of the program as it was dealt with."""

    type: str
    name: str
    urn: str
    parent: str  # URN; empty for the stack
    outcome: str  # "created", "recorded" (no way to create it here) or "component"


@dataclass
class Deployment:
    """What stands once the program has run."""

    steps: list[Step] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)

    def count(self, outcome: str) -> Counter[str]:
        """How many resources had ``outcome``, by type token."""
        return Counter(step.type for step in self.steps if step.outcome == outcome)


class _Emulated(Mocks):
    """Creates each resource on the emulator."""

    def __init__(self, at: types.Surroundings, stacks: Mapping[str, Mapping[str, Any]]) -> None:
        self.at = at
        self.stacks = stacks
        self.outcomes: dict[tuple[str, str], str] = {}

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        inputs = clear(args.inputs)
        create = types.table().get(args.typ)
        if args.typ == "pulumi:pulumi:StackReference":
            outputs = dict(self.stacks.get(inputs["name"], {}))
            return inputs["name"], {**inputs, "outputs": outputs, "secretOutputNames": []}
        if not args.custom or args.typ.startswith("pulumi:"):
            self.outcomes[args.typ, args.name] = "component"
            return f"{args.name}-id" if args.custom else None, inputs
        if create is None:
            self.outcomes[args.typ, args.name] = "recorded"
            return f"{args.name}-id", {"arn": f"arn:aws:local:::{args.typ}/{args.name}", **inputs}
        try:
            made = create(types.Declared(args.typ, args.name, inputs, self.at))
        except types.REFUSALS as error:
            raise types.CreationFailedError(f"{args.typ} {args.name} was refused: {error}") from error
        self.outcomes[args.typ, args.name] = "created"
        return made.id, {**inputs, **made.outputs}

    def call(self, args: MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        answer = invokes.ANSWERS.get(args.token)
        if answer is None:
            raise types.CreationFailedError(f"the program invokes {args.token}: give local.invokes an answer for it")
        return answer(self.at, args.args), []


class _Monitor(MockMonitor):
    """Reports each resource as it is dealt with, and its place in the tree."""

    def __init__(self, mocks: _Emulated, deployment: Deployment, report: Callable[[Step], None]) -> None:
        super().__init__(mocks)
        self._emulated, self._deployment, self._report = mocks, deployment, report

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802  Pulumi's name
        response = super().RegisterResource(request)
        outcome = self._emulated.outcomes.get((request.type, request.name))
        if outcome:
            step = Step(request.type, request.name, response.urn, request.parent, outcome)
            self._deployment.steps.append(step)
            self._report(step)
        return response


def deploy(
    program: Callable[[], None],
    *,
    stack_name: str,
    config: Mapping[str, str],
    at: types.Surroundings,
    stacks: Mapping[str, Mapping[str, Any]] | None = None,
    report: Callable[[Step], None] = lambda _: None,
) -> Deployment:
    """Run ``program`` as stack ``stack_name`` against the emulator.

    Args:
        config: the stack's configuration by full key, objects as JSON (``infra.settings.stackfile.read``).
        stacks: outputs of the stacks that the program refers to, by full name.
        report: called for each resource once it stands, from the thread that made it.

    Raises:
        CreationFailedError: the emulator refused a resource; the rest of the program did not run.
        pulumi.RunError: the settings do not describe a stack.
    """
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)  # before set_mocks, which binds its locks to the current loop
    loop.set_default_executor(ThreadPoolExecutor(_AT_ONCE))
    deployment = Deployment()
    settings.set_root_resource(None)  # pyright: ignore[reportArgumentType]  a second deployment in this process
    emulated = _Emulated(at, stacks or {})
    quiet = logging.getLogger("local.deploy")
    set_mocks(
        emulated, project=PROJECT, stack=stack_name, preview=False, logger=quiet, organization="organization",
        monitor=_Monitor(emulated, deployment, report),
    )  # fmt: skip
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
