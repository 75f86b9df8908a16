"""SQS: queues and their policies."""

from __future__ import annotations

from typing import ClassVar

from local.types.arguments import attribute_texts, inputs_of_texts
from local.types.definition import PutResource, ResourceType, resource
from local.types.request import CreatedResource, ExistingResource, FoundResource, ResourceRequest

_QUEUE_ATTRIBUTES = {
    "visibilityTimeoutSeconds": "VisibilityTimeout",
    "messageRetentionSeconds": "MessageRetentionPeriod",
    "maxMessageSize": "MaximumMessageSize",
    "delaySeconds": "DelaySeconds",
    "receiveWaitTimeSeconds": "ReceiveMessageWaitTimeSeconds",
    "redrivePolicy": "RedrivePolicy",
    "redriveAllowPolicy": "RedriveAllowPolicy",
    "policy": "Policy",
    "kmsMasterKeyId": "KmsMasterKeyId",
    "kmsDataKeyReusePeriodSeconds": "KmsDataKeyReusePeriodSeconds",
    "sqsManagedSseEnabled": "SqsManagedSseEnabled",
    "fifoQueue": "FifoQueue",
    "contentBasedDeduplication": "ContentBasedDeduplication",
    "deduplicationScope": "DeduplicationScope",
    "fifoThroughputLimit": "FifoThroughputLimit",
}


@resource("aws:sqs/queue:Queue", replaced_by=("fifoQueue", "name", "namePrefix"))
class SqsQueue(ResourceType):
    """SQS queue."""

    reads: ClassVar = {
        "contentBasedDeduplication": None,
        "delaySeconds": 0,
        "kmsMasterKeyId": "",
        "messageRetentionSeconds": 345600,
        "receiveWaitTimeSeconds": 0,
        "redrivePolicy": "",
        "sqsManagedSseEnabled": None,
        "visibilityTimeoutSeconds": 30,
    }

    def create(self, request: ResourceRequest) -> CreatedResource:
        name = request.physical_name()
        response = request.client("sqs").create_queue(
            QueueName=name, Attributes=attribute_texts(request.inputs, _QUEUE_ATTRIBUTES), tags=request.tag_map()
        )
        url = response["QueueUrl"]
        return CreatedResource(url, {"url": url, "name": name, "arn": request.arn("sqs", name)})

    def change(self, resource: ExistingResource) -> None:
        attributes = attribute_texts(self.with_unset(resource.inputs), _QUEUE_ATTRIBUTES)
        resource.client("sqs").set_queue_attributes(QueueUrl=resource.id, Attributes=attributes)

    def remove(self, resource: ExistingResource) -> None:
        resource.client("sqs").delete_queue(QueueUrl=resource.id)

    def read(self, resource: ExistingResource) -> FoundResource:
        attributes = _attributes(resource, "All")
        name = resource.id.rpartition("/")[2]
        names = {key: attribute for key, attribute in _QUEUE_ATTRIBUTES.items() if key in {*self.reads, "fifoQueue"}}
        return FoundResource(
            {"name": name, **inputs_of_texts(attributes, names)},
            {"url": resource.id, "arn": resource.arn("sqs", name)},
        )


@resource("aws:sqs/queuePolicy:QueuePolicy", replaced_by=("queueUrl",))
class SqsQueuePolicy(PutResource):
    """Resource policy of an SQS queue."""

    reads: ClassVar = {"policy": None}

    def create(self, request: ResourceRequest) -> CreatedResource:
        return _put_attribute(request, "Policy", "policy")

    def read(self, resource: ExistingResource) -> FoundResource | None:
        return _read_attribute(resource, "Policy", "policy")


@resource("aws:sqs/redriveAllowPolicy:RedriveAllowPolicy", replaced_by=("queueUrl",))
class SqsRedriveAllowPolicy(PutResource):
    """Redrive allow policy of a dead-letter queue."""

    reads: ClassVar = {"redriveAllowPolicy": None}

    def create(self, request: ResourceRequest) -> CreatedResource:
        return _put_attribute(request, "RedriveAllowPolicy", "redriveAllowPolicy")

    def read(self, resource: ExistingResource) -> FoundResource | None:
        return _read_attribute(resource, "RedriveAllowPolicy", "redriveAllowPolicy")


@resource("aws:sqs/redrivePolicy:RedrivePolicy", replaced_by=("queueUrl",))
class SqsRedrivePolicy(PutResource):
    """Redrive policy of an SQS queue."""

    reads: ClassVar = {"redrivePolicy": None}

    def create(self, request: ResourceRequest) -> CreatedResource:
        return _put_attribute(request, "RedrivePolicy", "redrivePolicy")

    def read(self, resource: ExistingResource) -> FoundResource | None:
        return _read_attribute(resource, "RedrivePolicy", "redrivePolicy")


def _put_attribute(request: ResourceRequest, attribute: str, key: str) -> CreatedResource:
    """Set one attribute of the queue; the ID is the queue's URL."""
    url = request.inputs["queueUrl"]
    request.client("sqs").set_queue_attributes(QueueUrl=url, Attributes={attribute: request.inputs[key]})
    return CreatedResource(url)


def _read_attribute(resource: ExistingResource, attribute: str, key: str) -> FoundResource | None:
    """Return one attribute of the queue as a resource; None if the queue has none."""
    value = _attributes(resource, attribute).get(attribute)
    return FoundResource({"queueUrl": resource.id, key: value}) if value else None


def _attributes(resource: ExistingResource, *names: str) -> dict[str, str]:
    response = resource.client("sqs").get_queue_attributes(QueueUrl=resource.id, AttributeNames=list(names))
    return response.get("Attributes") or {}
