"""Every stack, whole, through the provider, one request after another, as the engine would send them.

It stands in for the engine where the CLI is not installed: order, inputs and identifiers are the program's own. What
it does not show is the engine's own part: state, replacements in order, the language host. test_stack.py does.
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
from tests.engine.conftest import Engine, Thing, asking
from tests.engine.left import left_behind

NONE = provider_pb2.DiffResponse.DIFF_NONE
AGENTS = 2  # of the ten: each is like the other


@dataclass
class Estate:
    """What stands, and how the next run of the program would change it."""

    engine: Engine
    platform: local_platform.Platform
    stack: str = "dev"
    region: str = local_platform.REGION
    stacks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # outputs of those that it refers to
    outputs: dict[str, Any] = field(default_factory=dict)
    things: dict[tuple[str, str], Thing] = field(default_factory=dict)  # in the order of their creation
    plans: dict[str, tuple[list[str], list[str]]] = field(default_factory=dict)  # name → what differs, what replaces

    def run(self, **changes: Any) -> None:
        """Create what does not stand yet, and plan for what does."""
        self.plans.clear()
        given = {"fleet.size": AGENTS, **{path.replace("__", "."): value for path, value in changes.items()}}
        config = stackfile.read(self.stack, {**stack.local_settings(self.platform), **given})
        config["infrafabric:databasePassword"] = "correct-horse-battery"
        built = packager.build(packager.Target.here())
        with pytest.MonkeyPatch.context() as patch, stack._package_folder(built.code.parent):
            patch.setattr(deploy, "_Emulated", lambda context, stacks: _Through(context, stacks, self))
            context = stack.emulator_context(self.platform, self.region)
            done = deploy.deploy(
                program.stack, stack_name=self.stack, config=config, context=context, stacks=self.stacks
            )
        self.outputs = done.outputs


class _Through(deploy._Emulated):
    """Hands every resource to the provider instead."""

    def __init__(self, context: Any, stacks: Mapping[str, Mapping[str, Any]], estate: Estate) -> None:
        super().__init__(context, stacks)
        self.estate = estate

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        if not args.custom or args.typ.startswith("pulumi:"):
            return super().new_resource(args)
        key, inputs, engine = (args.typ, args.name), _sent(args.inputs), self.estate.engine
        if key in self.estate.things:
            thing = self.estate.things[key]
            plan = engine.diff(Thing(thing.type, thing.name, thing.inputs, thing.id, thing.outputs), news=inputs)
            if plan.changes != NONE:
                self.estate.plans[args.name] = (list(plan.diffs), list(plan.replaces))
        else:
            thing = self.estate.things[key] = engine.create(*key, inputs)
        return thing.id, wire.clear(thing.outputs)


def _sent(value: Any) -> Any:
    """Inputs as the engine sends them: archives with the hash of what they hold (here: of where they lie)."""
    if isinstance(value, pulumi.FileArchive):
        digest = hashlib.sha256(value.path.encode()).hexdigest()
        return {wire.SIGNATURE: wire._ARCHIVE, "path": value.path, "hash": digest}
    if isinstance(value, dict):
        return {name: _sent(inner) for name, inner in value.items()}
    return [_sent(inner) for inner in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def estate(whole: local_platform.Platform) -> Iterator[Estate]:
    with asking(whole) as engine:
        standing = Estate(engine, whole)
        standing.run()
        yield standing


def test_a_second_run_of_the_program_changes_nothing(estate: Estate) -> None:
    estate.run()

    assert estate.plans == {}


def test_more_memory_changes_the_agents_in_place_and_other_addresses_replace_the_network(estate: Estate) -> None:
    estate.run(fleet__memoryMb=768, network__cidr="10.20.0.0/16")

    in_place = [name for name, plan in estate.plans.items() if plan == (["memorySize"], [])]
    assert len(in_place) == AGENTS
    assert estate.plans["network-vpc"] == (["cidrBlock"], ["cidrBlock"])


def test_everything_that_stands_can_be_removed_again(estate: Estate, whole: local_platform.Platform) -> None:
    assert left_behind(whole)["functions"], "a test that looks nowhere proves nothing"

    for thing in reversed(estate.things.values()):
        estate.engine.delete(thing)

    assert {kind: names for kind, names in left_behind(whole).items() if names} == {}


def test_what_was_removed_leaves_room_for_the_same_again(estate: Estate, whole: local_platform.Platform) -> None:
    """Names are free again, and the stack comes up from nothing; needs the test before."""
    estate.things.clear()

    estate.run()

    assert len(left_behind(whole)["functions"]) > AGENTS
    for thing in reversed(estate.things.values()):
        estate.engine.delete(thing)


def test_prod_and_the_standby_that_reads_it_do_not_change_by_themselves_either(whole: local_platform.Platform) -> None:
    """Needs the platform empty, so that what the account has once is free."""
    with asking(whole) as engine:
        prod = Estate(engine, whole, stack="prod")
        prod.run()
        prod.run()
        assert prod.plans == {}
    with asking(whole, "us-west-2") as engine:
        handed = {"organization/infrafabric/prod": prod.outputs}
        standby = Estate(engine, whole, stack="prod-secondary", region="us-west-2", stacks=handed)
        standby.run()
        standby.run()
        assert standby.plans == {}
        assert len(standby.things) > 200
