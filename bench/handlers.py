"""Agent handler compared with the reference handler (``seed_handler``): cold init, first result and warm overhead.

Both run in new interpreters against the same emulator and the same fake model server; the time of model calls is
subtracted. The reference handler imports the packages of this environment, with byte code; the agent handler imports
the deployed layer.
"""

from __future__ import annotations

import hashlib
import json
import os
import statistics
import subprocess
import sys
import sysconfig
import time
import uuid
from pathlib import Path
from typing import Any

from infra.packager import build as packager
from infrafabric.aws_adapters.objects import split_s3_uri
from infrafabric.bus.envelope import Citation, compose, sign
from infrafabric.bus.registry import Registry
from infrafabric.bus.signing import KmsSigner
from infrafabric.bus.structure import Performative
from infrafabric.bus.uris import COORDINATOR, new_message_id
from infrafabric.swarm.object_keys import result_key
from infrafabric.swarm.shapes.order import Order
from local.platform import REGION, Platform

TARGET = 0.5  # maximum time, relative to the reference handler
_HERE = Path(__file__).resolve().parent
_ROUNDS, _EVENTS, _BATCH = 3, 41, 10


def measure(platform: Platform, outputs: dict[str, Any], work: Path) -> dict[str, Any]:
    """Measure both handlers: ``{"init": {"ours_s", "seed_s", "ratio", "met"}, "first_answer", "warm", …}``.

    Times are seconds, medians over the rounds; ``seed_s`` is the reference handler's.
    """
    model_s = _model_s(platform.model_url)
    runs: dict[str, list[dict[str, Any]]] = {"ours": [], "seed": []}
    for round_number in range(_ROUNDS):
        runs["ours"].append(_ours(platform, outputs, work, round_number))
        runs["seed"].append(_seed(platform, outputs, work, round_number))
    full = statistics.median(_ours(platform, outputs, work, _ROUNDS, batch_size=_BATCH)["whole_s"]) / _BATCH
    figures: dict[str, Any] = {"model_call_s": model_s, "target": TARGET}
    for name, take in (
        ("init", lambda run: run["init_s"]),
        ("first_answer", lambda run: run["init_s"] + run["first_s"] - model_s),
        ("warm", lambda run: statistics.median(run["warm_s"])),
    ):
        ours, seed = (statistics.median(take(run) for run in runs[handler]) for handler in ("ours", "seed"))
        figures[name] = {"ours_s": ours, "seed_s": seed, "ratio": ours / seed, "met": ours <= TARGET * seed}
    # As deployed: the messages of a full batch are processed concurrently. The time of model calls is included, because
    # overlapping calls cannot be subtracted one by one.
    figures["warm_in_batches"] = {**figures["warm"], "ours_s": full, "ratio": full / figures["warm"]["seed_s"]}
    figures["warm_in_batches"]["met"] = figures["warm_in_batches"]["ratio"] <= TARGET
    figures["modules"] = {handler: runs[handler][0]["modules"] for handler in runs}
    return figures


def _probe(
    paths: list[str], module: str, name: str, events: list[Any], env: dict[str, str], file: Path
) -> dict[str, Any]:
    file.write_text(json.dumps(events))
    command = [sys.executable, "-I", "-S", str(_HERE / "probe.py"), ":".join(paths), module, name, str(file)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": os.defpath, **env})
    if result.returncode:
        raise RuntimeError(f"{module} failed in the probe: {result.stderr.strip()[-2000:]}")
    return json.loads(result.stdout)


def _common(platform: Platform) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": platform.endpoint_url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "AWS_LAMBDA_FUNCTION_NAME": "bench",
    }


def _seed(platform: Platform, outputs: dict[str, Any], work: Path, number: int) -> dict[str, Any]:
    body = {"session_id": f"seed-{number}", "agent_id": 1, "task": "Analyze AWS EC2 pricing models", "context": {}}
    env = {
        **_common(platform),
        "ANTHROPIC_BASE_URL": platform.model_url,
        "ANTHROPIC_API_KEY": "offline",
        "RESULTS_BUCKET": outputs["results_bucket"],
        "COMPLETION_TOPIC_ARN": outputs["bus_topic_arn"],
    }
    paths = [str(_HERE), sysconfig.get_paths()["purelib"]]
    events = [{"Records": [{"body": json.dumps(body)}]}] * _EVENTS
    return _probe(paths, "seed_handler", "lambda_handler", events, env, work / "seed.json")


