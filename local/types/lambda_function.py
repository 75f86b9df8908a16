"""Lambda: functions, layers, aliases and concurrency."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pulumi

from infra.packager.archive import zipped
from local.types.arguments import arguments, camel_case, inputs_of, pascal_case
from local.types.definition import PutResource, ResourceType, resource
from local.types.request import CreatedResource, ExistingResource, FoundResource, ResourceRequest

_zip_lock = threading.Lock()


@resource("aws:lambda/layerVersion:LayerVersion")
class LambdaLayerVersion(ResourceType):
    """Version of a Lambda layer."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        response = request.client("lambda").publish_layer_version(
            LayerName=request.inputs["layerName"],
            Content={"ZipFile": _zipped_code(request)},
            **arguments(
                request.inputs,
                CompatibleRuntimes="compatibleRuntimes",
                CompatibleArchitectures="compatibleArchitectures",
            ),
        )
        arn = response["LayerVersionArn"]
        return CreatedResource(arn, {"arn": arn, "layerArn": response["LayerArn"], "version": str(response["Version"])})

    def remove(self, resource: ExistingResource) -> None:
        resource.client("lambda").delete_layer_version(
            LayerName=resource.inputs["layerName"], VersionNumber=int(resource.outputs["version"])
        )


@resource(
    "aws:lambda/function:Function",
    replaced_by=("durableConfig", "name"),
    renewed_outputs=("version", "qualifiedArn", "qualifiedInvokeArn"),
)
class LambdaFunction(ResourceType):
    """Lambda function from a zip archive. Of a function by hand, a refresh sees the configuration, not the code."""

    reads: ClassVar = {
        "description": "",
        "environment": {},
        "handler": None,
        "kmsKeyArn": "",
        "layers": [],
        "memorySize": 128,
        "reservedConcurrentExecutions": -1,
        "role": None,
        "runtime": None,
        "timeout": 3,
        "tracingConfig": {"mode": "PassThrough"},
    }

    def create(self, request: ResourceRequest) -> CreatedResource:
        inputs, name, client = request.inputs, request.physical_name(), request.client("lambda")
        response = client.create_function(
            FunctionName=name,
            Code={"ZipFile": _zipped_code(request)},
            Publish=bool(inputs.get("publish")),
            Tags=request.tag_map(),
            **arguments(inputs, Architectures="architectures"),
            **_function_configuration(request),
        )
        request.exists_as(name)
        _until_active(client, name)
        if "reservedConcurrentExecutions" in inputs:
            _reserve(client, name, inputs)
        return CreatedResource(name, _function_outputs(request, name, response.get("Version") or "$LATEST"))

    def change(self, resource: ExistingResource) -> Mapping[str, Any]:
        client, publish = resource.client("lambda"), bool(resource.inputs.get("publish"))
        if "code" in resource.changed:
            client.update_function_code(FunctionName=resource.id, ZipFile=_zipped_code(resource))
        client.update_function_configuration(
            FunctionName=resource.id,
            **_function_configuration(replace(resource, inputs=self.with_unset(resource.inputs))),
        )
        if "reservedConcurrentExecutions" in resource.changed:
            _reserve(client, resource.id, resource.inputs)
        version = client.publish_version(FunctionName=resource.id)["Version"] if publish else "$LATEST"
        return _function_outputs(resource, resource.id, version)

    def remove(self, resource: ExistingResource) -> None:
        resource.client("lambda").delete_function(FunctionName=resource.id)

    def read(self, resource: ExistingResource) -> FoundResource:
        client = resource.client("lambda")
        configuration = client.get_function_configuration(FunctionName=resource.id)
        reserved = client.get_function_concurrency(FunctionName=resource.id).get("ReservedConcurrentExecutions", -1)
        variables = (configuration.get("Environment") or {}).get("Variables")
        inputs = {
            "name": resource.id,
            **inputs_of(
                configuration,
                Description="description",
                Handler="handler",
                KMSKeyArn="kmsKeyArn",
                MemorySize="memorySize",
                Role="role",
                Runtime="runtime",
                Timeout="timeout",
            ),
            "environment": {"variables": variables} if variables else {},
            "layers": [layer["Arn"] for layer in configuration.get("Layers") or []],
            "reservedConcurrentExecutions": reserved,
            "tracingConfig": camel_case(configuration.get("TracingConfig") or {}),
        }
        return FoundResource(inputs, _function_outputs(resource, resource.id, "$LATEST"))


@resource("aws:lambda/alias:Alias", replaced_by=("functionName", "name"))
class LambdaAlias(ResourceType):
    """Alias of a Lambda function."""

    reads: ClassVar = {"description": "", "functionVersion": None}

    def create(self, request: ResourceRequest) -> CreatedResource:
        response = request.client("lambda").create_alias(
            FunctionName=_function_name(request.inputs["functionName"]),
            Name=request.inputs["name"],
            FunctionVersion=request.inputs["functionVersion"],
            Description=request.inputs.get("description") or "",
        )
        arn = response["AliasArn"]
        return CreatedResource(
            arn, {"arn": arn, "invokeArn": _invoke_arn(request, arn), "name": request.inputs["name"]}
        )

    def change(self, resource: ExistingResource) -> None:
        name = _function_name(resource.inputs["functionName"])
        resource.client("lambda").update_alias(
            FunctionName=name,
            Name=resource.inputs["name"],
            FunctionVersion=resource.inputs["functionVersion"],
            Description=resource.inputs.get("description") or "",
        )

    def remove(self, resource: ExistingResource) -> None:
        name = _function_name(resource.inputs["functionName"])
        resource.client("lambda").delete_alias(FunctionName=name, Name=resource.inputs["name"])

    def read(self, resource: ExistingResource) -> FoundResource:
        function, _, name = _function_name(resource.id).rpartition(":")
        alias = resource.client("lambda").get_alias(FunctionName=function, Name=name)
        inputs = {"functionName": function, "name": name}
        inputs |= inputs_of(alias, Description="description", FunctionVersion="functionVersion")
        return FoundResource(inputs, {"arn": resource.id, "invokeArn": _invoke_arn(resource, resource.id)})


