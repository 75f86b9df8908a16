"""A queue with its dead-letter queue: the one way this project makes queues."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pulumi_aws as aws
from pulumi import ComponentResource, Input, Output, Resource, ResourceOptions

from infra.iam import policies
from infra.iam.grants import Role
from infra.naming.context import DataClass, StackContext

TWO_WEEKS_S = 1_209_600  # the longest that SQS keeps a message


@dataclass(frozen=True, kw_only=True)
class QueueArgs:
    context: StackContext
    label: str  # its name without the stack, and without .fifo
    component: str
    handler_timeout_s: int | None = None  # of the function it feeds; a DLQ feeds none
    max_receives: int = 5
    fifo: bool = False
    filled_by_topic: Input[str] | None = None  # the topic whose deliveries the queue takes; others need a grant


class DeadLetterQueue(ComponentResource):
    """Where what cannot be worked on waits for an operator."""

    arn: Output[str]
    queue_name: Output[str]
    url: Output[str]
    resource_policy: aws.sqs.QueuePolicy

    def __init__(self, name: str, args: QueueArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:messaging:DeadLetterQueue", name, opts=opts)
        queue = _queue(f"{name}-queue", args, ResourceOptions(parent=self))
        self.arn, self.url, self.queue_name = queue.arn, queue.id, queue.name
        self.resource_policy = _resource_policy(name, self.arn, self.url, args, self)
        self.register_outputs({"arn": self.arn, "url": self.url})

    def grant_send(self, role: Role) -> None:
        """Put a message here at once, with the reason, instead of by five receives."""
        role.allow("Refuse", "sqs:SendMessage", on=self.arn)


class Queue(ComponentResource):
    """Encrypted, TLS only, with a redrive policy; its DLQ takes messages of this queue alone."""

    arn: Output[str]
    queue_name: Output[str]
    url: Output[str]
    dlq: DeadLetterQueue
    resource_policy: aws.sqs.QueuePolicy  # a subscription waits for it

    def __init__(self, name: str, args: QueueArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:messaging:Queue", name, opts=opts)
        child = ResourceOptions(parent=self)
        self.dlq = DeadLetterQueue(
            f"{name}-dlq", replace(args, label=f"{args.label}-dlq", handler_timeout_s=None), child
        )
        redrive = Output.json_dumps({"deadLetterTargetArn": self.dlq.arn, "maxReceiveCount": args.max_receives})
        queue = _queue(f"{name}-queue", args, child, redrive_policy=redrive)
        self.arn, self.url, self.queue_name = queue.arn, queue.id, queue.name
        self.resource_policy = _resource_policy(name, self.arn, self.url, args, self)
        allow_redrive(name, self.dlq, self.arn, self)
        self.register_outputs({"arn": self.arn, "url": self.url, "dlq_arn": self.dlq.arn, "dlq_url": self.dlq.url})

    def grant_consume(self, role: Role) -> None:
        """Be fed from the queue by an event source mapping."""
        role.allow("Consume", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage", on=self.arn)

    def grant_redeliver(self, role: Role) -> None:
        """Have a message that failed delivered again before the visibility time-out ends."""
        role.allow("Hasten", "sqs:ChangeMessageVisibility", on=self.arn)

    def grant_send(self, role: Role, sid: str) -> None:
        """Put messages into the queue; ``sid`` says what for."""
        role.allow(sid, "sqs:SendMessage", on=self.arn)


def allow_redrive(name: str, dlq: DeadLetterQueue, source_arn: Output[str] | None, parent: Resource) -> None:
    """Let only ``source_arn`` redrive into ``dlq``; None: no queue at all."""
    allowed = (
        {"redrivePermission": "denyAll"}
        if source_arn is None
        else {"redrivePermission": "byQueue", "sourceQueueArns": [source_arn]}
    )
    aws.sqs.RedriveAllowPolicy(
        f"{name}-dlq-allow",
        queue_url=dlq.url,
        redrive_allow_policy=Output.json_dumps(allowed),
        opts=ResourceOptions(parent=parent),
    )


def _queue(
    name: str, args: QueueArgs, opts: ResourceOptions, redrive_policy: Output[str] | None = None
) -> aws.sqs.Queue:
    return aws.sqs.Queue(
        name,
        name=args.context.physical_name(args.label) + (".fifo" if args.fifo else ""),
        fifo_queue=True if args.fifo else None,
        content_based_deduplication=True if args.fifo else None,
        # Order matters within a session only, so sessions do not wait for one another.
        deduplication_scope="messageGroup" if args.fifo else None,
        fifo_throughput_limit="perMessageGroupId" if args.fifo else None,
        message_retention_seconds=TWO_WEEKS_S,
        # Lambda's advice for an event source.
        visibility_timeout_seconds=None if args.handler_timeout_s is None else 6 * args.handler_timeout_s,
        sqs_managed_sse_enabled=True,
        redrive_policy=redrive_policy,
        tags=args.context.tags(args.component, DataClass.CONFIDENTIAL, args.label),
        opts=opts,
    )


def _resource_policy(
    name: str, arn: Output[str], url: Output[str], args: QueueArgs, parent: Resource
) -> aws.sqs.QueuePolicy:
    """Who may send without a grant: the topic, if any (a DLQ takes what the topic could not deliver)."""
    statements = [policies.deny_without_tls("sqs:*", arn)]
    if args.filled_by_topic is not None:
        the_topic = {
            "Sid": "OnlyTheTopic",
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": args.filled_by_topic}},
        }
        statements.append(the_topic)
    document = policies.document(*statements)
    return aws.sqs.QueuePolicy(f"{name}-policy", queue_url=url, policy=document, opts=ResourceOptions(parent=parent))
