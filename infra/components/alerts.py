"""Alerts: one topic that alarms, budgets and findings speak to, and the people who hear it."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi_aws as aws
from pulumi import ComponentResource, Output, ResourceOptions

from infra import policies, settings
from infra.components.keys import Keys
from infra.place import DataClass, Place

SPEAKERS = {
    "Alarms": "cloudwatch.amazonaws.com",
    "Anomalies": "costalerts.amazonaws.com",
    "Budgets": "budgets.amazonaws.com",
    "Findings": "events.amazonaws.com",
}


@dataclass(frozen=True, kw_only=True)
class AlertsArgs:
    place: Place
    keys: Keys  # whose data key is lent by ``lent_key``
    settings: settings.Observability
    pager_duty_endpoint: Output[str] | None  # a secret: the address holds the integration's key


class Alerts(ComponentResource):
    """The topic; ``topic_arn`` is where an alarm sends both its bad and its good news."""

    topic_arn: Output[str]
    door: aws.sns.TopicPolicy  # what speaks to the topic waits for it

    def __init__(self, name: str, args: AlertsArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:operations:Alerts", name, opts=opts)
        child = ResourceOptions(parent=self)
        topic = aws.sns.Topic(
            f"{name}-topic",
            name=args.place.named("alerts"),
            kms_master_key_id=args.keys.data_arn,
            tags=args.place.tags("observability", DataClass.INTERNAL, "alerts"),
            opts=child,
        )
        self.topic_arn = topic.arn
        self.door = aws.sns.TopicPolicy(
            f"{name}-topic-policy",
            arn=topic.arn,
            policy=policies.document(policies.tls_only("sns:Publish", topic.arn), *_speakers(topic.arn, args.place)),
            opts=child,
        )
        for number, address in enumerate(args.settings.emails, start=1):
            aws.sns.TopicSubscription(
                f"{name}-email-{number}", topic=topic.arn, protocol="email", endpoint=address, opts=child
            )
        if args.settings.pager_duty and args.pager_duty_endpoint is not None:
            aws.sns.TopicSubscription(
                f"{name}-pager-duty",
                topic=topic.arn,
                protocol="https",
                endpoint=args.pager_duty_endpoint,
                endpoint_auto_confirms=True,  # PagerDuty answers the confirmation itself
                raw_message_delivery=False,  # its integration reads SNS's envelope
                opts=child,
            )
        self.register_outputs({"topic_arn": self.topic_arn})


def lent_key(place: Place) -> policies.Statement:
    """What the data key's policy must say, or AWS drops the alert: each speaker encrypts in its own name."""
    return {
        "Sid": "AlertsOfThisAccount",
        "Effect": "Allow",
        "Principal": {"Service": sorted(SPEAKERS.values())},
        "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
        "Resource": "*",  # in a key policy this means the key itself
        "Condition": {"StringEquals": {"aws:SourceAccount": place.account_id}},
    }


def _speakers(topic_arn: Output[str], place: Place) -> list[policies.Statement]:
    return [
        {
            "Sid": sid,
            "Effect": "Allow",
            "Principal": {"Service": service},
            "Action": "sns:Publish",
            "Resource": topic_arn,
            "Condition": {"StringEquals": {"aws:SourceAccount": place.account_id}},
        }
        for sid, service in SPEAKERS.items()
    ]
