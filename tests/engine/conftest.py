"""Fixtures: a resource provider for an empty emulator, and a client that calls the provider like Pulumi's engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from local import platform as local_platform
from local import stack, wire
from local.engine import provider
from tests.engine.workspace import Workspace, workspace_on

# Fields in which the engine sends archives with their content; in all other fields it sends only the hash
# (ElideAssetContents in pulumi's pkg/resource/plugin/provider_plugin.go).
_WITH_CONTENT = {("Check", "news"), ("Create", "properties"), ("Update", "news")}


@dataclass
class EngineResource:
    """Resource in the engine's state."""

    type: str
    name: str
    inputs: dict[str, Any]
    id: str = ""
    outputs: dict[str, Any] = field(default_factory=dict)

    @property
    def urn(self) -> str:
        """URN below a parent, as the engine sends it."""
        return f"urn:pulumi:dev::infrafabric::infrafabric:test:Parent${self.type}::{self.name}"


@dataclass(frozen=True)
class Engine:
    """Client of the provider that sends requests as Pulumi's engine does."""

    stub: Any
    platform: local_platform.Platform

    def check(self, resource: EngineResource) -> dict[str, Any]:
        return wire.read(self.stub.Check(self._request("Check", resource, news=resource.inputs)).inputs)

    def create(self, type_: str, name: str, inputs: Mapping[str, Any], *, preview: bool = False) -> EngineResource:
        resource = EngineResource(type_, name, dict(inputs))
        resource.inputs = self.check(resource)
        response = self.stub.Create(self._request("Create", resource, properties=resource.inputs, preview=preview))
        resource.id, resource.outputs = response.id, wire.read(response.properties)
        return resource

    def diff(self, resource: EngineResource, *, news: Mapping[str, Any] | None = None, **changes: Any) -> Any:
        """Request the difference to ``news`` (default: the old inputs), with ``changes``."""
        inputs = {**(resource.inputs if news is None else news), **changes}
        return self.stub.Diff(self._request("Diff", resource, id=resource.id, news=inputs, before=True))

    def update(self, resource: EngineResource, *, preview: bool = False, **changes: Any) -> EngineResource:
        news = {**resource.inputs, **changes}
        request = self._request("Update", resource, id=resource.id, news=news, preview=preview, before=True)
        outputs = wire.read(self.stub.Update(request).properties)
        return EngineResource(resource.type, resource.name, news, resource.id, outputs)

    def read(self, resource: EngineResource) -> Any:
        return self.stub.Read(
            self._request("Read", resource, id=resource.id, properties=resource.outputs, inputs=resource.inputs)
        )

    def delete(self, resource: EngineResource) -> None:
        self.stub.Delete(
            self._request("Delete", resource, id=resource.id, properties=resource.outputs, old_inputs=resource.inputs)
        )

    @staticmethod
    def _request(kind: str, resource: EngineResource, *, before: bool = False, **fields: Any) -> Any:
        if before:
            fields |= {"olds": resource.outputs, "old_inputs": resource.inputs}
        messages = {
            name: wire.write(value if (kind, name) in _WITH_CONTENT else only_hashes(value))
            if isinstance(value, dict)
            else value
            for name, value in fields.items()
        }
        return getattr(provider_pb2, f"{kind}Request")(urn=resource.urn, **messages)


def only_hashes(value: Any) -> Any:
    if isinstance(value, Mapping):
        archive = value.get(wire.SIGNATURE) in (wire._ARCHIVE, wire._ASSET)
        return {k: only_hashes(inner) for k, inner in value.items() if not archive or k in (wire.SIGNATURE, "hash")}
    return [only_hashes(inner) for inner in value] if isinstance(value, list) else value


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[local_platform.Platform]:
    with local_platform.running(tmp_path_factory.mktemp("emulator"), only_emulator=True) as running:
        yield running


@contextmanager
def engine_for(platform: local_platform.Platform, region: str = local_platform.REGION) -> Iterator[Engine]:
    """Serve a provider for ``platform``, configured for a stack in ``region``, until the block ends."""
    with (
        provider.serving(stack.emulator_context(platform)) as port,
        grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        stub = provider_pb2_grpc.ResourceProviderStub(channel)
        stub.Configure(provider_pb2.ConfigureRequest(acceptSecrets=True, args=wire.write({"region": region})))
        yield Engine(stub, platform)


@pytest.fixture(scope="session")
def engine(emulator: local_platform.Platform) -> Iterator[Engine]:
    with engine_for(emulator) as engine:
        yield engine


@pytest.fixture(scope="module")
def full_platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[local_platform.Platform]:
    """Platform that can run functions, for one module only: names are unique, and tests list remaining resources."""
    with local_platform.running(tmp_path_factory.mktemp("platform")) as running:
        yield running


@pytest.fixture(scope="module")
def workspace(full_platform: local_platform.Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    with workspace_on(full_platform, tmp_path_factory.mktemp("rehearsal")) as workspace:
        yield workspace


@pytest.fixture(scope="session")
def handler(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the code of a function."""
    folder = tmp_path_factory.mktemp("code")
    (folder / "index.py").write_text("def handler(event, context):\n    return event\n")
    return folder
