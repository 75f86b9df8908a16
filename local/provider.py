"""The type table as a Pulumi resource provider: the real engine deploys the program onto the emulator.

``python -m local.provider --endpoint-url URL`` prints its port; ``PULUMI_DEBUG_PROVIDERS=aws:PORT pulumi up`` then asks
it, instead of a plugin, for everything of AWS's. It stands for one account and one region at a time: that of the
provider that was configured last.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import signal
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any, NoReturn

import grpc
from botocore.exceptions import ClientError
from google.protobuf import empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from local import invokes, postgres, types, wire
from local.types import change, identity, removal

_AT_ONCE = 16
# Outputs that a change makes anew: until it is made, nobody knows them.
_MADE_ANEW: Mapping[str, tuple[str, ...]] = {
    "aws:lambda/function:Function": ("version", "qualifiedArn", "qualifiedInvokeArn"),
    "aws:s3/bucketObjectv2:BucketObjectv2": ("etag", "versionId"),
}


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """What the engine asks of ``aws``. Calls may come side by side."""

    def __init__(self, at: types.Surroundings) -> None:
        self._at = at
        self._knows_secrets = True
        self._types = types.table()

    # What the provider is

    def GetPluginInfo(self, request: Any, context: grpc.ServicerContext) -> Any:
        return plugin_pb2.PluginInfo(version=metadata.version("pulumi_aws"))

    def GetSchema(self, request: Any, context: grpc.ServicerContext) -> Any:
        schema = {"name": "aws", "version": metadata.version("pulumi_aws"), "resources": {}}
        return provider_pb2.GetSchemaResponse(schema=json.dumps(schema))

    def Handshake(self, request: Any, context: grpc.ServicerContext) -> Any:
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True)

    def Attach(self, request: Any, context: grpc.ServicerContext) -> Any:
        return empty_pb2.Empty()

    def Cancel(self, request: Any, context: grpc.ServicerContext) -> Any:
        return empty_pb2.Empty()

    def CheckConfig(self, request: Any, context: grpc.ServicerContext) -> Any:
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: grpc.ServicerContext) -> Any:
        differ = wire.changed(wire.read(_inputs_before(request)), wire.read(request.news))
        return _difference(differ, differ & {"region"})

    def Configure(self, request: Any, context: grpc.ServicerContext) -> Any:
        self._knows_secrets = request.acceptSecrets
        region = wire.clear(wire.read(request.args)).get("region")
        if region and region != wire.UNKNOWN:
            self._at = dataclasses.replace(self._at, region=region)
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    def Invoke(self, request: Any, context: grpc.ServicerContext) -> Any:
        answer = invokes.ANSWERS.get(request.tok)
        if answer is None:
            context.abort(grpc.StatusCode.NOT_FOUND, f"{request.tok}: give local.invokes an answer for it")
        try:
            found = answer(self._at, wire.clear(wire.read(request.args)))
        except types.REFUSALS as error:
            context.abort(grpc.StatusCode.UNKNOWN, f"{request.tok} was refused: {error}")
        response = provider_pb2.InvokeResponse()
        getattr(response, "return").CopyFrom(wire.write(found))  # a keyword of ours
        return response

    # What becomes of a resource

    def Check(self, request: Any, context: grpc.ServicerContext) -> Any:
        return provider_pb2.CheckResponse(inputs=request.news)

    def Diff(self, request: Any, context: grpc.ServicerContext) -> Any:
        token, _ = _named(request)
        before, now = wire.read(_inputs_before(request)), wire.read(request.news)
        differ = wire.changed(before, now) - set(request.ignoreChanges)
        fatal = identity.replacing(token, differ)
        return _difference(differ, fatal, makes_way=bool(fatal) and identity.makes_way(differ, now))

    def Create(self, request: Any, context: grpc.ServicerContext) -> Any:
        token, name = _named(request)
        inputs = wire.read(request.properties)
        create = self._types.get(token)
        if request.preview:
            return provider_pb2.CreateResponse(properties=self._sent({**inputs, "id": wire.UNKNOWN}))
        if create is None:
            outputs = {"arn": f"arn:aws:local:::{token}/{name}", **inputs, "id": f"{name}-id"}
            return provider_pb2.CreateResponse(id=f"{name}-id", properties=self._sent(outputs))
        try:
            made = create(types.Declared(token, name, wire.clear(inputs), self._at))
        except types.REFUSALS as error:
            _refuse(context, token, name, error)
        outputs = {**_with(inputs, made.outputs), "id": made.id}
        return provider_pb2.CreateResponse(id=made.id, properties=self._sent(outputs))

    def Update(self, request: Any, context: grpc.ServicerContext) -> Any:
        token, name = _named(request)
        outputs, before, now = wire.read(request.olds), wire.read(_inputs_before(request)), wire.read(request.news)
        differ = wire.changed(before, now)
        matters = differ - identity.TAGS - identity.ONLY_TOLD
        after = {**{key: value for key, value in outputs.items() if key in now or key not in before}, **now}
        it = types.Standing(token, name, wire.clear(now), self._at, request.id, wire.clear(outputs), differ)
        if request.preview:
            unknown = dict.fromkeys(_MADE_ANEW.get(token, ()) if matters else (), wire.UNKNOWN)
            return provider_pb2.UpdateResponse(properties=self._sent({**after, **unknown}))
        try:
            altered = types.CHANGES[token](it) if matters and token in types.CHANGES else {}
            if differ & identity.TAGS:
                change.retag(it, wire.clear(before).get("tags") or {})
        except types.REFUSALS as error:
            _refuse(context, token, name, error)
        return provider_pb2.UpdateResponse(properties=self._sent(_with({**outputs, **after}, altered, keys=after)))

    def Read(self, request: Any, context: grpc.ServicerContext) -> Any:
        token, name = _named(request)
        outputs, inputs = wire.read(request.properties), wire.read(request.inputs)
        look = types.LOOKS.get(token)
        if look is not None:
            try:
                look(types.Standing(token, name, wire.clear(inputs), self._at, request.id, wire.clear(outputs)))
            except ClientError as error:
                if removal.is_missing(error):
                    return provider_pb2.ReadResponse()  # no id: it is gone
                _refuse(context, token, name, error)
        return provider_pb2.ReadResponse(id=request.id, properties=self._sent(outputs), inputs=self._sent(inputs))

    def Delete(self, request: Any, context: grpc.ServicerContext) -> Any:
        token, name = _named(request)
        remove = types.REMOVALS.get(token)
        if remove is not None:
            outputs = wire.clear(wire.read(request.properties))
            inputs = wire.clear(wire.read(_inputs_before(request, request.properties)))
            try:
                remove(types.Standing(token, name, inputs, self._at, request.id, outputs))
            except types.REFUSALS as error:
                if not (isinstance(error, ClientError) and removal.is_missing(error)):
                    _refuse(context, token, name, error)
        return empty_pb2.Empty()

    def _sent(self, properties: Mapping[str, Any]) -> Any:
        return wire.write(properties if self._knows_secrets else wire.opened(properties))


def _named(request: Any) -> tuple[str, str]:
    """Type token and logical name, from the URN: older engines send nothing else."""
    _, _, types_, name = request.urn.split("::", 3)
    return types_.rpartition("$")[2], name


def _inputs_before(request: Any, instead: Any = None) -> Any:
    """The old inputs; the old outputs where an engine does not send them."""
    return request.old_inputs if request.HasField("old_inputs") else instead or request.olds


def _with(base: Mapping[str, Any], made: Mapping[str, Any], keys: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """``base`` with what was ``made``, which is as secret as what it takes the place of."""
    kept = base if keys is None else {key: base[key] for key in keys}
    return {**kept, **{k: wire.secret(v) if wire.holds_secret(base.get(k)) else v for k, v in made.items()}}


def _difference(differ: frozenset[str], fatal: frozenset[str], *, makes_way: bool = False) -> Any:
    some = provider_pb2.DiffResponse.DIFF_SOME if differ else provider_pb2.DiffResponse.DIFF_NONE
    return provider_pb2.DiffResponse(
        changes=some, diffs=sorted(differ), replaces=sorted(fatal), deleteBeforeReplace=makes_way
    )


def _refuse(context: grpc.ServicerContext, token: str, name: str, error: Exception) -> NoReturn:
    context.abort(grpc.StatusCode.UNKNOWN, f"{token} {name} was refused: {error}")
    raise AssertionError("abort does not return")


@contextmanager
def serving(at: types.Surroundings) -> Iterator[int]:
    """A provider on a free port of 127.0.0.1, as long as the block lasts; yields the port."""
    unlimited = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    server = grpc.server(ThreadPoolExecutor(_AT_ONCE), options=unlimited)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Provider(at), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port
    finally:
        server.stop(grace=None).wait()


def main() -> None:
    """Serve until ended. The port is the first line of the output: that is how an engine learns of it."""
    parser = argparse.ArgumentParser(prog="python -m local.provider", description=__doc__)
    parser.add_argument("engine", nargs="?", help="where the engine listens; it says so when it starts a provider")
    parser.add_argument("--endpoint-url", required=True, help="of the emulator")
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--account", default="000000000000")
    parser.add_argument("--postgres", nargs=2, metavar=("FOLDER", "PORT"), help="what stands for RDS instances")
    args = parser.parse_args()
    folder, port = (Path(args.postgres[0]), int(args.postgres[1])) if args.postgres else (None, 5432)

    def on_database(name: str, user: str, password: str) -> None:
        if folder:
            postgres.create_database(folder, port, name=name, user=user, password=password)

    with tempfile.TemporaryDirectory() as work, contextlib.suppress(KeyboardInterrupt):
        at = types.Surroundings(
            endpoint_url=args.endpoint_url, region=args.region, account_id=args.account, work=Path(work),
            database_port=port, on_database=on_database,
        )  # fmt: skip
        with serving(at) as answered:
            print(answered, flush=True)
            signal.pause()


if __name__ == "__main__":
    main()
