"""Run the program under Pulumi mocks, and record the inputs, options and exports that the program declares."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pulumi
from pulumi.runtime.mocks import MockCallArgs, MockMonitor, MockResourceArgs, Mocks
from pulumi.runtime.settings import SETTINGS, _get_rpc_manager, get_root_resource, set_root_resource
from pulumi.runtime.stack import Stack, run_pulumi_func

from infra.graph import mock_outputs
from infra.naming.context import PROJECT
from infra.settings import stackfile

# Secrets for a graph that is never deployed.
PLACEHOLDER_SECRETS = {
    "infrafabric:databasePassword": "correct-horse-battery",
    "infrafabric:anthropicApiKey": "sk-ant-hidden",
}
_SECRET_MARK = "4dabf18193072939515e22adb298388d"  # noqa: S105  key of Pulumi's signature in a wrapped value
_THREADS = 32  # concurrent registrations, which mostly wait for each other


@dataclass(frozen=True, kw_only=True)
class Resource:
    """Resource or component, as the program declared it."""

    type: str  # aws:sqs/queue:Queue
    name: str  # logical name
    urn: str
    id: str  # mock of the provider's id
    parent: str  # URN; "" for the stack
    custom: bool  # False: a component
    inputs: Mapping[str, Any]  # secrets in plain text
    secret: frozenset[str]  # names of secret inputs
    outputs: Mapping[str, Any]
    protect: bool
    aliases: tuple[str, ...]
    depends_on: frozenset[str]  # URNs
    by_property: Mapping[str, frozenset[str]]  # input → URNs of the resources it was computed from
    provider: str

    @property
    def service(self) -> str:
        """AWS service, such as ``sqs`` of ``aws:sqs/queue:Queue``."""
        return self.type.split(":")[1].split("/", maxsplit=1)[0]


@dataclass(frozen=True, kw_only=True)
class Graph:
    """Resources and exports of a stack."""

    stack: str
    resources: tuple[Resource, ...]  # sorted by logical name
    exports: Mapping[str, Any]

    def of(self, type_: str) -> dict[str, Resource]:
        """Return the resources of an AWS type such as ``sqs/queue:Queue``, by logical name."""
        return {r.name: r for r in self.resources if r.type == f"aws:{type_}"}

    @property
    def custom(self) -> Iterator[Resource]:
        """AWS resources, without components and providers."""
        return (r for r in self.resources if r.type.startswith("aws:"))


@dataclass
class GraphRecorder(Mocks):
    """Pulumi mocks that record every declared resource; ``region`` is the region of mock outputs."""

    region: str = "us-east-1"
    preview: bool = False  # as in a first preview: resources have neither ids nor outputs
    stacks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # exports of other stacks, by full name
    inputs: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)  # type → logical name → inputs
    raw: dict[str, dict[str, Any]] = field(default_factory=dict)  # by logical name, with secrets still wrapped
    outputs: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)  # by type and logical name
    ids: dict[tuple[str, str], str] = field(default_factory=dict)  # by type and logical name
    # Names of secret inputs, by type and logical name.
    secret: dict[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)  # by logical name: parent, protect, aliases, dependencies
    # By type and logical name, because a component and its child may share a name.
    registered: dict[tuple[str, str], tuple[Any, str]] = field(default_factory=dict)  # request and URN
    exports: dict[str, Any] = field(default_factory=dict)
    secret_exports: set[str] = field(default_factory=set)

    def new_resource(self, args: MockResourceArgs) -> tuple[str, dict[str, Any]]:
        """Record a resource; return its id and its mock outputs."""
        if args.typ == "pulumi:pulumi:StackReference":
            known = dict(self.stacks.get(args.inputs["name"], {}))
            return args.inputs["name"], {"name": args.inputs["name"], "outputs": known, "secretOutputNames": []}
        plain = unwrap_secrets(args.inputs)
        if args.name in self.inputs.get(args.typ, {}):
            raise ValueError(f"{args.typ} {args.name} was declared twice")
        self.inputs.setdefault(args.typ, {})[args.name] = plain
        self.raw[args.name] = args.inputs
        key = args.typ, args.name
        self.secret[key] = frozenset(name for name, value in args.inputs.items() if is_secret(value))
        self.ids[key], self.outputs[key] = mock_outputs.resource_outputs(
            *key, plain, plain.get("region") or self.region
        )
        return ("", args.inputs) if self.preview else (self.ids[key], self.outputs[key])

    def call(self, args: MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        """Return the mock outputs of an invoke."""
        return mock_outputs.invoke_outputs(args.token, args.args), []

    def graph(self, stack: str) -> Graph:
        """Return everything recorded as a graph."""
        resources = (self._resource(type_, name) for type_, named in self.inputs.items() for name in named)
        in_order = tuple(sorted(resources, key=lambda resource: (resource.name, resource.type)))
        return Graph(stack=stack, resources=in_order, exports=dict(self.exports))

    def _resource(self, type_: str, name: str) -> Resource:
        request, urn = self.registered[type_, name]
        return Resource(
            type=type_,
            name=name,
            urn=urn,
            id=self.ids[type_, name],
            parent=request.parent,
            custom=request.custom,
            inputs=self.inputs[type_][name],
            secret=self.secret[type_, name],
            outputs=self.outputs[type_, name],
            protect=request.protect,
            aliases=tuple(alias.spec.name or alias.urn for alias in request.aliases),
            depends_on=frozenset(request.dependencies),
            by_property={
                key: frozenset(value.urns) for key, value in request.propertyDependencies.items() if value.urns
            },
            provider=request.provider,
        )


class _OptionsMonitor(MockMonitor):
    """Mock monitor that records resource options, which Pulumi does not pass to mocks."""

    def __init__(self, recorder: GraphRecorder) -> None:
        super().__init__(recorder)
        self._recorder = recorder

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802  Pulumi's name
        self._recorder.options[request.name] = request
        response = super().RegisterResource(request)
        self._recorder.registered[request.type, request.name] = request, response.urn
        return response


def run(
    program: Callable[[], Any],
    into: GraphRecorder,
    *,
    stack: str,
    config: Mapping[str, str],
    secrets: Mapping[str, str],
) -> None:
    """Run ``program`` to its end, including all applies; raise the first error of any apply."""
    with uncollected(), _without_source_positions():
        _run(program, into, stack, config, secrets)


@contextmanager
def uncollected() -> Iterator[None]:
    """Disable cyclic garbage collection in the block; afterwards all objects count as old.

    The collector would traverse all objects of a program repeatedly, which takes half of the time (prod in a fresh
    process: 7.4 and 4.8 s). Counted as young, the objects would all be traversed by the next collection (0.4 s); a
    later collection of the oldest generation frees the garbage among them.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.unfreeze()
        if enabled:
            gc.enable()


