"""Coordinator: one durable execution per session."""

from __future__ import annotations

import os
import random
import secrets
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

from aws_durable_execution_sdk_python import DurableContext, durable_execution

from infrafabric import models
from infrafabric.aws_adapters.breaker_rows import BreakerRows
from infrafabric.aws_adapters.clients import client
from infrafabric.aws_adapters.current_signer import CurrentSigner, signing_keys
from infrafabric.aws_adapters.key_registry import KeyRegistry
from infrafabric.aws_adapters.objects import S3Objects
from infrafabric.aws_adapters.publisher import BusPublisher
from infrafabric.aws_adapters.secrets import read_secret
from infrafabric.aws_adapters.session_store import SessionStore
from infrafabric.bus.uris import COORDINATOR
from infrafabric.environment import CoordinatorEnvironment
from infrafabric.models.prices import Prices
from infrafabric.swarm.allowances import Allowances
from infrafabric.swarm.coordinator import SessionExecution
from infrafabric.swarm.deps import CoordinatorDeps
from infrafabric.swarm.progress import ProgressClock
from infrafabric.swarm.shapes.shape import BadShapeError
from infrafabric.telemetry import EventLog, meter

_SENDERS = 16  # threads that sign requests: half of the connections that a client keeps

env = CoordinatorEnvironment.read()
log = EventLog("coordinator", env.log_level)
measure = meter(env.stack)
model = models.open_model(env, fetch_secret=read_secret)


def unreadable(where: str, error: BadShapeError) -> None:
    """Log and count a stored part of a session that does not parse."""
    log.warning("stored row not readable", where=where, why=str(error))
    measure({"UnreadableRows": 1})


@cache
def aws_deps() -> CoordinatorDeps:
    """Build the AWS adapters on the first event."""
    s3 = client("s3")
    registry, objects = KeyRegistry(s3, env.registry_uri), S3Objects(s3, env.results_bucket)
    publisher = BusPublisher(
        sns=client("sns"),
        sqs=client("sqs"),
        topic_arn=env.topic_arn,
        record_queue_url=env.record_queue_url,
        signer=CurrentSigner(client("kms"), principal=COORDINATOR, keys=signing_keys(env), registry=registry),
        objects=objects,
        pool=ThreadPoolExecutor(max_workers=_SENDERS),
    )
    return CoordinatorDeps(
        now_ms=lambda: time.time_ns() // 1_000_000,
        new_secret=lambda: secrets.token_hex(16),
        random_unit=random.random,
        store=SessionStore(
            dynamodb=client("dynamodb"),
            table=env.sessions_table,
            home=os.environ["AWS_REGION"],
            on_unreadable=unreadable,
        ),
        registry=registry,
        model=model,
        allowances=Allowances(models.PricedModel(env.agent_model_id, Prices.load(env.price_table))),
        publisher=publisher,
        breakers=BreakerRows(
            dynamodb=client("dynamodb"), table_of=lambda agent: env.leases_tables.replace("{agent}", agent)
        ),
        objects=objects,
        progress=ProgressClock(lambda: time.time_ns() // 1_000_000),
        # The SDK's import takes a second: meanwhile requests are signed and published, or results read.
        warm_model=lambda: threading.Thread(target=model.warm, name="warm", daemon=True).start(),
        measure=measure,
        log=log,
        self_name=f"{os.environ['AWS_LAMBDA_FUNCTION_NAME']}:{os.environ['AWS_LAMBDA_FUNCTION_VERSION']}",
        heartbeat_timeout_s=env.heartbeat_timeout_s,
        reassignments=env.reassignments,
        tasks_at_once=env.at_once,
        max_tokens=env.max_tokens,
        agent_max_tokens=env.agent_max_tokens,
    )


@durable_execution
def handler(event: dict[str, Any], context: DurableContext) -> dict[str, Any]:
    """Run or resume a durable execution."""
    return SessionExecution(event, context, aws_deps()).run()
