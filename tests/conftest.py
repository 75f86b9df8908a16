"""Fixtures that run the Pulumi program under mocks, for tests on the declared resources."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

os.environ["PULUMI_ERROR_OUTPUT_STRING"] = (
    "true"  # an Output in an f-string raises an error instead of rendering a warning
)

import hypothesis
import pytest

from infra.graph.capture import PLACEHOLDER_SECRETS, GraphRecorder, is_secret, record_stack, run
from infra.settings import stackfile
from tests.once import once

# Time is measured by make bench and asserted nowhere: a busy machine is no fault of the code.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

# A process started in the background ignores Ctrl-C, and so would the commands that tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclass
class Estate(GraphRecorder):
    """Recorded resources of a program, with queries for tests."""

    def of(self, type_: str) -> dict[str, dict[str, Any]]:
        """Return the inputs of an AWS type such as ``sqs/queue:Queue``, by logical name."""
        return self.inputs.get(f"aws:{type_}", {})

    @property
    def resources(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Type, logical name and inputs of every AWS resource."""
        for type_, named in self.inputs.items():
            if type_.startswith("aws:"):
                for name, inputs in named.items():
                    yield type_, name, inputs

    def written(self) -> str:
        """Return all inputs as text, equal for equal graphs; archives are written by path."""
        return json.dumps(self.inputs, sort_keys=True, default=lambda archive: archive.path)

    def granted(self, role: str) -> dict[str, dict[str, Any]]:
        """Return the statements of ``role`` (logical name without -role), by Sid."""
        written = json.loads(self.of("iam/rolePolicy:RolePolicy")[f"{role}-policy"]["policy"])
        return {statement["Sid"]: statement for statement in written["Statement"]}

    def secrets_in(self, name: str) -> set[str]:
        """Return the names of the secret inputs of ``name``."""
        return {key for key, value in self.raw[name].items() if is_secret(value)}

    def in_clear(self) -> str:
        """Return all inputs as text, with secrets replaced."""
        return json.dumps(_without_secrets(self.raw), default=str)

    def before(self, name: str) -> set[str]:
        """Return the logical names of the resources on which ``name`` depends."""
        return {urn.split("::")[-1] for urn in self.options[name].dependencies}


StandUp = Callable[..., Estate]


def _stand_up(
    program: Callable[[], Any],
    *,
    stack: str = "dev",
    config: Mapping[str, str] | None = None,
    secrets: Mapping[str, str] | None = None,
    into: Estate | None = None,
) -> Estate:
    """Run ``program`` under mocks.

    Args:
        into: estate to fill, for a test on the resources declared before a failure.
    """
    estate = into or Estate()
    run(program, estate, stack=stack, config=config or {}, secrets=secrets or {})
    return estate


def _stand_up_stack(
    stack: str,
    changes: Mapping[str, Any] | None = None,
    secrets: Mapping[str, str] = PLACEHOLDER_SECRETS,
    into: Estate | None = None,
    stacks: Mapping[str, Mapping[str, Any]] | None = None,
) -> Estate:
    """Run the program of one of ``tests/stacks`` under mocks.

    With ``changes`` the stack has one agent unless ``changes`` set another fleet size, because the effect of a change
    rarely depends on the number of agents.
    """
    estate = into or Estate()
    changed = {"fleet.size": 1, **changes} if changes else None
    record_stack(estate, stack, changed, secrets, stacks, stackfile.REFERENCE)
    return estate


@pytest.fixture
def stand_up() -> StandUp:
    """Run any program: ``stand_up(lambda: Bus("bus", …))``."""
    return _stand_up


@pytest.fixture
def stand_up_stack() -> StandUp:
    """Run the whole program of ``tests/stacks/Pulumi.<stack>.yaml``, with settings changed by dotted path."""
    return _stand_up_stack


@pytest.fixture
def nothing() -> Estate:
    """Return an empty estate, for a program that must declare no resource."""
    return Estate()


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Estate]:
    """Return ``stand_up_stack`` with a name as first argument; each name runs once for all workers of a run."""
    return lambda name, *args, **more: once(tmp_path_factory, name, lambda: _stand_up_stack(*args, **more))


@pytest.fixture(scope="session")
def dev(shared: StandUp) -> Estate:
    return shared("dev", "dev")


@pytest.fixture(scope="session")
def prod(shared: StandUp) -> Estate:
    return shared("prod", "prod")


@pytest.fixture(scope="session")
def standby(shared: StandUp, prod: Estate) -> Estate:
    """Return prod-secondary, with prod's exports as its handover."""
    return shared("standby", "prod-secondary", stacks={"organization/infrafabric/prod": prod.exports})


@pytest.fixture(scope="session", params=["dev", "prod"])
def primary(request: pytest.FixtureRequest) -> Estate:
    """Return each stack with its own data, in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session", params=["dev", "prod", "standby"])
def estate(request: pytest.FixtureRequest) -> Estate:
    """Return each stack in turn; an assertion on it must hold in all stacks."""
    return request.getfixturevalue(request.param)


def _without_secrets(value: Any) -> Any:
    if is_secret(value):
        return "[secret]"
    if isinstance(value, dict):
        return {key: _without_secrets(inner) for key, inner in value.items()}
    return [_without_secrets(inner) for inner in value] if isinstance(value, list) else value
