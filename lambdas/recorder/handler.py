"""Recorder function: writes the messages of the results queue to PostgreSQL, in order."""

from __future__ import annotations

import random
import time
from functools import cache, partial
from typing import Any

from infrafabric.aws_adapters.clients import client
from infrafabric.aws_adapters.key_registry import KeyRegistry
from infrafabric.aws_adapters.queues import SqsDeadLetters, WorkQueue
from infrafabric.environment import RecorderEnvironment
from infrafabric.recorder import connect
from infrafabric.recorder.batch import BatchDeps, BatchRecorder, Delivery
from infrafabric.recorder.history import HistoryRecorder, RecorderDeps
from infrafabric.telemetry import EventLog, meter

env = RecorderEnvironment.read()
log = EventLog("recorder", env.log_level)


@cache
def aws_deps() -> BatchDeps:
    """Build the AWS adapters on the first event."""
    sqs = client("sqs")
    dead_letters = SqsDeadLetters(sqs, env.dlq_url)
    recorder = HistoryRecorder(
        RecorderDeps(
            now_ms=lambda: time.time_ns() // 1_000_000,
            registry=KeyRegistry(client("s3"), env.registry_uri),
            execute=connect.Executor(partial(connect.by_token, env)),
            dead_letters=dead_letters,
        )
    )
    return BatchDeps(
        record=recorder.record,
        dead_letters=dead_letters,
        queue=WorkQueue(sqs, env.queue_url),
        random_unit=random.random,
        measure=meter(env.stack),
        log=log,
    )


def handle_batch(event: dict[str, Any], context: Any, deps: BatchDeps) -> dict[str, Any]:
    """Record a batch; the response names the messages that SQS must deliver again.

    A batch without records, with which the local platform starts an environment, has no effect.
    """
    waiting = BatchRecorder(deps).record(
        [_delivery(record) for record in event["Records"]], context.get_remaining_time_in_millis
    )
    return {"batchItemFailures": [{"itemIdentifier": delivery.sqs_message_id} for delivery in waiting]}


def _delivery(record: dict[str, Any]) -> Delivery:
    attributes = record["attributes"]
    return Delivery(
        body=record["body"],
        session=attributes["MessageGroupId"],
        sqs_message_id=record["messageId"],
        receipt_handle=record["receiptHandle"],
        receives=int(attributes["ApproximateReceiveCount"]),
    )


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Handle an event of the results queue."""
    return handle_batch(event, context, aws_deps())
