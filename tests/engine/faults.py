"""A connection to the emulator on which one request is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from botocore.awsrequest import AWSResponse

from local import platform as local_platform
from local import stack, types


class _Empty:
    """Body of the refusal."""

    def stream(self) -> Iterator[bytes]:
        yield b""


@dataclass
class Fault:
    """Refusal of one request: ``calls`` requests from now are served, the next one is not."""

    calls: int | None = None
    struck: str | None = None  # operation that was refused

    def refuse(self, request: Any, event_name: str, **_: Any) -> AWSResponse | None:
        if self.calls is None:
            return None
        if self.calls:
            self.calls -= 1
            return None
        self.calls, self.struck = None, event_name.rpartition(".")[2]
        return AWSResponse(request.url, 400, {}, _Empty())  # 500 would be asked again, after a pause


@dataclass(frozen=True)
class FaultyContext(types.EmulatorContext):
    """Connection whose requests meet a fault. Botocore's own event stands between its client and the socket."""

    fault: Fault = field(default_factory=Fault)

    def client(self, service: str, region: str | None = None) -> Any:
        client = super().client(service, region)
        client.meta.events.register("before-send", self.fault.refuse, unique_id="fault")
        return client


def faulty_context(platform: local_platform.Platform, region: str = local_platform.REGION) -> FaultyContext:
    context = stack.emulator_context(platform, region)
    names = ("endpoint_url", "region", "account_id", "work", "database_port", "on_database")
    return FaultyContext(**{name: getattr(context, name) for name in names})
