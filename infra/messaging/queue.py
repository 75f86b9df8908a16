"""SQS queue with a dead-letter queue; every queue of a stack is declared by this component."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pulumi_aws as aws
from pulumi import ComponentResource, Input, Output, Resource, ResourceOptions

from infra.iam import policies
from infra.iam.grants import Role
from infra.naming.context import DataClass, StackContext

TWO_WEEKS_S = 1_209_600  # SQS's longest message retention


@dataclass(frozen=True, kw_only=True)
class QueueArgs:
    context: StackContext
    label: str  # queue name without the stack, and without .fifo
    component: str
    handler_timeout_s: int | None = None  # timeout of the consuming function; None for a DLQ
    max_receives: int = 5
    fifo: bool = False
    filled_by_topic: Input[str] | None = None  # topic that may send without a grant


class DeadLetterQueue(ComponentResource):
    """Dead-letter queue: failed messages wait here for an operator."""

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
        """Grant dead-lettering a message at once, with the reason, instead of after five receives."""
        role.allow("Refuse", "sqs:SendMessage", on=self.arn)


class Queue(ComponentResource):
    """Encrypted, TLS-only SQS queue, and a DLQ that accepts messages of this queue alone."""

    arn: Output[str]
    queue_name: Output[str]
    url: Output[str]
    dlq: DeadLetterQueue
    resource_policy: aws.sqs.QueuePolicy  # a subscription depends on this policy

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
        """Grant consuming by an event source mapping."""
        role.allow("Consume", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage", on=self.arn)

    def grant_redeliver(self, role: Role) -> None:
        """Grant redelivery of a failed message before the visibility timeout ends."""
        role.allow("Hasten", "sqs:ChangeMessageVisibility", on=self.arn)

    def grant_send(self, role: Role, sid: str) -> None:
        """Grant sending messages; ``sid`` names the purpose."""
        role.allow(sid, "sqs:SendMessage", on=self.arn)


def allow_redrive(name: str, dlq: DeadLetterQueue, source_arn: Output[str] | None, parent: Resource) -> None:
    """Let only the queue ``source_arn`` use ``dlq`` as its dead-letter queue; None lets no queue."""
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
        # Order matters only within a session, so a session never waits for another session.
        deduplication_scope="messageGroup" if args.fifo else None,
        fifo_throughput_limit="perMessageGroupId" if args.fifo else None,
        message_retention_seconds=TWO_WEEKS_S,
        # Lambda Developer Guide, "Using Lambda with SQS".
        visibility_timeout_seconds=None if args.handler_timeout_s is None else 6 * args.handler_timeout_s,
        sqs_managed_sse_enabled=True,
        redrive_policy=redrive_policy,
        tags=args.context.tags(args.component, DataClass.CONFIDENTIAL, args.label),
        opts=opts,
    )


def _resource_policy(
    name: str, arn: Output[str], url: Output[str], args: QueueArgs, parent: Resource
) -> aws.sqs.QueuePolicy:
    """Declare the queue policy: TLS only, and sending by the topic if there is one.

    A DLQ with a topic receives the messages that the topic could not deliver.
    """
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