def _ours(
    platform: Platform, outputs: dict[str, Any], work: Path, number: int, *, batch_size: int = 1
) -> dict[str, Any]:
    package = packager.folders(packager.Target.here())
    function = outputs["agents"]["h01"]["function_name"]
    described = platform.client("lambda").get_function_configuration(FunctionName=function)
    env = {**_common(platform), **described["Environment"]["Variables"]}
    paths = [str(package.code), str(package.layer / "python")]
    records = _requests(platform, outputs, f"bench-{number}-{uuid.uuid4().hex[:8]}", _EVENTS * batch_size)
    events = [{"Records": records[first : first + batch_size]} for first in range(0, len(records), batch_size)]
    return _probe(paths, "lambdas.agent.handler", "handler", events, env, work / "ours.json")


def _requests(platform: Platform, outputs: dict[str, Any], session_id: str, count: int) -> list[dict[str, Any]]:
    """Return ``count`` signed requests of a session as SQS records."""
    now = time.time_ns() // 1_000_000
    order = Order(
        session_id=session_id,
        home=REGION,
        owner="bench",
        goal=None,
        tasks=("bench",),
        agents=1,
        created_ms=now,
        deadline_ms=now + 3_600_000,
        budget_nusd=10**12,
        quorum=1.0,
    )
    signer = _coordinator(platform, outputs)
    return [_record(sign(_draft(order, index, now), signer)) for index in range(count)]


def _coordinator(platform: Platform, outputs: dict[str, Any]) -> KmsSigner:
    bucket, key = split_s3_uri(outputs["registry_uri"])
    registry = Registry.parse(platform.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())
    trusted = registry.keys_of(COORDINATOR)
    kms = platform.client("kms")
    alias = next(a for a in kms.list_aliases()["Aliases"] if a["AliasName"].endswith("coordinator"))
    if not trusted:
        raise LookupError(f"the key registry {outputs['registry_uri']} has no key of {COORDINATOR}")
    return KmsSigner(kms, key_id=alias["TargetKeyId"], principal=COORDINATOR, public_key=trusted[0].text)


def _draft(order: Order, index: int, now_ms: int) -> dict[str, Any]:
    task_id = f"t{index:04}"
    content = {
        **order.key._asdict(),
        "task_id": task_id,
        "attempt": 0,
        "text": "Analyze AWS EC2 pricing models",
        "goal": "",
        "callback_id": "bm9uZQ==",
        "allowance_nusd": 10**9,
        "place": result_key(order.key, "h01", task_id, 0),
    }
    return compose(
        performative=Performative.REQUEST,
        sender=COORDINATOR,
        receiver="if://agent/h01",
        conversation_id=f"if://conversation/{order.session_id}",
        message_id=new_message_id(),
        timestamp=now_ms,
        content=content,
        citation=Citation("if://bench/handlers", f"sha256:{hashlib.sha256(b'').hexdigest()}"),
        reply_by=order.deadline_ms,
    )


def _record(body: bytes) -> dict[str, Any]:
    return {
        "messageId": str(uuid.uuid4()),
        "receiptHandle": str(uuid.uuid4()),
        "body": body.decode(),
        "attributes": {},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:bench",
        "awsRegion": REGION,
    }


def _model_s(url: str) -> float:
    """Measure one call of the SDK to the fake model server with a warm client; median in seconds."""
    import anthropic

    client = anthropic.Anthropic(api_key="offline", base_url=url)
    times = []
    for _ in range(_EVENTS):
        before = time.perf_counter()
        client.messages.create(
            model="claude-haiku-5-5", max_tokens=4096, messages=[{"role": "user", "content": "Analyze AWS EC2 pricing"}]
        )
        times.append(time.perf_counter() - before)
    return statistics.median(times)
