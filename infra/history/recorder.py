"""Recorder: writes session events into PostgreSQL, in order, from one FIFO queue."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi_aws as aws
from pulumi import ComponentResource, Output, ResourceOptions

from infra import settings
from infra.compute.function import Function, FunctionArgs
from infra.foundation.foundation import Foundation
from infra.history.database import RECORDER_USER, Database
from infra.history.migrator import Migrator
from infra.iam.grants import Role
from infra.messaging.queue import Queue, QueueArgs
from infra.naming.context import DataClass
from infra.network.attachment import Attachment, AttachmentArgs
from infra.network.network import Network
from infrafabric.environment import RecorderEnvironment
from infrafabric.recorder.redelivery import MAX_RECEIVES

TIMEOUT_S = 60
MEMORY_MB = 256
BATCH_SIZE = 10  # the largest batch of a FIFO queue


@dataclass(frozen=True, kw_only=True)
class RecorderArgs:
    foundation: Foundation
    network: Network
    database: Database
    migrator: Migrator


class Recorder(ComponentResource):
    """FIFO queue of session events, and the only function that writes them to the database."""

    called_services = ("sqs",)  # AWS services that the function calls from the VPC, in addition to S3
    queue_url: Output[str]
    dlq_url: Output[str]
    inbox: Queue
    function: Function

    def __init__(self, name: str, args: RecorderArgs, opts: ResourceOptions | None = None) -> None:
        super().__init__("infrafabric:swarm:Recorder", name, opts=opts)
        child = ResourceOptions(parent=self)
        self.inbox = Queue(
            name,
            QueueArgs(
                context=args.foundation.context,
                label="if-agent-results",
                component="recorder",
                handler_timeout_s=TIMEOUT_S,
                # While the database or the key registry is unavailable, messages stay in the queue, so that their order
                # holds, and each delivery counts. The recorder dead-letters them before the queue does.
                max_receives=MAX_RECEIVES,
                fifo=True,
            ),
            child,
        )
        self.queue_url, self.dlq_url = self.inbox.url, self.inbox.dlq.url
        tags = args.foundation.context.tags("recorder", DataClass.NONE, "recorder")
        role = Role(name, tags, child, service="lambda.amazonaws.com")
        attachment = Attachment(
            f"{name}-vpc",
            AttachmentArgs(foundation=args.foundation, network=args.network, role=role, label="recorder"),
            child,
        )
        args.database.allow_from(attachment, self)
        args.database.grant_connect(role, RECORDER_USER)
        args.foundation.storage.grant_read_registry(role)
        self.inbox.grant_consume(role)
        self.inbox.grant_redeliver(role)
        self.inbox.dlq.grant_send(role)
        self.function = Function(name, self._function_args(role, attachment, args), child)
        aws.lambda_.EventSourceMapping(
            f"{name}-feed",
            event_source_arn=self.inbox.arn,
            function_name=self.function.alias_arn,
            # A replica accepts no writes: until the promotion, events wait in the queue, for at most 14 days.
            enabled=args.migrator.invocation is not None,
            batch_size=BATCH_SIZE,
            function_response_types=["ReportBatchItemFailures"],
            scaling_config={"maximum_concurrency": settings.RECORDER_CONCURRENCY},
            tags=args.foundation.context.tags("recorder", DataClass.NONE),
            opts=ResourceOptions(
                parent=self,
                depends_on=attachment.rules,
            ),
        )
        self.register_outputs({"queue_url": self.queue_url, "dlq_url": self.dlq_url})

    def grant_record(self, role: Role) -> None:
        """Grant sending an event to the recorder's queue."""
        self.inbox.grant_send(role, "Record")

    def _function_args(self, role: Role, attachment: Attachment, args: RecorderArgs) -> FunctionArgs:
        return FunctionArgs(
            foundation=args.foundation,
            role=role,
            label="recorder",
            component="recorder",
            handler="lambdas.recorder.handler.handler",
            environment=RecorderEnvironment.render(
                **args.database.environment(RECORDER_USER),
                stack=args.foundation.context.stack,
                registry_uri=args.foundation.storage.registry_uri,
                queue_url=self.inbox.url,
                dlq_url=self.inbox.dlq.url,
            ),
            timeout_s=TIMEOUT_S,
            memory_mb=MEMORY_MB,
            attachment=attachment,
            # Also an update waits for the migrations: the new code may write a column that they add.
            depends_on=[args.migrator.invocation] if args.migrator.invocation else (),
        )
