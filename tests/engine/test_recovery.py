"""A call that the emulator refuses once: the next update makes the resource, and nothing half-made is in its way."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from local import platform as local_platform
from local import wire
from local.engine import provider
from tests.engine.conftest import Engine, EngineResource
from tests.engine.faults import Fault, faulty_context
from tests.engine.remaining import remaining_resources
from tests.engine.test_whole_stacks import ProviderStack


@dataclass(frozen=True)
class FaultyEngine(Engine):
    """Engine that creates each resource once per call that the creation makes, with another call refused each time."""

    fault: Fault = field(default_factory=Fault)
    struck: set[tuple[str, str]] = field(default_factory=set)  # resource type and refused operation
    one_at_a_time: threading.Lock = field(default_factory=threading.Lock)

    def create(self, type_: str, name: str, inputs: Any, *, preview: bool = False) -> EngineResource:
        for served in range(50):
            with self.one_at_a_time:
                self.fault.calls, self.fault.struck = served, None
                try:
                    return super().create(type_, name, inputs, preview=preview)
                except grpc.RpcError:
                    if not self.fault.struck:
                        raise
                    self.struck.add((type_, self.fault.struck))
                finally:
                    self.fault.calls = None
        raise AssertionError(f"{type_} {name} makes more than 50 calls")


@pytest.mark.parametrize("name", ["dev", "prod"])
def test_a_resource_that_failed_at_any_of_its_calls_is_created_by_the_next_update(
    full_platform: local_platform.Platform, name: str
) -> None:
    faulty, region = faulty_context(full_platform), local_platform.REGION
    with (
        provider.serving(faulty) as port,
        grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        stub = provider_pb2_grpc.ResourceProviderStub(channel)
        stub.Configure(provider_pb2.ConfigureRequest(acceptSecrets=True, args=wire.write({"region": region})))
        engine = FaultyEngine(stub, full_platform, faulty.fault)
        deployed = ProviderStack(engine, full_platform, stack=name, region=region)

        deployed.run()
        deployed.run()

        assert deployed.plans == {}
        assert len(engine.struck) > 50
        if name == "prod":
            return  # its table and database are protected against deletion
        for resource in reversed(deployed.resources.values()):
            engine.delete(resource)
    assert {kind: names for kind, names in remaining_resources(full_platform).items() if names} == {}
