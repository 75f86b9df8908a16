"""All stacks through the provider, with the requests that the engine would send.

These tests need no Pulumi CLI: order, inputs and identifiers are the program's own. They do not test the engine's part
(state, order of replacements, language host): test_stack.py does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pytest
from pulumi.runtime.mocks import MockResourceArgs
from pulumi.runtime.proto import provider_pb2

from infra import program
from infra.packager import build as packager
from infra.settings import stackfile
from local import deploy, stack, wire
from local import platform as local_platform
from tests.engine.conftest import Engine, EngineResource, engine_for, only_hashes
from tests.engine.remaining import remaining_resources

NONE = provider_pb2.DiffResponse.DIFF_NONE
AGENTS = 2  # instead of ten: agents are alike


@dataclass
class ProviderStack:
    """Stack deployed through the provider, with the plan of the next run."""

    engine: Engine
    platform: local_platform.Platform
    stack: str = "dev"
    region: str = local_platform.REGION
    stacks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # outputs of referenced stacks, by full name
    outputs: dict[str, Any] = field(default_factory=dict)
    resources: dict[tuple[str, str], EngineResource] = field(default_factory=dict)  # in order of creation
    plans: dict[str, tuple[list[str], list[str]]] = field(
        default_factory=dict
    )  # name → changed inputs, replacing inputs

    def run(self, **changes: Any) -> None:
        """Run the program: create new resources, and plan changes of existing ones."""
        self.plans.clear()
        overrides = {"fleet.size": AGENTS, **{path.replace("__", "."): value for path, value in changes.items()}}
        config = stackfile.read(self.stack, {**stack.local_settings(self.platform), **overrides}, stackfile.REFERENCE)
        config["infrafabric:databasePassword"] = "correct-horse-battery"
        package = packager.build(packager.Target.here())
        with pytest.MonkeyPatch.context() as patch, stack._package_folder(package.code.parent):
            patch.setattr(deploy, "_Emulated", lambda context, stacks: _ProviderMocks(context, stacks, self))
            context = stack.emulator_context(self.platform, self.region)
            deployment = deploy.deploy(
                program.stack, stack_name=self.stack, config=config, context=context, stacks=self.stacks
            )
        self.outputs = deployment.outputs


class _ProviderMocks(deploy._Emulated):
    """Mocks that create resources through the provider instead of ``local.types``."""

    def __init__(self, context: Any, stacks: Mapping[str, Mapping[str, Any]], provider_stack: ProviderStack) -> None:
        super().__init__(context, stacks)
        self.provider_stack = provider_stack

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        if not args.custom or args.typ.startswith("pulumi:"):
            return super().new_resource(args)
        key, inputs, engine = (args.typ, args.name), _as_sent(args.inputs), self.provider_stack.engine
        if key in self.provider_stack.resources:
            resource = self.provider_stack.resources[key]
            plan = engine.diff(
                EngineResource(resource.type, resource.name, resource.inputs, resource.id, resource.outputs),
                news=inputs,
            )
            if plan.changes != NONE:
                self.provider_stack.plans[args.name] = (list(plan.diffs), list(plan.replaces))
        else:
            resource = self.provider_stack.resources[key] = engine.create(*key, inputs)
        return resource.id, wire.clear(resource.outputs)


def drifted(provider_stack: ProviderStack) -> dict[str, Any]:
    """Return name and properties of every resource in which a refresh sees a change; None for one that is gone."""
    found = {}
    for resource in provider_stack.resources.values():
        state = provider_stack.engine.read(resource)
        after = (wire.clear(wire.read(state.inputs)), wire.clear(wire.read(state.properties)))
        before = (wire.clear(only_hashes(resource.inputs)), wire.clear(only_hashes(resource.outputs)))
        if not state.id:
            found[resource.name] = None
        elif after != before:
            found[resource.name] = [
                (name, old.get(name), new.get(name))
                for old, new in zip(before, after, strict=True)
                for name in {*old, *new}
                if old.get(name) != new.get(name)
            ]
    return found


def _as_sent(value: Any) -> Any:
    """Return inputs as the engine sends them: archives with a hash (here: of the path instead of the content)."""
    if isinstance(value, pulumi.FileArchive):
        digest = hashlib.sha256(value.path.encode()).hexdigest()
        return {wire.SIGNATURE: wire._ARCHIVE, "path": value.path, "hash": digest}
    if isinstance(value, dict):
        return {name: _as_sent(inner) for name, inner in value.items()}
    return [_as_sent(inner) for inner in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def provider_stack(full_platform: local_platform.Platform) -> Iterator[ProviderStack]:
    with engine_for(full_platform) as engine:
        provider_stack = ProviderStack(engine, full_platform)
        provider_stack.run()
        yield provider_stack


def test_a_second_run_of_the_program_changes_nothing(provider_stack: ProviderStack) -> None:
    provider_stack.run()

    assert provider_stack.plans == {}


def test_a_refresh_of_what_was_just_created_changes_nothing(provider_stack: ProviderStack) -> None:
    assert drifted(provider_stack) == {}


def test_more_memory_changes_the_agents_in_place_and_other_addresses_replace_the_network(
    provider_stack: ProviderStack,
) -> None:
    provider_stack.run(fleet__memoryMb=768, network__cidr="10.20.0.0/16")

    in_place = [name for name, plan in provider_stack.plans.items() if plan == (["memorySize"], [])]
    assert len(in_place) == AGENTS
    assert provider_stack.plans["network-vpc"] == (["cidrBlock"], ["cidrBlock"])


def test_everything_that_stands_can_be_removed_again(
    provider_stack: ProviderStack, full_platform: local_platform.Platform
) -> None:
    assert remaining_resources(full_platform)["functions"], "remaining_resources must find resources before the removal"

    for resource in reversed(provider_stack.resources.values()):
        provider_stack.engine.delete(resource)

    assert {kind: names for kind, names in remaining_resources(full_platform).items() if names} == {}


def test_what_was_removed_leaves_room_for_the_same_again(
    provider_stack: ProviderStack, full_platform: local_platform.Platform
) -> None:
    """Needs the previous test: names are free again, and the stack is created anew."""
    provider_stack.resources.clear()

    provider_stack.run()

    assert len(remaining_resources(full_platform)["functions"]) > AGENTS
    for resource in reversed(provider_stack.resources.values()):
        provider_stack.engine.delete(resource)


def test_prod_and_the_standby_that_reads_it_do_not_change_by_themselves_either(
    full_platform: local_platform.Platform,
) -> None:
    """Needs an empty platform, because some resources exist once per account."""
    with engine_for(full_platform) as engine:
        prod = ProviderStack(engine, full_platform, stack="prod")
        prod.run()
        prod.run()
        assert prod.plans == {}
        assert drifted(prod) == {}
    with engine_for(full_platform, "us-west-2") as engine:
        stacks = {"organization/infrafabric/prod": prod.outputs}
        standby = ProviderStack(engine, full_platform, stack="prod-secondary", region="us-west-2", stacks=stacks)
        standby.run()
        standby.run()
        assert standby.plans == {}
        assert drifted(standby) == {}
        assert len(standby.resources) > 200
