"""Agent hNN: a batch of its queue's messages, worked side by side."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from infrafabric import cloud, models, snapshot
from infrafabric.environment import AgentEnvironment
from infrafabric.swarm.agent import attend
from infrafabric.swarm.ledger import Ledger
from infrafabric.swarm.world import AgentDeps
from infrafabric.telemetry import EventLog, meter
from infrafabric.voice import Voice

env = AgentEnvironment.read()
log = EventLog("agent", env.log_level)
model = models.open_model(env, fetch_secret=cloud.secret_reader())
# The SDK's import is the greater part of a cold start: it runs while the first message is verified and claimed.
threading.Thread(target=model.warm, name="warm", daemon=True).start()


@cache
def aws_deps() -> AgentDeps:
    """Built on the first event and kept: importing this file asks nothing of AWS."""
    s3, sqs = cloud.client("s3"), cloud.client("sqs")
    registry, objects = cloud.KeyRegistry(s3, env.registry_uri), cloud.Objects(s3, env.results_bucket)
    voice = Voice(
        sns=cloud.client("sns"),
        sqs=sqs,
        topic_arn=env.topic_arn,
        record_queue_url=env.record_queue_url,
        signer=cloud.kms_signer(f"if://agent/{env.agent}", env.signing_key_arn, registry),
        objects=objects,
    )
    return AgentDeps(
        agent=env.agent,
        now_ms=lambda: time.time_ns() // 1_000_000,
        draw=random.random,
        token=lambda: uuid.uuid4().hex,
        registry=registry,
        fetch=objects.resolve,
        store=Ledger(dynamodb=cloud.client("dynamodb"), table=env.sessions_table),
        model=model,
        put_result=objects.put,
        callbacks=cloud.Callbacks(cloud.client("lambda"), lambda code: log.info("callback closed", code=code)),
        sign=voice.sign,
        publish=voice.publish,
        archive=voice.archive,
        together=cloud.together(ThreadPoolExecutor(2 * env.batch_size, thread_name_prefix="beside")),
        put_back=partial(cloud.put_back, sqs, env.queue_url),
        hasten=partial(cloud.hasten, sqs, env.queue_url),
        dead_letter=partial(cloud.dead_letter, sqs, env.dlq_url),
        measure=meter(env.stack, AgentId=env.agent, ModelType=env.model_id),
        log=log,
        heartbeat_s=env.heartbeat_s,
    )


@cache
def threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(env.batch_size, thread_name_prefix="message")


snapshot.around(before=model.warm, forget=(model.forget, aws_deps.cache_clear, threads.cache_clear))


def serve(event: dict[str, Any], context: Any, deps: AgentDeps) -> Any:
    left_ms: Callable[[], int] = context.get_remaining_time_in_millis

    def one(record: SQSRecord) -> None:
        count = record.message_attributes["throttles"]
        throttles = int(count.string_value or 0) if count else 0
        attend(
            record.body,
            receives=int(record.attributes.get("ApproximateReceiveCount") or 1),
            carrier=record.message_id,
            receipt=record.receipt_handle,
            throttles=throttles,
            left_ms=left_ms,
            deps=deps,
        )

    if not event["Records"]:
        return {"batchItemFailures": []}  # how the local platform starts an environment without giving it work
    begun = {record["receiptHandle"]: threads().submit(one, SQSRecord(record)) for record in event["Records"]}
    # One bad message must not make the whole batch a function error: those slow the event source down.
    batch = BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False, logger=log.plain)
    return process_partial_response(event, lambda record: begun[record.receipt_handle].result(), batch, context)


def handler(event: dict[str, Any], context: Any) -> Any:
    return serve(event, context, aws_deps())
