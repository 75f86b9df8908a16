"""SNS: topics, their policies and subscriptions."""

from __future__ import annotations

from typing import ClassVar

from local.types.arguments import attribute_texts, inputs_of, inputs_of_texts
from local.types.definition import PutResource, ResourceType, resource
from local.types.request import CreatedResource, ExistingResource, FoundResource, ResourceRequest

_TOPIC_ATTRIBUTES = {
    "kmsMasterKeyId": "KmsMasterKeyId",
    "policy": "Policy",
    "fifoTopic": "FifoTopic",
    "displayName": "DisplayName",
    "signatureVersion": "SignatureVersion",
    "tracingConfig": "TracingConfig",
}
_SUBSCRIPTION_ATTRIBUTES = {
    "rawMessageDelivery": "RawMessageDelivery",
    "filterPolicy": "FilterPolicy",
    "filterPolicyScope": "FilterPolicyScope",
    "redrivePolicy": "RedrivePolicy",
}


@resource("aws:sns/topic:Topic", replaced_by=("fifoTopic", "name", "namePrefix"))
class SnsTopic(ResourceType):
    """SNS topic."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        name = request.physical_name()
        arn = request.client("sns").create_topic(
            Name=name, Attributes=attribute_texts(request.inputs, _TOPIC_ATTRIBUTES), Tags=request.tag_list()
        )["TopicArn"]
        return CreatedResource(arn, {"arn": arn, "name": name})

    def change(self, resource: ExistingResource) -> None:
        for name, value in attribute_texts(resource.inputs, _TOPIC_ATTRIBUTES).items():
            if name != "FifoTopic":
                resource.client("sns").set_topic_attributes(
                    TopicArn=resource.id, AttributeName=name, AttributeValue=value
                )

    def remove(self, resource: ExistingResource) -> None:
        resource.client("sns").delete_topic(TopicArn=resource.id)


@resource("aws:sns/topicPolicy:TopicPolicy", replaced_by=("arn",))
class SnsTopicPolicy(PutResource):
    """Resource policy of an SNS topic."""

    def create(self, request: ResourceRequest) -> CreatedResource:
        request.client("sns").set_topic_attributes(
            TopicArn=request.inputs["arn"], AttributeName="Policy", AttributeValue=request.inputs["policy"]
        )
        return CreatedResource(request.inputs["arn"])


@resource("aws:sns/topicSubscription:TopicSubscription", replaced_by=("endpoint", "protocol", "topic"))
class SnsSubscription(ResourceType):
    """Subscription of an endpoint to an SNS topic."""

    reads: ClassVar = {"filterPolicy": "", "filterPolicyScope": None, "rawMessageDelivery": False, "redrivePolicy": ""}

    def create(self, request: ResourceRequest) -> CreatedResource:
        response = request.client("sns").subscribe(
            TopicArn=request.inputs["topic"],
            Protocol=request.inputs["protocol"],
            Endpoint=request.inputs["endpoint"],
            Attributes=attribute_texts(request.inputs, _SUBSCRIPTION_ATTRIBUTES),
            ReturnSubscriptionArn=True,
        )
        return CreatedResource(response["SubscriptionArn"], {"arn": response["SubscriptionArn"]})

    def change(self, resource: ExistingResource) -> None:
        for name, value in attribute_texts(self.with_unset(resource.inputs), _SUBSCRIPTION_ATTRIBUTES).items():
            resource.client("sns").set_subscription_attributes(
                SubscriptionArn=resource.id, AttributeName=name, AttributeValue=value
            )

    def remove(self, resource: ExistingResource) -> None:
        resource.client("sns").unsubscribe(SubscriptionArn=resource.id)

    def read(self, resource: ExistingResource) -> FoundResource:
        attributes = resource.client("sns").get_subscription_attributes(SubscriptionArn=resource.id)["Attributes"]
        owner = inputs_of(attributes, TopicArn="topic", Protocol="protocol", Endpoint="endpoint")
        return FoundResource({**owner, **inputs_of_texts(attributes, _SUBSCRIPTION_ATTRIBUTES)}, {"arn": resource.id})
