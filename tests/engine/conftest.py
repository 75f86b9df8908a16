"""A resource provider before an empty emulator, and the engine's side of the conversation with it."""

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
from local import provider, stack, wire

# Where the engine sends archives with their content; everywhere else it sends what identifies them, the hash
# (ElideAssetContents in pulumi's pkg/resource/plugin/provider_plugin.go).
_WITH_CONTENT = {("Check", "news"), ("Create", "properties"), ("Update", "news")}


@dataclass
class Thing:
    """A resource as the engine remembers it."""

    type: str
    name: str
    inputs: dict[str, Any]
    id: str = ""
    outputs: dict[str, Any] = field(default_factory=dict)

    @property
    def urn(self) -> str:
        return f"urn:pulumi:dev::infrafabric::infrafabric:test:Parent${self.type}::{self.name}"


@dataclass(frozen=True)
class Engine:
    """Asks the provider as Pulumi's engine does."""

    stub: Any
    platform: local_platform.Platform

    def check(self, thing: Thing) -> dict[str, Any]:
        return wire.read(self.stub.Check(self._request("Check", thing, news=thing.inputs)).inputs)

    def create(self, type_: str, name: str, inputs: Mapping[str, Any], *, preview: bool = False) -> Thing:
        thing = Thing(type_, name, dict(inputs))
        thing.inputs = self.check(thing)
        made = self.stub.Create(self._request("Create", thing, properties=thing.inputs, preview=preview))
        thing.id, thing.outputs = made.id, wire.read(made.properties)
        return thing

    def diff(self, thing: Thing, *, news: Mapping[str, Any] | None = None, **changes: Any) -> Any:
        """Against ``news``, or the inputs as they were with some changed."""
        wanted = {**(thing.inputs if news is None else news), **changes}
        return self.stub.Diff(self._request("Diff", thing, id=thing.id, news=wanted, before=True))

    def update(self, thing: Thing, *, preview: bool = False, **changes: Any) -> Thing:
        news = {**thing.inputs, **changes}
        request = self._request("Update", thing, id=thing.id, news=news, preview=preview, before=True)
        outputs = wire.read(self.stub.Update(request).properties)
        return Thing(thing.type, thing.name, news, thing.id, outputs)

    def read(self, thing: Thing) -> Any:
        return self.stub.Read(self._request("Read", thing, id=thing.id, properties=thing.outputs, inputs=thing.inputs))

    def delete(self, thing: Thing) -> None:
        self.stub.Delete(self._request("Delete", thing, id=thing.id, properties=thing.outputs, old_inputs=thing.inputs))

    @staticmethod
    def _request(kind: str, thing: Thing, *, before: bool = False, **fields: Any) -> Any:
        if before:
            fields |= {"olds": thing.outputs, "old_inputs": thing.inputs}
        sent = {
            name: wire.write(value if (kind, name) in _WITH_CONTENT else _only_hashes(value))
            if isinstance(value, dict)
            else value
            for name, value in fields.items()
        }
        return getattr(provider_pb2, f"{kind}Request")(urn=thing.urn, **sent)


def _only_hashes(value: Any) -> Any:
    if isinstance(value, Mapping):
        archive = value.get(wire.SIGNATURE) in (wire._ARCHIVE, wire._ASSET)
        return {k: _only_hashes(inner) for k, inner in value.items() if not archive or k in (wire.SIGNATURE, "hash")}
    return [_only_hashes(inner) for inner in value] if isinstance(value, list) else value


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[local_platform.Platform]:
    with local_platform.running(tmp_path_factory.mktemp("emulator"), only_emulator=True) as running:
        yield running


@contextmanager
def asking(platform: local_platform.Platform, region: str = local_platform.REGION) -> Iterator[Engine]:
    """A provider for ``platform``, configured as the program of a stack in ``region`` configures it."""
    with (
        provider.serving(stack.emulator_context(platform)) as port,
        grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        stub = provider_pb2_grpc.ResourceProviderStub(channel)
        stub.Configure(provider_pb2.ConfigureRequest(acceptSecrets=True, args=wire.write({"region": region})))
        yield Engine(stub, platform)


@pytest.fixture(scope="session")
def engine(emulator: local_platform.Platform) -> Iterator[Engine]:
    with asking(emulator) as engine:
        yield engine


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[local_platform.Platform]:
    """A platform that functions can run on, for one module alone: names are taken, and tests look for what is left."""
    with local_platform.running(tmp_path_factory.mktemp("platform")) as running:
        yield running


@pytest.fixture(scope="session")
def handler(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that a function can be made from."""
    folder = tmp_path_factory.mktemp("code")
    (folder / "index.py").write_text("def handler(event, context):\n    return event\n")
    return folder
