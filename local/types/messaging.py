"""SNS and SQS."""

from __future__ import annotations

from local.types import Declared, Made, creates, put_again

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


def text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _attributes(it: Declared, names: dict[str, str]) -> dict[str, str]:
    return {names[key]: text(value) for key, value in it.inputs.items() if key in names and value is not None}


def queue_attributes(it: Declared) -> dict[str, str]:
    return _attributes(it, _QUEUE_ATTRIBUTES)


def topic_attributes(it: Declared) -> dict[str, str]:
    return _attributes(it, _TOPIC_ATTRIBUTES)


def subscription_attributes(it: Declared) -> dict[str, str]:
    return _attributes(it, _SUBSCRIPTION_ATTRIBUTES)


@creates("aws:sqs/queue:Queue")
def queue(it: Declared) -> Made:
    name = it.physical()
    made = it.client("sqs").create_queue(QueueName=name, Attributes=queue_attributes(it), tags=it.tag_map())
    url = made["QueueUrl"]
    return Made(url, {"url": url, "name": name, "arn": it.arn("sqs", name)})


@creates("aws:sqs/queuePolicy:QueuePolicy", update=put_again)
def queue_policy(it: Declared) -> Made:
    return _set_queue(it, "Policy", "policy")


@creates("aws:sqs/redriveAllowPolicy:RedriveAllowPolicy", update=put_again)
def redrive_allow_policy(it: Declared) -> Made:
    return _set_queue(it, "RedriveAllowPolicy", "redriveAllowPolicy")


@creates("aws:sqs/redrivePolicy:RedrivePolicy", update=put_again)
def redrive_policy(it: Declared) -> Made:
    return _set_queue(it, "RedrivePolicy", "redrivePolicy")


def _set_queue(it: Declared, attribute: str, key: str) -> Made:
    url = it.inputs["queueUrl"]
    it.client("sqs").set_queue_attributes(QueueUrl=url, Attributes={attribute: it.inputs[key]})
    return Made(url)


@creates("aws:sns/topic:Topic")
def topic(it: Declared) -> Made:
    name = it.physical()
    arn = it.client("sns").create_topic(Name=name, Attributes=topic_attributes(it), Tags=it.tags())["TopicArn"]
    return Made(arn, {"arn": arn, "name": name})


@creates("aws:sns/topicPolicy:TopicPolicy", update=put_again)
def topic_policy(it: Declared) -> Made:
    it.client("sns").set_topic_attributes(
        TopicArn=it.inputs["arn"], AttributeName="Policy", AttributeValue=it.inputs["policy"]
    )
    return Made(it.inputs["arn"])


@creates("aws:sns/topicSubscription:TopicSubscription")
def subscription(it: Declared) -> Made:
    made = it.client("sns").subscribe(
        TopicArn=it.inputs["topic"],
        Protocol=it.inputs["protocol"],
        Endpoint=it.inputs["endpoint"],
        Attributes=subscription_attributes(it),
        ReturnSubscriptionArn=True,
    )
    return Made(made["SubscriptionArn"], {"arn": made["SubscriptionArn"]})
