"""Lambda."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pulumi

from infra.packaging import zipped
from local.types import Declared, Made, creates, given, pascal

_zipping = threading.Lock()


def _zipped(it: Declared, archive: Any) -> bytes:
    """The bytes of an archive input; a folder is zipped once for all functions, and deployments, that share it."""
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
        Content={"ZipFile": _zipped(it, it.inputs["code"])},
        **given(it.inputs, CompatibleRuntimes="compatibleRuntimes", CompatibleArchitectures="compatibleArchitectures"),
    )
    arn = made["LayerVersionArn"]
    return Made(arn, {"arn": arn, "layerArn": made["LayerArn"], "version": str(made["Version"])})


@creates("aws:lambda/function:Function")
def function(it: Declared) -> Made:
    inputs, name = it.inputs, it.physical()
    environment = inputs.get("environment") or {}
    durable = inputs.get("durableConfig")
    extra: dict[str, Any] = {}
    if durable:
        extra["DurableConfig"] = {
            "ExecutionTimeout": int(durable["executionTimeout"]),
            "RetentionPeriodInDays": int(durable.get("retentionPeriod") or 14),
        }
    if inputs.get("vpcConfig"):
        vpc = inputs["vpcConfig"]
        extra["VpcConfig"] = {"SubnetIds": vpc["subnetIds"], "SecurityGroupIds": vpc["securityGroupIds"]}
    if inputs.get("deadLetterConfig"):
        extra["DeadLetterConfig"] = pascal(inputs["deadLetterConfig"])
    if inputs.get("loggingConfig"):
        extra["LoggingConfig"] = pascal(inputs["loggingConfig"])
    client = it.client("lambda")
    made = client.create_function(
        FunctionName=name,
        Code={"ZipFile": _zipped(it, inputs["code"])},
        Environment={"Variables": dict(environment.get("variables") or {})},
        Publish=bool(inputs.get("publish")),
        Tags=it.tag_map(),
        **given(
            inputs, Role="role", Handler="handler", Runtime="runtime", Timeout="timeout", MemorySize="memorySize",
            Layers="layers", Architectures="architectures", Description="description", KMSKeyArn="kmsKeyArn",
        ),
        **({"TracingConfig": pascal(inputs["tracingConfig"])} if inputs.get("tracingConfig") else {}),
        **extra,
    )  # fmt: skip
    _until_active(client, name)
    if inputs.get("reservedConcurrentExecutions", -1) >= 0:
        client.put_function_concurrency(
            FunctionName=name, ReservedConcurrentExecutions=int(inputs["reservedConcurrentExecutions"])
        )
    arn = it.arn("lambda", f"function:{name}")
    version = made.get("Version") or "$LATEST"
    return Made(
        name,
        {
            "name": name,
            "arn": arn,
            "version": version,
            "qualifiedArn": f"{arn}:{version}",
            "invokeArn": _invoke_arn(it, arn),
            "qualifiedInvokeArn": _invoke_arn(it, f"{arn}:{version}"),
        },
    )


def _until_active(client: Any, name: str, within_s: float = 60) -> None:
    """boto3's waiter looks once a second; a dozen functions would wait a dozen seconds."""
    deadline = time.monotonic() + within_s
    while (state := client.get_function_configuration(FunctionName=name)["State"]) != "Active":
        if state == "Failed" or time.monotonic() > deadline:
            raise RuntimeError(f"function {name} is {state}")
        time.sleep(0.25)


def _invoke_arn(it: Declared, function_arn: str) -> str:
    return f"arn:aws:apigateway:{it.region}:lambda:path/2015-03-31/functions/{function_arn}/invocations"


@creates("aws:lambda/provisionedConcurrencyConfig:ProvisionedConcurrencyConfig")
def provisioned(it: Declared) -> Made:
    name, qualifier = it.inputs["functionName"], it.inputs["qualifier"]
    it.client("lambda").put_provisioned_concurrency_config(
        FunctionName=name,
        Qualifier=qualifier,
        ProvisionedConcurrentExecutions=int(it.inputs["provisionedConcurrentExecutions"]),
    )
    return Made(f"{name},{qualifier}")


@creates("aws:lambda/alias:Alias")
def alias(it: Declared) -> Made:
    made = it.client("lambda").create_alias(
        FunctionName=it.inputs["functionName"].split(":function:")[-1],
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


@creates("aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig")
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