@contextmanager
def _without_source_positions() -> Iterator[None]:
    """Disable Pulumi's source positions in the block.

    Pulumi looks up the declaring line of each resource in the call stack, for messages of the engine. Without an engine
    nothing reads the positions, and the lookup takes a tenth of the time.
    """
    limit = getattr(sys, "tracebacklimit", None)
    sys.tracebacklimit = 1
    try:
        yield
    finally:
        if limit is None:
            del sys.tracebacklimit
        else:
            sys.tracebacklimit = limit


def _run(
    program: Callable[[], Any], into: GraphRecorder, stack: str, config: Mapping[str, str], secrets: Mapping[str, str]
) -> None:
    loop = asyncio.new_event_loop()  # before set_mocks(), which keeps the current loop
    asyncio.set_event_loop(loop)
    loop.set_default_executor(ThreadPoolExecutor(_THREADS))
    try:
        set_root_resource(cast(Any, None))  # each run needs its own root stack for exports
        pulumi.runtime.set_mocks(
            into,
            project=PROJECT,
            stack=stack,
            preview=into.preview,
            monitor=_OptionsMonitor(into),
            organization="organization",
        )
        pulumi.runtime.set_all_config({**config, **secrets}, secret_keys=list(secrets))
        loop.run_until_complete(run_pulumi_func(lambda: _in_stack(program, into)))
    finally:
        abandon(loop)
        loop.close()
        asyncio.set_event_loop(None)


