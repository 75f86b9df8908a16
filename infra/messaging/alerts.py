"""Alerts: one topic that alarms, budgets and findings speak to, and the people who hear it."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi_aws as aws
from pulumi import Alias, ComponentResource, Output, ResourceOptions

from infra import settings
from infra.foundation.keys import Keys
from infra.iam import policies
from infra.naming.context import DataClass, StackContext

PUBLISHERS = {
    "Alarms": "cloudwatch.amazonaws.com",
    "Anomalies": "costalerts.amazonaws.com",
    "Budgets": "budgets.amazonaws.com",
}
# EventBridge does not tell KMS for whom it works: under a condition on its source each finding would be dropped.
# https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
EVENTBRIDGE = "events.amazonaws.com"


@dataclass(frozen=True, kw_only=True)
class AlertsArgs:
    context: StackContext
    keys: Keys  # whose data key is lent by ``lent_keys``
    settings: settings.ObservabilitySettings
    pager_duty_endpoint: Output[str] | None  # a secret: the address holds the integration's key
    findings: bool = False  # a rule of EventBridge's speaks to the topic


class Alerts(ComponentResource):
    """The topic; ``topic_arn`` is where an alarm sends both its bad and its good news."""

    topic_arn: Output[str]
    resource_policy: aws.sns.TopicPolicy  # what speaks to the topic waits for it

    def __init__(self, name: str, args: AlertsArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:operations:Alerts", name, opts=opts)
        child = ResourceOptions(parent=self)
        topic = aws.sns.Topic(
            f"{name}-topic",
            name=args.context.physical_name("alerts"),
            kms_master_key_id=args.keys.data_arn,
            tags=args.context.tags("observability", DataClass.INTERNAL, "alerts"),
            opts=child,
        )
        self.topic_arn = topic.arn
        self.resource_policy = aws.sns.TopicPolicy(
            f"{name}-topic-policy",
            arn=topic.arn,
            policy=policies.document(
                policies.deny_without_tls("sns:Publish", topic.arn), *_publish_statements(topic.arn, args)
            ),
            opts=child,
        )
        for number, address in enumerate(args.settings.emails, start=1):
            aws.sns.TopicSubscription(
                # By number, the name of whoever leaves would go to the next in the list, for whom SNS gives back the
                # subscription that is there; and it would be deleted with the last number, whose it was.
                f"{name}-email-{address}",
                topic=topic.arn,
                protocol="email",
                endpoint=address,
                opts=ResourceOptions(parent=self, aliases=[Alias(name=f"{name}-email-{number}")]),
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


def data_key_statements(context: StackContext) -> list[policies.Statement]:
    """What the data key's policy must say, or AWS drops the alert: each speaker encrypts in its own name."""
    use = {"Effect": "Allow", "Action": ["kms:Decrypt", "kms:GenerateDataKey*"], "Resource": "*"}  # the key itself
    # In every region: a standby's findings are encrypted with its primary's key.
    topics = context.account_id.apply(lambda account: f"arn:{context.partition}:sns:*:{account}:*")
    return [
        {
            "Sid": "AlertsOfThisAccount",
            "Principal": {"Service": sorted(PUBLISHERS.values())},
            "Condition": {"StringEquals": {"aws:SourceAccount": context.account_id}},
            **use,
        },
        {
            "Sid": "FindingsToTopicsOfThisAccount",
            "Principal": {"Service": EVENTBRIDGE},
            "Condition": {"ArnLike": {"kms:EncryptionContext:aws:sns:topicArn": topics}},
            **use,
        },
    ]


def _publish_statements(topic_arn: Output[str], args: AlertsArgs) -> list[policies.Statement]:
    condition = {"StringEquals": {"aws:SourceAccount": args.context.account_id}}
    publish = {"Effect": "Allow", "Action": "sns:Publish", "Resource": topic_arn}
    statements: list[policies.Statement] = [
        {"Sid": sid, "Principal": {"Service": service}, "Condition": condition, **publish}
        for sid, service in PUBLISHERS.items()
    ]
    # Without a condition, and so only where somebody speaks: EventBridge brings a topic's policy nothing that it could
    # ask about, and would be refused each time (Amazon EventBridge User Guide, "Amazon SNS permissions").
    findings = {"Sid": "Findings", "Principal": {"Service": EVENTBRIDGE}, **publish}
    return [*statements, findings] if args.findings else statements
