"""Stands the Pulumi program up under mocks, so that tests can look at what it declared."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

os.environ["PULUMI_ERROR_OUTPUT_STRING"] = "true"  # an Output in an f-string is an error, not a text that says so

import pytest

from infra.graph.capture import PLACEHOLDER_SECRETS, GraphRecorder, is_secret, record_stack, run
from tests.once import once

# Whoever starts the tests in the background has them ignore Ctrl-C, and so would the commands that they interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclass
class Estate(GraphRecorder):
    """What a program declared, with the questions that tests ask of it."""

    def of(self, type_: str) -> dict[str, dict[str, Any]]:
        """Inputs by logical name of ``sqs/queue:Queue`` and the like."""
        return self.inputs.get(f"aws:{type_}", {})

    @property
    def resources(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Type, logical name and inputs of everything of AWS's."""
        for type_, named in self.inputs.items():
            if type_.startswith("aws:"):
                for name, inputs in named.items():
                    yield type_, name, inputs

    def written(self) -> str:
        """All inputs as text that is the same for the same graph; archives by their path."""
        return json.dumps(self.inputs, sort_keys=True, default=lambda archive: archive.path)

    def granted(self, role: str) -> dict[str, dict[str, Any]]:
        """The statements that ``role`` (logical name without -role) was granted, by Sid."""
        written = json.loads(self.of("iam/rolePolicy:RolePolicy")[f"{role}-policy"]["policy"])
        return {statement["Sid"]: statement for statement in written["Statement"]}

    def secrets_in(self, name: str) -> set[str]:
        """The inputs of ``name`` that are secret for Pulumi, as a whole."""
        return {key for key, value in self.raw[name].items() if is_secret(value)}

    def in_clear(self) -> str:
        """All inputs as text, without what Pulumi keeps secret."""
        return json.dumps(_without_secrets(self.raw), default=str)

    def before(self, name: str) -> set[str]:
        """Logical names of what ``name`` waits for."""
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
    """``into`` is the estate to fill, for a test that looks at what was declared before a failure."""
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
    """With ``changes`` the stack has one agent unless they say otherwise: what changes rarely depends on how many."""
    estate = into or Estate()
    record_stack(estate, stack, {"fleet.size": 1, **changes} if changes else None, secrets, stacks)
    return estate


@pytest.fixture
def stand_up() -> StandUp:
    """Run any program: ``stand_up(lambda: Bus("bus", …))``."""
    return _stand_up


@pytest.fixture
def stand_up_stack() -> StandUp:
    """Run the whole program of ``Pulumi.<stack>.yaml``, with settings changed by dotted path."""
    return _stand_up_stack


@pytest.fixture
def nothing() -> Estate:
    """An estate to stand a program up into that should declare nothing."""
    return Estate()


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Estate]:
    """Like ``stand_up_stack``, under a name: done once for all workers of a run."""
    return lambda name, *args, **more: once(tmp_path_factory, name, lambda: _stand_up_stack(*args, **more))


@pytest.fixture(scope="session")
def dev(shared: StandUp) -> Estate:
    return shared("dev", "dev")


@pytest.fixture(scope="session")
def prod(shared: StandUp) -> Estate:
    return shared("prod", "prod")


@pytest.fixture(scope="session")
def standby(shared: StandUp, prod: Estate) -> Estate:
    """prod-secondary, on what prod hands over."""
    return shared("standby", "prod-secondary", stacks={"organization/infrafabric/prod": prod.exports})


@pytest.fixture(scope="session", params=["dev", "prod"])
def primary(request: pytest.FixtureRequest) -> Estate:
    """Each stack that keeps data of its own, in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session", params=["dev", "prod", "standby"])
def estate(request: pytest.FixtureRequest) -> Estate:
    """Each stack in turn: what is asserted of it holds in all of them."""
    return request.getfixturevalue(request.param)


def _without_secrets(value: Any) -> Any:
    if is_secret(value):
        return "[secret]"
    if isinstance(value, dict):
        return {key: _without_secrets(inner) for key, inner in value.items()}
    return [_without_secrets(inner) for inner in value] if isinstance(value, list) else value
