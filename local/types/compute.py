"""Lambda."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pulumi

from infra.packager.archive import zipped
from local.types import Declared, Made, creates, given, pascal, put_again

_zipping = threading.Lock()


def zipped_code(it: Declared) -> bytes:
    """The bytes of the input ``code``; a folder is zipped once for all functions, and deployments, that share it."""
    archive = it.inputs["code"]
    if not isinstance(archive, pulumi.FileArchive):
        raise TypeError(f"{it.name}: code must be a FileArchive, not {type(archive).__name__}")
    path = Path(archive.path)
    if path.is_file():
        return path.read_bytes()
    with _zipping:
        return zipped(path).read_bytes()


@creates("aws:lambda/layerVersion:LayerVersion")
def layer_version(it: Declared) -> Made:
    made = it.client("lambda").publish_layer_version(
        LayerName=it.inputs["layerName"],
        Content={"ZipFile": zipped_code(it)},
        **given(it.inputs, CompatibleRuntimes="compatibleRuntimes", CompatibleArchitectures="compatibleArchitectures"),
    )
    arn = made["LayerVersionArn"]
    return Made(arn, {"arn": arn, "layerArn": made["LayerArn"], "version": str(made["Version"])})


def function_configuration(it: Declared) -> dict[str, Any]:
    """What a function is apart from its code: the same at its creation and at a change."""
    inputs = it.inputs
    wanted = given(
        inputs, Role="role", Handler="handler", Runtime="runtime", Timeout="timeout", MemorySize="memorySize",
        Layers="layers", Description="description", KMSKeyArn="kmsKeyArn",
    )  # fmt: skip
    wanted["Environment"] = {"Variables": dict((inputs.get("environment") or {}).get("variables") or {})}
    if inputs.get("durableConfig"):
        durable = inputs["durableConfig"]
        wanted["DurableConfig"] = {
            "ExecutionTimeout": int(durable["executionTimeout"]),
            "RetentionPeriodInDays": int(durable.get("retentionPeriod") or 14),
        }
    if inputs.get("vpcConfig"):
        vpc = inputs["vpcConfig"]
        wanted["VpcConfig"] = {"SubnetIds": vpc["subnetIds"], "SecurityGroupIds": vpc["securityGroupIds"]}
    for name in ("deadLetterConfig", "loggingConfig", "tracingConfig"):
        if inputs.get(name):
            wanted[name[:1].upper() + name[1:]] = pascal(inputs[name])
    return wanted


def function_outputs(it: Declared, name: str, version: str) -> dict[str, Any]:
    arn = it.arn("lambda", f"function:{name}")
    return {
        "name": name,
        "arn": arn,
        "version": version,
        "qualifiedArn": f"{arn}:{version}",
        "invokeArn": _invoke_arn(it, arn),
        "qualifiedInvokeArn": _invoke_arn(it, f"{arn}:{version}"),
    }


@creates("aws:lambda/function:Function")
def function(it: Declared) -> Made:
    inputs, name, client = it.inputs, it.physical(), it.client("lambda")
    made = client.create_function(
        FunctionName=name,
        Code={"ZipFile": zipped_code(it)},
        Publish=bool(inputs.get("publish")),
        Tags=it.tag_map(),
        **given(inputs, Architectures="architectures"),
        **function_configuration(it),
    )
    _until_active(client, name)
    if inputs.get("reservedConcurrentExecutions", -1) >= 0:
        client.put_function_concurrency(
            FunctionName=name, ReservedConcurrentExecutions=int(inputs["reservedConcurrentExecutions"])
        )
    return Made(name, function_outputs(it, name, made.get("Version") or "$LATEST"))


def function_name(given_: str) -> str:
    """A function's name, from it or its ARN."""
    return given_.rsplit(":function:", maxsplit=1)[-1]


def _until_active(client: Any, name: str, within_s: float = 60) -> None:
    """boto3's waiter looks once a second; a dozen functions would wait a dozen seconds."""
    deadline = time.monotonic() + within_s
    while (state := client.get_function_configuration(FunctionName=name)["State"]) != "Active":
        if state == "Failed" or time.monotonic() > deadline:
            raise RuntimeError(f"function {name} is {state}")
        time.sleep(0.25)


