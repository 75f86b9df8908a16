"""SQS: queues and their policies."""

from __future__ import annotations

from local.types.arguments import attribute_texts
from local.types.definition import PutResource, ResourceType, resource, succeeds
from local.types.request import CreatedResource, ExistingResource, ResourceRequest

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

    def create(self, request: ResourceRequest) -> CreatedResource:
        name = request.physical_name()
        response = request.client("sqs").create_queue(
            QueueName=name, Attributes=attribute_texts(request.inputs, _QUEUE_ATTRIBUTES), tags=request.tag_map()
        )
        url = response["QueueUrl"]
        return CreatedResource(url, {"url": url, "name": name, "arn": request.arn("sqs", name)})

    def change(self, resource: ExistingResource) -> None:
        attributes = attribute_texts(resource.inputs, _QUEUE_ATTRIBUTES)
        resource.client("sqs").set_queue_attributes(QueueUrl=resource.id, Attributes=attributes)

    def remove(self, resource: ExistingResource) -> None:
        resource.client("sqs").delete_queue(QueueUrl=resource.id)

    def exists(self, resource: ExistingResource) -> bool:
        return succeeds(resource.client("sqs").get_queue_attributes, QueueUrl=resource.id)


@resource("aws:sqs/queuePolicy:QueuePolicy", replaced_by=("queueUrl",))
class SqsQueuePolicy(PutResource):
    """Resource policy of an SQS queue."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        return _put_attribute(request, "Policy", "policy")


@resource("aws:sqs/redriveAllowPolicy:RedriveAllowPolicy", replaced_by=("queueUrl",))
class SqsRedriveAllowPolicy(PutResource):
    """Redrive allow policy of a dead-letter queue."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        return _put_attribute(request, "RedriveAllowPolicy", "redriveAllowPolicy")


@resource("aws:sqs/redrivePolicy:RedrivePolicy", replaced_by=("queueUrl",))
class SqsRedrivePolicy(PutResource):
    """Redrive policy of an SQS queue."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        return _put_attribute(request, "RedrivePolicy", "redrivePolicy")


def _put_attribute(request: ResourceRequest, attribute: str, key: str) -> CreatedResource:
    """Set one attribute of the queue; the ID is the queue's URL."""
    url = request.inputs["queueUrl"]
    request.client("sqs").set_queue_attributes(QueueUrl=url, Attributes={attribute: request.inputs[key]})
    return CreatedResource(url)
