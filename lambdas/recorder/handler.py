"""The recorder: the results queue's messages become rows, in their order."""

from __future__ import annotations

import time
from functools import cache, partial
from typing import Any

from aws_lambda_powertools.utilities.batch import SqsFifoPartialProcessor, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from infrafabric import cloud
from infrafabric.environment import RecorderEnvironment
from infrafabric.recorder import connect
from infrafabric.recorder.history import RecorderDeps
from infrafabric.recorder.history import record as write
from infrafabric.telemetry import EventLog

env = RecorderEnvironment.read()
log = EventLog("recorder", env.log_level)


@cache
def aws_deps() -> RecorderDeps:
    """Built on the first event and kept."""
    return RecorderDeps(
        now_ms=lambda: time.time_ns() // 1_000_000,
        registry=cloud.KeyRegistry(cloud.client("s3"), env.registry_uri),
        execute=connect.Executor(partial(connect.by_token, env)),
        dead_letter=partial(cloud.dead_letter, cloud.client("sqs"), env.dlq_url),
    )


def serve(event: dict[str, Any], context: Any, deps: RecorderDeps) -> Any:
    def one(record: SQSRecord) -> None:  # Powertools passes it by this name
        write(record.body, deps)

    if not event["Records"]:
        return {"batchItemFailures": []}  # how the local platform starts an environment without giving it work
    # After a failure the rest of its session waits with it, so that order holds; other sessions go on.
    batch = SqsFifoPartialProcessor(skip_group_on_error=True, logger=log.plain)
    return process_partial_response(event, one, batch, context)


def handler(event: dict[str, Any], context: Any) -> Any:
    return serve(event, context, aws_deps())
