"""Agent hNN: processes a batch of its queue's messages concurrently."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from infrafabric import models
from infrafabric.aws_adapters.breaker_rows import TableBreakerRow
from infrafabric.aws_adapters.callbacks import DurableCallbacks
from infrafabric.aws_adapters.clients import client
from infrafabric.aws_adapters.current_signer import CurrentSigner, signing_keys
from infrafabric.aws_adapters.key_registry import KeyRegistry
from infrafabric.aws_adapters.lease_table import LeaseTable
from infrafabric.aws_adapters.objects import S3Objects
from infrafabric.aws_adapters.queues import SqsDeadLetters, WorkQueue, copy_id_of
from infrafabric.aws_adapters.secrets import read_secret
from infrafabric.aws_adapters.snapstart import register_snapshot_hooks
from infrafabric.bus.envelope import sign
from infrafabric.bus.uris import agent_uri
from infrafabric.concurrency import run_concurrently_on
from infrafabric.environment import AgentEnvironment
from infrafabric.swarm.breaker import Breaker
from infrafabric.swarm.deps import AgentDeps
from infrafabric.swarm.task_worker import Delivery, TaskWorker
from infrafabric.telemetry import EventLog, meter

env = AgentEnvironment.read()
log = EventLog("agent", env.log_level)
model = models.open_model(env, fetch_secret=read_secret)
# The SDK's import is the greater part of a cold start: it runs while the first message is verified and leased.
threading.Thread(target=model.warm, name="warm", daemon=True).start()


@cache
def aws_deps() -> AgentDeps:
    """Build the AWS adapters on the first event: importing this file makes no AWS call."""
    s3, sqs = client("s3"), client("sqs")
    registry, objects = KeyRegistry(s3, env.registry_uri), S3Objects(s3, env.results_bucket)
    breaker = Breaker(
        TableBreakerRow(dynamodb=client("dynamodb"), table=env.leases_table),
        now_ms=lambda: time.time_ns() // 1_000_000,
        open_s=env.breaker_s,
        log=log,
        opened=lambda: meter(env.stack)({"BreakerOpened": 1}),
    )
    signer = CurrentSigner(client("kms"), principal=agent_uri(env.agent), keys=signing_keys(env), registry=registry)
    return AgentDeps(
        agent=env.agent,
        now_ms=lambda: time.time_ns() // 1_000_000,
        random_unit=random.random,
        registry=registry,
        leases=LeaseTable(dynamodb=client("dynamodb"), table=env.leases_table),
        model=model,
        objects=objects,
        callbacks=DurableCallbacks(client("lambda"), lambda code: log.info("callback closed", code=code)),
        breaker=breaker,
        sign=lambda draft: sign(dict(draft), signer()).decode(),
        queue=WorkQueue(sqs, env.queue_url),
        dead_letters=SqsDeadLetters(sqs, env.dlq_url),
        run_concurrently=run_concurrently_on(ThreadPoolExecutor(2 * env.batch_size, thread_name_prefix="concurrent")),
        measure=meter(env.stack, AgentId=env.agent, ModelType=env.model_id),
        log=log,
        trace_id=lambda: os.environ.get("_X_AMZN_TRACE_ID", ""),
        heartbeat_s=env.heartbeat_s,
    )


@cache
def threads() -> ThreadPoolExecutor:
    """Create the thread pool on the first event; it processes a thread per message."""
    return ThreadPoolExecutor(env.batch_size, thread_name_prefix="message")


register_snapshot_hooks(before=model.warm, forget=(model.forget, aws_deps.cache_clear, threads.cache_clear))


def handle_batch(event: dict[str, Any], context: Any, deps: AgentDeps) -> Any:
    """Process a batch; the response names the messages that SQS must deliver again."""
    left_ms: Callable[[], int] = context.get_remaining_time_in_millis
    worker = TaskWorker(deps)

    def handle_record(record: SQSRecord) -> None:
        worker.handle(
            Delivery(
                body=record.body,
                copy=copy_id_of(record.raw_event),
                receipt_handle=record.receipt_handle,
                receives=int(record.attributes.get("ApproximateReceiveCount") or 1),
                left_ms=left_ms,
            )
        )

    if not event["Records"]:
        return {"batchItemFailures": []}  # the local platform starts an environment with an empty batch
    futures = {r["receiptHandle"]: threads().submit(handle_record, SQSRecord(r)) for r in event["Records"]}
    # One bad message must not make the whole batch a function error: function errors slow the event source down.
    batch = BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False, logger=log.plain)
    return process_partial_response(event, lambda record: futures[record.receipt_handle].result(), batch, context)


def handler(event: dict[str, Any], context: Any) -> Any:
    """Handle an event of the agent's queue."""
    return handle_batch(event, context, aws_deps())
