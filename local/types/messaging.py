"""SNS and SQS."""

from __future__ import annotations

from local.types import Declared, Made, creates

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


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _attributes(it: Declared, names: dict[str, str]) -> dict[str, str]:
    return {names[key]: _text(value) for key, value in it.inputs.items() if key in names and value is not None}


@creates("aws:sqs/queue:Queue")
def queue(it: Declared) -> Made:
    name = it.physical()
    made = it.client("sqs").create_queue(
        QueueName=name, Attributes=_attributes(it, _QUEUE_ATTRIBUTES), tags=it.tag_map()
    )
    url = made["QueueUrl"]
    return Made(url, {"url": url, "name": name, "arn": it.arn("sqs", name)})


@creates("aws:sqs/queuePolicy:QueuePolicy")
def queue_policy(it: Declared) -> Made:
    return _set_queue(it, "Policy", "policy")


@creates("aws:sqs/redriveAllowPolicy:RedriveAllowPolicy")
def redrive_allow_policy(it: Declared) -> Made:
    return _set_queue(it, "RedriveAllowPolicy", "redriveAllowPolicy")


@creates("aws:sqs/redrivePolicy:RedrivePolicy")
def redrive_policy(it: Declared) -> Made:
    return _set_queue(it, "RedrivePolicy", "redrivePolicy")


def _set_queue(it: Declared, attribute: str, key: str) -> Made:
    url = it.inputs["queueUrl"]
    it.client("sqs").set_queue_attributes(QueueUrl=url, Attributes={attribute: it.inputs[key]})
    return Made(url)


@creates("aws:sns/topic:Topic")
def topic(it: Declared) -> Made:
    name = it.physical()
    names = {
        "kmsMasterKeyId": "KmsMasterKeyId",
        "policy": "Policy",
        "fifoTopic": "FifoTopic",
        "displayName": "DisplayName",
        "signatureVersion": "SignatureVersion",
        "tracingConfig": "TracingConfig",
    }
    arn = it.client("sns").create_topic(Name=name, Attributes=_attributes(it, names), Tags=it.tags())["TopicArn"]
    return Made(arn, {"arn": arn, "name": name})


@creates("aws:sns/topicPolicy:TopicPolicy")
def topic_policy(it: Declared) -> Made:
    it.client("sns").set_topic_attributes(
        TopicArn=it.inputs["arn"], AttributeName="Policy", AttributeValue=it.inputs["policy"]
    )
    return Made(it.inputs["arn"])


@creates("aws:sns/topicSubscription:TopicSubscription")
def subscription(it: Declared) -> Made:
    names = {
        "rawMessageDelivery": "RawMessageDelivery",
        "filterPolicy": "FilterPolicy",
        "filterPolicyScope": "FilterPolicyScope",
        "redrivePolicy": "RedrivePolicy",
    }
    made = it.client("sns").subscribe(
        TopicArn=it.inputs["topic"],
        Protocol=it.inputs["protocol"],
        Endpoint=it.inputs["endpoint"],
        Attributes=_attributes(it, names),
        ReturnSubscriptionArn=True,
    )
    return Made(made["SubscriptionArn"], {"arn": made["SubscriptionArn"]})