def _invoke_arn(it: Declared, function_arn: str) -> str:
    return f"arn:aws:apigateway:{it.region}:lambda:path/2015-03-31/functions/{function_arn}/invocations"


@creates("aws:lambda/provisionedConcurrencyConfig:ProvisionedConcurrencyConfig", update=put_again)
def provisioned(it: Declared) -> Made:
    name, qualifier = it.inputs["functionName"], it.inputs["qualifier"]
    it.client("lambda").put_provisioned_concurrency_config(
        FunctionName=name,
        Qualifier=qualifier,
        ProvisionedConcurrentExecutions=int(it.inputs["provisionedConcurrentExecutions"]),
    )
    return Made(f"{name},{qualifier}")


@creates("aws:lambda/functionRecursionConfig:FunctionRecursionConfig", update=put_again)
def recursion(it: Declared) -> Made:
    name = it.inputs["functionName"]
    it.client("lambda").put_function_recursion_config(FunctionName=name, RecursiveLoop=it.inputs["recursiveLoop"])
    return Made(name)


@creates("aws:lambda/alias:Alias")
def alias(it: Declared) -> Made:
    made = it.client("lambda").create_alias(
        FunctionName=function_name(it.inputs["functionName"]),
        Name=it.inputs["name"],
        FunctionVersion=it.inputs["functionVersion"],
    )
    arn = made["AliasArn"]
    return Made(arn, {"arn": arn, "invokeArn": _invoke_arn(it, arn), "name": it.inputs["name"]})


@creates("aws:lambda/permission:Permission")
def permission(it: Declared) -> Made:
    statement = it.inputs.get("statementId") or it.name
    it.client("lambda").add_permission(
        FunctionName=it.inputs["function"],
        StatementId=statement,
        Action=it.inputs["action"],
        Principal=it.inputs["principal"],
        **given(it.inputs, SourceArn="sourceArn", SourceAccount="sourceAccount", Qualifier="qualifier"),
    )
    return Made(statement)


@creates("aws:lambda/eventSourceMapping:EventSourceMapping")
def event_source_mapping(it: Declared) -> Made:
    made = it.client("lambda").create_event_source_mapping(
        FunctionName=it.inputs["functionName"],
        EventSourceArn=it.inputs["eventSourceArn"],
        Enabled=it.inputs.get("enabled", True),
        **given(
            it.inputs, BatchSize="batchSize", MaximumBatchingWindowInSeconds="maximumBatchingWindowInSeconds",
            FunctionResponseTypes="functionResponseTypes",
        ),
        **({"ScalingConfig": pascal(it.inputs["scalingConfig"])} if it.inputs.get("scalingConfig") else {}),
        **({"FilterCriteria": pascal(it.inputs["filterCriteria"])} if it.inputs.get("filterCriteria") else {}),
    )  # fmt: skip
    return Made(made["UUID"], {"uuid": made["UUID"]})


@creates("aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig", update=put_again)
def event_invoke_config(it: Declared) -> Made:
    it.client("lambda").put_function_event_invoke_config(
        FunctionName=it.inputs["functionName"],
        **given(
            it.inputs, Qualifier="qualifier", MaximumRetryAttempts="maximumRetryAttempts",
            MaximumEventAgeInSeconds="maximumEventAgeInSeconds",
        ),
        **({"DestinationConfig": pascal(it.inputs["destinationConfig"])} if it.inputs.get("destinationConfig") else {}),
    )  # fmt: skip
    return Made(it.inputs["functionName"])


@creates("aws:lambda/invocation:Invocation")
def invocation(it: Declared) -> Made:
    """Runs the function once, as the deployment would, and fails with what it said."""
    made = it.client("lambda").invoke(
        FunctionName=it.inputs["functionName"],
        Payload=it.inputs["input"].encode(),
        **given(it.inputs, Qualifier="qualifier"),
    )
    said = made["Payload"].read().decode()
    if made.get("FunctionError"):
        problem = json.loads(said)
        raise RuntimeError(f"{it.inputs['functionName']} failed: {problem.get('errorMessage', said)}")
    return Made(it.name, {"result": said})
