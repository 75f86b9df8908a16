"""The coordinator: a durable execution for each session."""

from __future__ import annotations

import os
import threading
import time
from functools import cache
from typing import Any

from aws_durable_execution_sdk_python import DurableContext, durable_execution

from infrafabric import cloud, models
from infrafabric.environment import CoordinatorEnvironment
from infrafabric.swarm.coordinator import run
from infrafabric.swarm.session import COORDINATOR
from infrafabric.swarm.store import SessionStore
from infrafabric.swarm.world import CoordinatorDeps
from infrafabric.telemetry import EventLog
from infrafabric.voice import Voice

env = CoordinatorEnvironment.read()
log = EventLog("coordinator", env.log_level)
model = models.open_model(env, fetch_secret=cloud.secret_reader())


@cache
def aws_deps() -> CoordinatorDeps:
    """Built on the first event and kept."""
    s3 = cloud.client("s3")
    registry, objects = cloud.KeyRegistry(s3, env.registry_uri), cloud.Objects(s3, env.results_bucket)
    voice = Voice(
        sns=cloud.client("sns"),
        sqs=cloud.client("sqs"),
        topic_arn=env.topic_arn,
        record_queue_url=env.record_queue_url,
        signer=cloud.kms_signer(COORDINATOR, env.signing_key_arn, registry),
        objects=objects,
        wait_s=0.01,  # a part's requests are signed side by side: fewer calls are worth more than ten milliseconds
    )
    return CoordinatorDeps(
        now_ms=lambda: time.time_ns() // 1_000_000,
        store=SessionStore(dynamodb=cloud.client("dynamodb"), table=env.sessions_table),
        model=model,
        publish=lambda draft: voice.publish(voice.sign(draft)),
        archive=lambda draft: voice.archive(voice.sign(draft)),
        put=objects.put,
        get=objects.get,
        find_all=objects.find_all,
        # The SDK's import takes a second: requests are signed and published, or results read, meanwhile.
        prepare=lambda: threading.Thread(target=model.warm, name="warm", daemon=True).start(),
        log=log,
        self_name=f"{os.environ['AWS_LAMBDA_FUNCTION_NAME']}:{os.environ['AWS_LAMBDA_FUNCTION_VERSION']}",
        heartbeat_timeout_s=env.heartbeat_timeout_s,
        reassignments=env.reassignments,
        at_once=env.at_once,
    )


@durable_execution
def handler(event: dict[str, Any], context: DurableContext) -> dict[str, Any]:
    return run(event, context, aws_deps())
