"""Pulumi resource provider for the emulator: the real Pulumi engine deploys the program with ``local.types``.

``python -m local.engine.provider --endpoint-url URL`` prints a port; ``PULUMI_DEBUG_PROVIDERS=aws:PORT pulumi up`` then
uses this process instead of the AWS plugin. A process serves one account and one Region at a time: the Region of the
last ``Configure`` call.
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

from infra.graph.output_shape import in_state
from local import invokes, postgres, types, wire
from local.cli import handle_interruptions
from local.engine import drift
from local.engine.schema import package_schema

_MAX_PARALLEL = 16  # gRPC calls served at the same time


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """gRPC service that the engine calls for the package ``aws``, from several threads at the same time."""

    def __init__(self, emulator: types.EmulatorContext) -> None:
        self._emulator = emulator
        self._accepts_secrets = True

    # Provider: schema, configuration, invokes

    def GetPluginInfo(self, request: Any, context: grpc.ServicerContext) -> Any:
        return plugin_pb2.PluginInfo(version=metadata.version("pulumi_aws"))

    def GetSchema(self, request: Any, context: grpc.ServicerContext) -> Any:
        return provider_pb2.GetSchemaResponse(schema=json.dumps(package_schema(types.importable())))

    def Handshake(self, request: Any, context: grpc.ServicerContext) -> Any:
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True)

    def Attach(self, request: Any, context: grpc.ServicerContext) -> Any:
        return empty_pb2.Empty()

    def Cancel(self, request: Any, context: grpc.ServicerContext) -> Any:
        return empty_pb2.Empty()

    def CheckConfig(self, request: Any, context: grpc.ServicerContext) -> Any:
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: grpc.ServicerContext) -> Any:
        changed = wire.changed(wire.read(_old_inputs(request)), wire.read(request.news))
        return _diff_response(changed, changed & {"region"})

    def Configure(self, request: Any, context: grpc.ServicerContext) -> Any:
        self._accepts_secrets = request.acceptSecrets
        region = wire.clear(wire.read(request.args)).get("region")
        if region and region != wire.UNKNOWN:
            self._emulator = dataclasses.replace(self._emulator, region=region)
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    def Invoke(self, request: Any, context: grpc.ServicerContext) -> Any:
        function = invokes.FUNCTIONS.get(request.tok)
        if function is None:
            context.abort(grpc.StatusCode.NOT_FOUND, invokes.unknown_function(request.tok))
        try:
            result = function(self._emulator, wire.clear(wire.read(request.args)))
        except types.EMULATOR_ERRORS as error:
            context.abort(grpc.StatusCode.UNKNOWN, f"{request.tok} was refused: {error}")
        response = provider_pb2.InvokeResponse()
        getattr(response, "return").CopyFrom(wire.write(result))  # "return" is a keyword in Python
        return response

    # Resources

    def Check(self, request: Any, context: grpc.ServicerContext) -> Any:
        return provider_pb2.CheckResponse(inputs=request.news)

    def Diff(self, request: Any, context: grpc.ServicerContext) -> Any:
        token, _ = _type_and_name(request)
        old_inputs, new_inputs = wire.read(_old_inputs(request)), wire.read(request.news)
        changed = wire.changed(old_inputs, new_inputs) - set(request.ignoreChanges)
        resource_type = types.find_type(token)
        replacing = resource_type.replacing(changed)
        delete_first = bool(replacing) and resource_type.must_delete_first(changed, new_inputs)
        return _diff_response(changed, replacing, delete_first=delete_first)

    def Create(self, request: Any, context: grpc.ServicerContext) -> Any:
        token, name = _type_and_name(request)
        inputs = wire.read(request.properties)
        if request.preview:
            return provider_pb2.CreateResponse(properties=self._message({**inputs, "id": wire.UNKNOWN}))
        resource_request = types.ResourceRequest(token, name, wire.clear(inputs), self._emulator)
        try:
            created = types.find_type(token).create_whole(resource_request)
        except types.EMULATOR_ERRORS as error:
            _refuse(context, token, name, error)
        outputs = {**self._in_state(token, _merged(inputs, created.outputs)), "id": created.id}
        return provider_pb2.CreateResponse(id=created.id, properties=self._message(outputs))

    def Update(self, request: Any, context: grpc.ServicerContext) -> Any:
        token, name = _type_and_name(request)
        resource_type = types.find_type(token)
        outputs, new_inputs = wire.read(request.olds), wire.read(request.news)
        old_inputs = wire.read(_old_inputs(request))
        changed = wire.changed(old_inputs, new_inputs)
        properties_changed = changed - types.TAG_INPUTS - types.PROVIDER_OPTIONS
        remaining = {key: value for key, value in outputs.items() if key in new_inputs or key not in old_inputs}
        new_outputs = self._in_state(token, {**remaining, **new_inputs})
        if request.preview:
            unknown = dict.fromkeys(resource_type.renewed_outputs if properties_changed else (), wire.UNKNOWN)
            return provider_pb2.UpdateResponse(properties=self._message({**new_outputs, **unknown}))
        resource = types.ExistingResource(
            token, name, wire.clear(new_inputs), self._emulator, request.id, wire.clear(outputs), changed
        )
        try:
            altered = (resource_type.change(resource) if properties_changed else None) or {}
            if changed & types.TAG_INPUTS:
                types.retag(resource, wire.clear(old_inputs).get("tags") or {})
        except types.EMULATOR_ERRORS as error:
            _refuse(context, token, name, error)
        merged = _merged({**outputs, **new_outputs}, altered, keys=new_outputs)
        return provider_pb2.UpdateResponse(properties=self._message(merged))

    def Read(self, request: Any, context: grpc.ServicerContext) -> Any:
        token, name = _type_and_name(request)
        outputs, inputs = wire.read(request.properties), wire.read(request.inputs)
        resource = types.ExistingResource(
            token, name, wire.clear(inputs), self._emulator, request.id, wire.clear(outputs)
        )
        resource_type = types.find_type(token)
        if not outputs and not resource_type.reads:
            others = ", ".join(types.importable())
            context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{token} cannot be imported here: {others} can")
        try:
            found = resource_type.read(resource)
        except types.EMULATOR_ERRORS as error:
            if not (isinstance(error, ClientError) and types.is_missing(error)):
                _refuse(context, token, name, error)
            found = None
        if found is None:
            return provider_pb2.ReadResponse()  # a response without an ID: the resource is gone
        if outputs:
            inputs, outputs = drift.refreshed(inputs, outputs, found, resource_type.reads)
        else:
            inputs, outputs = drift.imported(found, resource_type.reads)
            outputs = {**self._in_state(token, outputs), "id": request.id}
        return provider_pb2.ReadResponse(id=request.id, properties=self._message(outputs), inputs=self._message(inputs))

    def Delete(self, request: Any, context: grpc.ServicerContext) -> Any:
        token, name = _type_and_name(request)
        outputs = wire.clear(wire.read(request.properties))
        inputs = wire.clear(wire.read(_old_inputs(request, request.properties)))
        try:
            types.find_type(token).remove(
                types.ExistingResource(token, name, inputs, self._emulator, request.id, outputs)
            )
        except types.EMULATOR_ERRORS as error:
            if not (isinstance(error, ClientError) and types.is_missing(error)):
                _refuse(context, token, name, error)
        return empty_pb2.Empty()

    def _in_state(self, token: str, outputs: Mapping[str, Any]) -> dict[str, Any]:
        region = outputs.get("region")
        return in_state(token, outputs, region if isinstance(region, str) and region else self._emulator.region)

    def _message(self, properties: Mapping[str, Any]) -> Any:
        return wire.write(properties if self._accepts_secrets else wire.without_secret_marks(properties))


def _type_and_name(request: Any) -> tuple[str, str]:
    """Return type token and logical name from the URN, as older engines have no fields for both."""
    _, _, types_, name = request.urn.split("::", 3)
    return types_.rpartition("$")[2], name


def _old_inputs(request: Any, fallback: Any = None) -> Any:
    """Return the old inputs, or the old outputs (``fallback``) if the engine does not send inputs."""
    return request.old_inputs if request.HasField("old_inputs") else fallback or request.olds


def _merged(
    base: Mapping[str, Any], new_values: Mapping[str, Any], keys: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return ``base`` (only ``keys``, if set) updated with new values; a value that replaces a secret stays secret."""
    selected = base if keys is None else {key: base[key] for key in keys}
    marked_values = {k: wire.secret(v) if wire.holds_secret(base.get(k)) else v for k, v in new_values.items()}
    return {**selected, **marked_values}