def abandon(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel all tasks that wait for a failed resource, without an error message for each task."""
    # The failure has been raised already; its futures must not report it again.
    loop.set_exception_handler(lambda *_: None)
    waiting = asyncio.all_tasks(loop)
    for task in waiting:
        task.cancel()
    if waiting:
        loop.run_until_complete(asyncio.gather(*waiting, return_exceptions=True))
    # Otherwise the next program in this process would find the remaining calls and outputs.
    _get_rpc_manager().clear()
    SETTINGS.outputs.clear()  # pyright: ignore[reportAttributeAccessIssue]  a property over a context variable


async def _in_stack(program: Callable[[], Any], recorder: GraphRecorder) -> None:
    program()
    root = get_root_resource()
    assert isinstance(root, Stack)
    for name, value in root.outputs.items():
        output = pulumi.Output.from_input(value)
        recorder.exports[name] = await output.future()
        if await output.is_secret():
            recorder.secret_exports.add(name)


def record_stack(
    recorder: GraphRecorder,
    stack: str,
    changes: Mapping[str, Any] | None = None,
    secrets: Mapping[str, str] = PLACEHOLDER_SECRETS,
    stacks: Mapping[str, Mapping[str, Any]] | None = None,
    folder: Path = stackfile.FOLDER,
) -> None:
    """Run the whole program of ``Pulumi.<stack>.yaml`` into ``recorder``, with settings changed by dotted path.

    Args:
        folder: where the stack files are.
        stacks: exports of other stacks by full name; None captures a standby's primary first, for its exports.
    """
    from infra import program  # noqa: PLC0415  the provider takes a second to import

    config = stackfile.read(stack, changes, folder)
    tree = json.loads(config["infrafabric:settings"])
    if stacks is None:
        stacks = _primary_of(tree, secrets, folder)
    recorder.region, recorder.stacks = str(tree.get("region")), stacks
    run(program.stack, recorder, stack=stack, config=config, secrets=secrets)


def _primary_of(tree: Mapping[str, Any], secrets: Mapping[str, str], folder: Path) -> dict[str, Mapping[str, Any]]:
    full_name = (tree.get("primary") or {}).get("stack") if isinstance(tree.get("primary"), dict) else None
    if not isinstance(full_name, str):
        return {}
    return {full_name: capture(full_name.rpartition("/")[2], secrets=secrets, folder=folder).exports}


def capture(
    stack: str,
    changes: Mapping[str, Any] | None = None,
    *,
    secrets: Mapping[str, str] = PLACEHOLDER_SECRETS,
    stacks: Mapping[str, Mapping[str, Any]] | None = None,
    folder: Path = stackfile.FOLDER,
) -> Graph:
    """Return the graph of ``Pulumi.<stack>.yaml``; ``stacks`` and ``folder`` as for ``record_stack``.

    Raises:
        FileNotFoundError: the stack file is missing.
        pulumi.RunError: the settings do not describe a stack.
    """
    recorder = GraphRecorder()
    record_stack(recorder, stack, changes, secrets, stacks, folder)
    return recorder.graph(stack)


def is_secret(value: Any) -> bool:
    """Return True if ``value`` is wrapped as a Pulumi secret."""
    return isinstance(value, dict) and _SECRET_MARK in value


def unwrap_secrets(value: Any) -> Any:
    """Return ``value`` with every secret replaced by its plain value, at any depth."""
    if is_secret(value):
        return unwrap_secrets(value["value"])
    if isinstance(value, dict):
        return {key: unwrap_secrets(inner) for key, inner in value.items()}
    return [unwrap_secrets(inner) for inner in value] if isinstance(value, list) else value
