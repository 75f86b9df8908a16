"""Recorder function: writes the messages of the results queue to PostgreSQL, in order."""

from __future__ import annotations

import time
from functools import cache, partial
from typing import Any

from aws_lambda_powertools.utilities.batch import SqsFifoPartialProcessor, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from infrafabric.aws_adapters.clients import client
from infrafabric.aws_adapters.key_registry import KeyRegistry
from infrafabric.aws_adapters.queues import SqsDeadLetters
from infrafabric.environment import RecorderEnvironment
from infrafabric.recorder import connect
from infrafabric.recorder.history import HistoryRecorder, RecorderDeps
from infrafabric.telemetry import EventLog

env = RecorderEnvironment.read()
log = EventLog("recorder", env.log_level)


@cache
def aws_deps() -> RecorderDeps:
    """Build the AWS adapters on the first event."""
    return RecorderDeps(
        now_ms=lambda: time.time_ns() // 1_000_000,
        registry=KeyRegistry(client("s3"), env.registry_uri),
        execute=connect.Executor(partial(connect.by_token, env)),
        dead_letters=SqsDeadLetters(client("sqs"), env.dlq_url),
    )


def handle_batch(event: dict[str, Any], context: Any, deps: RecorderDeps) -> Any:
    """Record a batch; the response names the messages that SQS must deliver again."""
    recorder = HistoryRecorder(deps)

    def handle_record(record: SQSRecord) -> None:  # Powertools passes the record by this name
        recorder.record(record.body)

    if not event["Records"]:
        return {"batchItemFailures": []}  # the local platform starts an environment with an empty batch
    # After a failure the rest of the session waits with the failed message, so that order holds; other sessions go on.
    batch = SqsFifoPartialProcessor(skip_group_on_error=True, logger=log.plain)
    return process_partial_response(event, handle_record, batch, context)


def handler(event: dict[str, Any], context: Any) -> Any:
    """Handle an event of the results queue."""
    return handle_batch(event, context, aws_deps())
