"""CloudWatch Logs: log groups, metric filters, resource policies and log deliveries."""

from __future__ import annotations

from typing import ClassVar

from local.types.arguments import arguments, inputs_of
from local.types.definition import PutResource, ResourceType, resource
from local.types.request import CreatedResource, ExistingResource, FoundResource, ResourceRequest


@resource("aws:cloudwatch/logGroup:LogGroup", replaced_by=("name", "namePrefix"))
class LogGroup(ResourceType):
    """Log group with its retention. The emulator cannot change the key of an existing group."""

    reads: ClassVar = {"retentionInDays": 0}

    def create(self, request: ResourceRequest) -> CreatedResource:
        name, logs = request.physical_name(), request.client("logs")
        logs.create_log_group(
            logGroupName=name, tags=request.tag_map(), **arguments(request.inputs, kmsKeyId="kmsKeyId")
        )
        request.exists_as(name)
        if request.inputs.get("retentionInDays"):
            logs.put_retention_policy(logGroupName=name, retentionInDays=int(request.inputs["retentionInDays"]))
        return CreatedResource(name, {"name": name, "arn": request.arn("logs", f"log-group:{name}")})

    def change(self, resource: ExistingResource) -> None:
        logs, days = resource.client("logs"), resource.inputs.get("retentionInDays")
        if days:
            logs.put_retention_policy(logGroupName=resource.id, retentionInDays=int(days))
        else:
            logs.delete_retention_policy(logGroupName=resource.id)

    def remove(self, resource: ExistingResource) -> None:
        resource.client("logs").delete_log_group(logGroupName=resource.id)

    def read(self, resource: ExistingResource) -> FoundResource | None:
        groups = resource.client("logs").describe_log_groups(logGroupNamePrefix=resource.id)["logGroups"]
        for group in groups:
            if group["logGroupName"] == resource.id:
                inputs = inputs_of(group, kmsKeyId="kmsKeyId", retentionInDays="retentionInDays")
                return FoundResource(
                    {"name": resource.id, **inputs}, {"arn": resource.arn("logs", f"log-group:{resource.id}")}
                )
        return None


@resource("aws:cloudwatch/logResourcePolicy:LogResourcePolicy", replaced_by=("policyName",))
class LogResourcePolicy(PutResource):
    """Resource policy of CloudWatch Logs."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        request.client("logs").put_resource_policy(
            policyName=request.inputs["policyName"], policyDocument=request.inputs["policyDocument"]
        )
        return CreatedResource(request.inputs["policyName"])

    def remove(self, resource: ExistingResource) -> None:
        resource.client("logs").delete_resource_policy(policyName=resource.id)


@resource("aws:cloudwatch/logMetricFilter:LogMetricFilter", replaced_by=("logGroupName", "name"))
class LogMetricFilter(PutResource):
    """Metric filter of a log group."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        name = request.physical_name()
        transformation = arguments(
            request.inputs["metricTransformation"],
            metricName="name",
            metricNamespace="namespace",
            metricValue="value",
            unit="unit",
            defaultValue="defaultValue",
            dimensions="dimensions",
        )
        request.client("logs").put_metric_filter(
            logGroupName=request.inputs["logGroupName"],
            filterName=name,
            filterPattern=request.inputs["pattern"],
            metricTransformations=[transformation],
        )
        return CreatedResource(name, {"name": name})

    def remove(self, resource: ExistingResource) -> None:
        resource.client("logs").delete_metric_filter(
            logGroupName=resource.value("logGroupName"), filterName=resource.id
        )


@resource("aws:cloudwatch/logDeliverySource:LogDeliverySource")
class LogDeliverySource(ResourceType):
    """Source of a log delivery."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        response = request.client("logs").put_delivery_source(
            name=request.physical_name(),
            resourceArn=request.inputs["resourceArn"],
            logType=request.inputs["logType"],
            tags=request.tag_map(),
        )["deliverySource"]
        return CreatedResource(request.physical_name(), {"arn": response["arn"], "name": request.physical_name()})


@resource("aws:cloudwatch/logDeliveryDestination:LogDeliveryDestination")
class LogDeliveryDestination(ResourceType):
    """Destination of a log delivery."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        response = request.client("logs").put_delivery_destination(
            name=request.physical_name(),
            deliveryDestinationConfiguration=request.inputs["deliveryDestinationConfiguration"],
            tags=request.tag_map(),
            **arguments(request.inputs, outputFormat="outputFormat"),
        )["deliveryDestination"]
        return CreatedResource(request.physical_name(), {"arn": response["arn"], "name": request.physical_name()})


@resource("aws:cloudwatch/logDelivery:LogDelivery")
class LogDelivery(ResourceType):
    """Delivery from a log source to a destination."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        response = request.client("logs").create_delivery(
            deliverySourceName=request.inputs["deliverySourceName"],
            deliveryDestinationArn=request.inputs["deliveryDestinationArn"],
            tags=request.tag_map(),
        )["delivery"]
        return CreatedResource(response["id"], {"arn": response["arn"]})
