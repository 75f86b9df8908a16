"""Lambda: permissions, event sources and invocations of functions."""

from __future__ import annotations

import json
from typing import ClassVar

from local.types.arguments import arguments, camel_case, inputs_of, pascal_case
from local.types.definition import PutResource, ResourceType, resource
from local.types.request import CreatedResource, ExistingResource, FoundResource, ResourceRequest


@resource("aws:lambda/permission:Permission")
class LambdaPermission(ResourceType):
    """Statement of a Lambda function's resource policy."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        statement = request.inputs.get("statementId") or request.name
        request.client("lambda").add_permission(
            FunctionName=request.inputs["function"],
            StatementId=statement,
            Action=request.inputs["action"],
            Principal=request.inputs["principal"],
            **arguments(request.inputs, SourceArn="sourceArn", SourceAccount="sourceAccount", Qualifier="qualifier"),
        )
        return CreatedResource(statement)

    def remove(self, resource: ExistingResource) -> None:
        qualifier = {"Qualifier": resource.inputs["qualifier"]} if resource.inputs.get("qualifier") else {}
        resource.client("lambda").remove_permission(
            FunctionName=resource.inputs["function"], StatementId=resource.id, **qualifier
        )


@resource("aws:lambda/eventSourceMapping:EventSourceMapping", replaced_by=("eventSourceArn",))
class LambdaEventSourceMapping(ResourceType):
    """Event source mapping from a queue to a Lambda function."""

    reads: ClassVar = {
        "batchSize": 10,
        "enabled": True,
        "functionResponseTypes": [],
        "maximumBatchingWindowInSeconds": 0,
        "scalingConfig": {},
    }

    def create(self, request: ResourceRequest) -> CreatedResource:
        response = request.client("lambda").create_event_source_mapping(
            FunctionName=request.inputs["functionName"],
            EventSourceArn=request.inputs["eventSourceArn"],
            Enabled=request.inputs.get("enabled", True),
            **arguments(
                request.inputs,
                BatchSize="batchSize",
                MaximumBatchingWindowInSeconds="maximumBatchingWindowInSeconds",
                FunctionResponseTypes="functionResponseTypes",
            ),
            **pascal_case(
                arguments(request.inputs, ScalingConfig="scalingConfig", FilterCriteria="filterCriteria"),
            ),
        )
        return CreatedResource(response["UUID"], {"uuid": response["UUID"]})

    def change(self, resource: ExistingResource) -> None:
        inputs = self.with_unset(resource.inputs)
        resource.client("lambda").update_event_source_mapping(
            UUID=resource.id,
            FunctionName=inputs["functionName"],
            **arguments(
                inputs,
                BatchSize="batchSize",
                Enabled="enabled",
                MaximumBatchingWindowInSeconds="maximumBatchingWindowInSeconds",
                FunctionResponseTypes="functionResponseTypes",
            ),
            **pascal_case(arguments(inputs, ScalingConfig="scalingConfig")),
        )

    def remove(self, resource: ExistingResource) -> None:
        resource.client("lambda").delete_event_source_mapping(UUID=resource.id)

    def read(self, resource: ExistingResource) -> FoundResource:
        mapping = resource.client("lambda").get_event_source_mapping(UUID=resource.id)
        inputs = inputs_of(
            mapping,
            BatchSize="batchSize",
            EventSourceArn="eventSourceArn",
            FunctionArn="functionName",
            FunctionResponseTypes="functionResponseTypes",
            MaximumBatchingWindowInSeconds="maximumBatchingWindowInSeconds",
        )
        inputs["enabled"] = mapping["State"] in ("Creating", "Enabled", "Enabling")
        inputs["scalingConfig"] = camel_case(mapping.get("ScalingConfig") or {})
        return FoundResource(inputs, {"uuid": resource.id})


@resource("aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig", replaced_by=("functionName", "qualifier"))
class LambdaEventInvokeConfig(PutResource):
    """Retry and destination settings of asynchronous invocations of a Lambda function."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        request.client("lambda").put_function_event_invoke_config(
            FunctionName=request.inputs["functionName"],
            **arguments(
                request.inputs,
                Qualifier="qualifier",
                MaximumRetryAttempts="maximumRetryAttempts",
                MaximumEventAgeInSeconds="maximumEventAgeInSeconds",
            ),
            **pascal_case(arguments(request.inputs, DestinationConfig="destinationConfig")),
        )
        return CreatedResource(request.inputs["functionName"])


@resource("aws:lambda/invocation:Invocation")
class LambdaInvocation(ResourceType):
    """Invocation of a Lambda function at deployment. An error of the function fails the deployment with its message."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        response = request.client("lambda").invoke(
            FunctionName=request.inputs["functionName"],
            Payload=request.inputs["input"].encode(),
            **arguments(request.inputs, Qualifier="qualifier"),
        )
        payload = response["Payload"].read().decode()
        if response.get("FunctionError"):
            problem = json.loads(payload)
            raise RuntimeError(f"{request.inputs['functionName']} failed: {problem.get('errorMessage', payload)}")
        return CreatedResource(request.name, {"result": payload})