@resource(
    "aws:lambda/provisionedConcurrencyConfig:ProvisionedConcurrencyConfig", replaced_by=("functionName", "qualifier")
)
class LambdaProvisionedConcurrency(PutResource):
    """Provisioned concurrency of a Lambda function's version or alias."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        name, qualifier = request.inputs["functionName"], request.inputs["qualifier"]
        request.client("lambda").put_provisioned_concurrency_config(
            FunctionName=name,
            Qualifier=qualifier,
            ProvisionedConcurrentExecutions=int(request.inputs["provisionedConcurrentExecutions"]),
        )
        return CreatedResource(f"{name},{qualifier}")


@resource("aws:lambda/functionRecursionConfig:FunctionRecursionConfig", replaced_by=("functionName",))
class LambdaRecursionConfig(PutResource):
    """Recursive loop detection of a Lambda function."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        name = request.inputs["functionName"]
        request.client("lambda").put_function_recursion_config(
            FunctionName=name, RecursiveLoop=request.inputs["recursiveLoop"]
        )
        return CreatedResource(name)


def _zipped_code(request: ResourceRequest) -> bytes:
    """Return the input ``code`` as zip bytes. Functions that share a folder share one archive, also across deployments.

    Raises:
        TypeError: ``code`` is not a ``pulumi.FileArchive``.
    """
    archive = request.inputs["code"]
    if not isinstance(archive, pulumi.FileArchive):
        raise TypeError(f"{request.name}: code is {type(archive).__name__}; pass a pulumi.FileArchive")
    path = Path(archive.path)
    if path.is_file():
        return path.read_bytes()
    with _zip_lock:
        return zipped(path).read_bytes()


def _function_configuration(request: ResourceRequest) -> dict[str, Any]:
    """Return the arguments that ``create_function`` and ``update_function_configuration`` share."""
    inputs = request.inputs
    configuration = arguments(
        inputs,
        Role="role",
        Handler="handler",
        Runtime="runtime",
        Timeout="timeout",
        MemorySize="memorySize",
        Layers="layers",
        Description="description",
        KMSKeyArn="kmsKeyArn",
    )
    configuration["Environment"] = {"Variables": dict((inputs.get("environment") or {}).get("variables") or {})}
    if inputs.get("durableConfig"):
        durable = inputs["durableConfig"]
        configuration["DurableConfig"] = {
            "ExecutionTimeout": int(durable["executionTimeout"]),
            "RetentionPeriodInDays": int(durable.get("retentionPeriod") or 14),
        }
    if inputs.get("vpcConfig"):
        vpc = inputs["vpcConfig"]
        configuration["VpcConfig"] = {"SubnetIds": vpc["subnetIds"], "SecurityGroupIds": vpc["securityGroupIds"]}
    for name in ("deadLetterConfig", "loggingConfig", "tracingConfig"):
        if inputs.get(name):
            configuration[name[:1].upper() + name[1:]] = pascal_case(inputs[name])
    return configuration


def _reserve(client: Any, name: str, inputs: Mapping[str, Any]) -> None:
    """Set a function's reserved concurrency; -1, as without a value, takes it away."""
    reserved = int(inputs.get("reservedConcurrentExecutions", -1))
    if reserved >= 0:
        client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=reserved)
    else:
        client.delete_function_concurrency(FunctionName=name)


def _function_outputs(request: ResourceRequest, name: str, version: str) -> dict[str, Any]:
    arn = request.arn("lambda", f"function:{name}")
    return {
        "name": name,
        "arn": arn,
        "version": version,
        "qualifiedArn": f"{arn}:{version}",
        "invokeArn": _invoke_arn(request, arn),
        "qualifiedInvokeArn": _invoke_arn(request, f"{arn}:{version}"),
    }


def _function_name(name_or_arn: str) -> str:
    """Return the name of a function from its name or ARN."""
    return name_or_arn.rsplit(":function:", maxsplit=1)[-1]


def _until_active(client: Any, name: str, within_s: float = 60) -> None:
    """Wait until the function is active, with short polls: boto3's waiter needs a second per function.

    Raises:
        RuntimeError: the creation failed, or took longer than ``within_s`` seconds.
    """
    deadline = time.monotonic() + within_s
    while (state := client.get_function_configuration(FunctionName=name)["State"]) != "Active":
        if state == "Failed" or time.monotonic() > deadline:
            raise RuntimeError(f"function {name} is {state}, not Active, after at most {within_s:.0f} s")
        time.sleep(0.25)


def _invoke_arn(request: ResourceRequest, function_arn: str) -> str:
    return f"arn:aws:apigateway:{request.region}:lambda:path/2015-03-31/functions/{function_arn}/invocations"
