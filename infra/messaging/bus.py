"""IF.bus: one SNS topic, and one SQS queue per agent that accepts messages only from the topic and the agent itself."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pulumi_aws as aws
from pulumi import ComponentResource, Output, ResourceOptions

from infra import settings
from infra.foundation.keys import Keys
from infra.iam import policies
from infra.iam.grants import Role
from infra.messaging.queue import Queue, QueueArgs
from infra.naming.context import DataClass, StackContext
from infrafabric.bus.uris import agent_uri

# Agents process no inform messages.
DELIVERED_PERFORMATIVES = ("request", "query-if", "cancel")


@dataclass(frozen=True, kw_only=True)
class BusArgs:
    context: StackContext
    keys: Keys
    fleet: settings.FleetSettings  # one inbox per agent


class Bus(ComponentResource):
    """SNS topic with one filtered SQS queue per agent."""

    topic_arn: Output[str]
    inboxes: dict[str, Queue]  # by agent

    def __init__(self, name: str, args: BusArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:messaging:Bus", name, opts=opts)
        self._args = args
        topic = aws.sns.Topic(
            f"{name}-topic",
            name=args.context.physical_name("bus"),
            kms_master_key_id=args.keys.data_arn,
            tags=args.context.tags("bus", DataClass.CONFIDENTIAL, "bus"),
            opts=ResourceOptions(parent=self),
        )
        self.topic_arn = topic.arn
        aws.sns.TopicPolicy(
            f"{name}-topic-policy",
            arn=topic.arn,
            policy=policies.document(policies.deny_without_tls("sns:Publish", topic.arn)),
            opts=ResourceOptions(parent=self),
        )
        self.inboxes = {agent: self._inbox(f"{name}-{agent}", agent) for agent in args.fleet.agents}
        urls = {agent: inbox.url for agent, inbox in self.inboxes.items()}
        self.register_outputs({"topic_arn": self.topic_arn, "queue_urls": urls})

    def grant_publish(self, role: Role) -> None:
        """Grant publishing on the topic; the signing keys decide who can speak as whom."""
        role.allow("Publish", "sns:Publish", on=self.topic_arn)
        self._args.keys.grant_use(role, "sns")

    def grant_describe(self, role: Role) -> None:
        """Grant reading the topic's attributes."""
        role.allow("DescribeTopic", "sns:GetTopicAttributes", on=self.topic_arn)

    def grant_consume(self, role: Role, agent: str) -> None:
        """Grant receiving messages from ``agent``'s inbox."""
        self.inboxes[agent].grant_consume(role)

    def grant_redeliver(self, role: Role, agent: str) -> None:
        """Grant an early redelivery of ``agent``'s failed messages."""
        self.inboxes[agent].grant_redeliver(role)

    def grant_dead_letter(self, role: Role, agent: str) -> None:
        """Grant moving ``agent``'s messages into the dead-letter queue at once, with the reason."""
        self.inboxes[agent].dlq.grant_send(role)

    def grant_put_back(self, role: Role, agent: str) -> None:
        """Grant sending a delayed copy of a throttled message to ``agent``'s own inbox."""
        self.inboxes[agent].grant_send(role, "PutBack")

    def _inbox(self, name: str, agent: str) -> Queue:
        args = self._args
        queue = Queue(
            name,
            QueueArgs(
                context=args.context,
                label=f"{agent}-inbox",
                component="bus",
                handler_timeout_s=args.fleet.handler_timeout_s,
                max_receives=args.fleet.max_receives,
                filled_by_topic=self.topic_arn,
            ),
            ResourceOptions(parent=self),
        )
        aws.sns.TopicSubscription(
            f"{name}-subscription",
            topic=self.topic_arn,
            protocol="sqs",
            endpoint=queue.arn,
            raw_message_delivery=True,
            filter_policy=json.dumps({"receiver": [agent_uri(agent)], "performative": DELIVERED_PERFORMATIVES}),
            filter_policy_scope="MessageAttributes",
            redrive_policy=Output.json_dumps({"deadLetterTargetArn": queue.dlq.arn}),
            # Without the policies SNS drops messages silently.
            opts=ResourceOptions(parent=self, depends_on=[queue.resource_policy, queue.dlq.resource_policy]),
        )
        return queue
