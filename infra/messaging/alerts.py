"""Alert topic: SNS topic for alarms, budgets and security findings, with e-mail and PagerDuty subscriptions."""

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
# EventBridge sends KMS no source account, so a condition on the source would drop every finding.
# https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
EVENTBRIDGE = "events.amazonaws.com"


@dataclass(frozen=True, kw_only=True)
class AlertsArgs:
    context: StackContext
    keys: Keys  # the data key's policy must contain ``data_key_statements``
    settings: settings.ObservabilitySettings
    pager_duty_endpoint: Output[str] | None  # a secret, because the address contains the integration key
    findings: bool = False  # an EventBridge rule publishes on the topic


class Alerts(ComponentResource):
    """SNS topic for alarm state changes, budget notices and findings, and its subscriptions."""

    topic_arn: Output[str]
    resource_policy: aws.sns.TopicPolicy  # publishers depend on this policy

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
                # Named by address: with numbers, removing one recipient would shift the numbers of the next ones. SNS
                # returns the existing subscription for a shifted number, and the update then deletes the subscription
                # of the last number.
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
                endpoint_auto_confirms=True,  # PagerDuty confirms the subscription itself
                raw_message_delivery=False,  # PagerDuty's integration reads the SNS envelope
                opts=child,
            )
        self.register_outputs({"topic_arn": self.topic_arn})


def data_key_statements(context: StackContext) -> list[policies.Statement]:
    """Return key policy statements that let the publishers encrypt with the data key.

    Every publisher encrypts as its own service principal; AWS drops an alert that cannot be encrypted.
    """
    # In a key policy the resource "*" means the key itself.
    use = {"Effect": "Allow", "Action": ["kms:Decrypt", "kms:GenerateDataKey*"], "Resource": "*"}
    # All regions, because a standby encrypts its findings with a replica of the primary's key.
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
    # No condition, because EventBridge sends no context that a topic policy could check, and a condition would refuse
    # every event (Amazon EventBridge User Guide, "Amazon SNS permissions"). So only with an EventBridge rule.
    findings = {"Sid": "Findings", "Principal": {"Service": EVENTBRIDGE}, **publish}
    return [*statements, findings] if args.findings else statements