def _diff_response(changed: frozenset[str], replacing: frozenset[str], *, delete_first: bool = False) -> Any:
    changes = provider_pb2.DiffResponse.DIFF_SOME if changed else provider_pb2.DiffResponse.DIFF_NONE
    return provider_pb2.DiffResponse(
        changes=changes, diffs=sorted(changed), replaces=sorted(replacing), deleteBeforeReplace=delete_first
    )


def _refuse(context: grpc.ServicerContext, token: str, name: str, error: Exception) -> NoReturn:
    context.abort(grpc.StatusCode.UNKNOWN, f"{token} {name} was refused: {error}")
    raise AssertionError("abort does not return")


@contextmanager
def serving(emulator: types.EmulatorContext, port: int = 0) -> Iterator[int]:
    """Serve a provider on a port of 127.0.0.1 (0: a free one) until the block ends. Yields the port."""
    unlimited = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    server = grpc.server(ThreadPoolExecutor(_MAX_PARALLEL), options=unlimited)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Provider(emulator), server)
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    try:
        yield bound
    finally:
        server.stop(grace=None).wait()


def main() -> None:
    """Serve until a signal ends the process. The first line of the output is the port: engines read it there."""
    parser = argparse.ArgumentParser(prog="python -m local.engine.provider", description=__doc__)
    parser.add_argument("engine", nargs="?", help="address of the engine; passed by an engine that starts the provider")
    parser.add_argument("--endpoint-url", required=True, help="URL of the emulator")
    parser.add_argument("--port", type=int, default=0, help="port to serve on (default: a free one)")
    parser.add_argument("--region", default="us-east-1", help="Region until the engine configures one")
    parser.add_argument("--account", default="000000000000", help="account ID of the emulator")
    parser.add_argument(
        "--postgres",
        nargs=2,
        metavar=("FOLDER", "PORT"),
        help="folder and port of the PostgreSQL server for RDS instances",
    )
    args = parser.parse_args()
    folder, database_port = (Path(args.postgres[0]), int(args.postgres[1])) if args.postgres else (None, 5432)

    def on_database(name: str, user: str, password: str) -> None:
        if folder:
            postgres.create_database(folder, database_port, name=name, user=user, password=password)

    handle_interruptions()
    with tempfile.TemporaryDirectory() as work, contextlib.suppress(KeyboardInterrupt):
        emulator = types.EmulatorContext(
            endpoint_url=args.endpoint_url,
            region=args.region,
            account_id=args.account,
            work=Path(work),
            database_port=database_port,
            on_database=on_database,
        )
        with serving(emulator, args.port) as port:
            print(port, flush=True)
            signal.pause()


if __name__ == "__main__":
    main()
