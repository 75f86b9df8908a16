"""Sessions of 10, 100 and 1,000 tasks: makespan, tasks per second, AWS calls and model calls per task.

Two baselines run in the same process: the emulator without a swarm (SNS → SQS → empty function), and a sequential loop
of the same AWS calls. The emulator counts the calls, so the counts do not depend on the machine.
"""

from __future__ import annotations

import io
import json
import time
import urllib.request
import uuid
import zipfile
from collections import Counter
from collections.abc import Callable
from typing import Any

from infrafabric.cli.api_client import ApiClient, ApiKeyAuthentication
from local.platform import ACCOUNT, REGION, Platform

SIZES = (10, 100, 1000)
CALLS_TARGETS = {10: 12.0, 100: 7.0, 1000: 6.6}  # AWS calls per task, by the session's size
THROUGHPUT_TARGET = 0.6
_FINAL = ("COMPLETE", "PARTIAL", "FAILED", "CANCELLED")
_POLL_S, _TIMEOUT_S, _QUIET_S = 0.25, 600.0, 1.0
_REPLAY_TASKS = 500  # number of tasks whose calls the sequential loop repeats


def measure(platform: Platform, outputs: dict[str, Any], progress: Callable[[str], None]) -> dict[str, Any]:
    """Measure sessions and baselines: ``{"sessions": {"10": {…}}, "emulator": {…}, "throughput": {"ratio", …}, …}``."""
    progress("sessions that warm the functions")  # 100 tasks start a second environment per agent
    for size in SIZES[:-1]:
        _session(platform, outputs, size)
    sessions = {}
    for size in SIZES:
        progress(f"session of {size} tasks")
        sessions[str(size)] = _session(platform, outputs, size)
    largest = sessions[str(SIZES[-1])]
    progress("the same calls in a sequential loop")  # right after: a shared machine's speed changes within minutes
    replay = _replay(platform, outputs, largest["calls"], SIZES[-1])
    progress("the emulator without a swarm")
    emulator = _emulator(platform, tasks=200)
    ratio = largest["tasks_per_s"] / replay["tasks_per_s"]
    slower = largest["s_per_task"] / sessions[str(SIZES[-2])]["s_per_task"]
    return {
        "sessions": sessions,
        "emulator": emulator,
        "replay": replay,
        "throughput": {"ratio": ratio, "target": THROUGHPUT_TARGET, "met": ratio >= THROUGHPUT_TARGET},
        "scaling": {"ratio": slower, "target": 1.0, "met": slower <= 1.0},
        "calls_per_task": {
            "values": [session["calls_per_task"] for session in sessions.values()],
            "targets": list(CALLS_TARGETS.values()),
            "met": all(session["calls_per_task"] <= CALLS_TARGETS[int(size)] for size, session in sessions.items()),
        },
        "model_calls_per_task": {
            "values": [session["model_calls_per_task"] for session in sessions.values()],
            "met": all(session["model_calls_per_task"] == 1 for session in sessions.values()),
        },
        "nothing_lost": {"met": all(session["done"] == int(size) for size, session in sessions.items())},
    }


def _session(platform: Platform, outputs: dict[str, Any], tasks: int) -> dict[str, Any]:
    client = ApiClient(outputs["api_url"], ApiKeyAuthentication(outputs["api_key"]))
    session_id = f"bench-{tasks}-{uuid.uuid4().hex[:6]}"
    _model_requests(platform, "DELETE")
    before, started = Counter(platform.calls()), time.perf_counter()
    body = {"session_id": session_id, "tasks": [f"Describe part {n}" for n in range(tasks)], "budget_usd": 100}
    client.call("POST", "/sessions", body)
    polls = 0
    while (session := client.call("GET", f"/sessions/{session_id}"))["status"] not in _FINAL:
        polls += 1
        if time.perf_counter() - started > _TIMEOUT_S:
            raise TimeoutError(f"{session_id} has not ended after {_TIMEOUT_S:.0f} s: {session}")
        time.sleep(_POLL_S)
    seconds = time.perf_counter() - started
    calls = _settled(platform) - before
    calls["dynamodb:GetItem"] -= polls + 1  # calls of this loop
    model_calls = {
        row["model"]: row["count"] for row in _model_requests(platform, "GET") if row["outcome"] == "answered"
    }
    return {
        "status": session["status"],
        "done": session["tasks"]["done"],
        "makespan_s": seconds,
        "tasks_per_s": tasks / seconds,
        "s_per_task": seconds / tasks,
        "calls": dict(sorted((+calls).items())),
        "calls_per_task": sum((+calls).values()) / tasks,
        "model_calls_per_task": model_calls.get("claude-haiku-5-5", 0) / tasks,
    }


def _settled(platform: Platform) -> Counter[str]:
    """Wait until the recorder has finished, and return the emulator's counts of calls."""
    previous = Counter(platform.calls())
    while True:
        time.sleep(_QUIET_S)
        now = Counter(platform.calls())
        if now == previous:
            return now
        previous = now


def _model_requests(platform: Platform, method: str) -> Any:
    request = urllib.request.Request(f"{platform.model_url}/_fabric/requests", method=method)
    with urllib.request.urlopen(request) as response:
        return json.load(response)


def _emulator(platform: Platform, *, tasks: int) -> dict[str, Any]:
    """Measure messages through a topic and a queue to an empty function: the upper limit for any design."""
    sns, sqs, functions = (platform.client(service) for service in ("sns", "sqs", "lambda"))
    name = f"bench-empty-{uuid.uuid4().hex[:6]}"
    topic = sns.create_topic(Name=name)["TopicArn"]
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    queue = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"
    allow = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue,
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue, Attributes={"RawMessageDelivery": "true"})
    role = platform.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=_TRUST)["Role"]["Arn"]
    _grant_receive(platform, name, queue)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as code:
        code.writestr("empty.py", "def handler(event, context):\n    return {}\n")
    functions.create_function(
        FunctionName=name,
        Role=role,
        Runtime="python3.13",
        Handler="empty.handler",
        Code={"ZipFile": archive.getvalue()},
    )
    functions.get_waiter("function_active_v2").wait(FunctionName=name)
    functions.create_event_source_mapping(FunctionName=name, EventSourceArn=queue, BatchSize=1)
    started = time.perf_counter()
    for index in range(tasks):
        sns.publish(TopicArn=topic, Message=str(index))
    while _waiting(sqs, url):
        time.sleep(0.02)
    seconds = time.perf_counter() - started
    return {"tasks": tasks, "tasks_per_s": tasks / seconds}


_TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
)


def _grant_receive(platform: Platform, role: str, queue: str) -> None:
    actions = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
    statement = {"Effect": "Allow", "Action": actions, "Resource": queue}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    platform.client("iam").put_role_policy(RoleName=role, PolicyName="receive", PolicyDocument=document)


def _waiting(sqs: Any, url: str) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(value) for value in attributes.values())


def _replay(platform: Platform, outputs: dict[str, Any], calls: dict[str, int], tasks: int) -> dict[str, Any]:
    """Repeat the session's calls per task in a sequential boto3 loop."""
    operations = _calls(platform, outputs)
    share = {name: count * _REPLAY_TASKS / tasks for name, count in calls.items() if name in operations}
    started = time.perf_counter()
    due = dict.fromkeys(share, 0.0)
    calls_made = 0
    for _ in range(_REPLAY_TASKS):
        for name, count in share.items():
            due[name] += count / _REPLAY_TASKS
            while due[name] >= 1:
                operations[name]()
                due[name] -= 1
                calls_made += 1
    seconds = time.perf_counter() - started
    return {
        "tasks_per_s": _REPLAY_TASKS / seconds,
        "calls_per_s": calls_made / seconds,
        "left_out": sorted(name for name in calls if name not in operations),
    }


def _calls(platform: Platform, outputs: dict[str, Any]) -> dict[str, Callable[[], Any]]:
    """Return a function per AWS operation, with a payload as large as the swarm's."""
    dynamodb, s3, kms, sns, sqs, functions = (
        platform.client(service) for service in ("dynamodb", "s3", "kms", "sns", "sqs", "lambda")
    )
    platform.client("s3").put_object(Bucket=outputs["results_bucket"], Key="replay", Body=b"x" * 1200)
    table, bucket, topic = (outputs[name] for name in ("sessions_table", "results_bucket", "bus_topic_arn"))
    leases = table.replace("sessions", "leases-h01")
    key = next(a["TargetKeyId"] for a in kms.list_aliases()["Aliases"] if a["AliasName"].endswith("coordinator"))
    body = json.dumps({"text": "x" * 1200})

    def write_item() -> None:
        item = {"pk": {"S": f"replay-{uuid.uuid4().hex}"}, "sk": {"S": "ROUND"}, "body": {"S": body[:400]}}
        dynamodb.put_item(TableName=table, Item=item)

    def lease() -> None:
        dynamodb.update_item(
            TableName=leases,
            Key={"pk": {"S": f"replay-{uuid.uuid4().hex}"}},
            UpdateExpression="SET until_ms = :n",
            ConditionExpression="attribute_not_exists(until_ms)",
            ExpressionAttributeValues={":n": {"N": "1"}},
        )

    def publish() -> None:
        attributes = {"receiver": {"DataType": "String", "StringValue": "if://agent/nobody"}}
        entries = [{"Id": str(n), "Message": body, "MessageAttributes": attributes} for n in range(10)]
        sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)

    queue = sqs.create_queue(QueueName=f"replay-{uuid.uuid4().hex[:6]}")["QueueUrl"]

    def send() -> None:
        sqs.send_message_batch(QueueUrl=queue, Entries=[{"Id": str(n), "MessageBody": body} for n in range(10)])

    def call_back() -> None:
        try:
            functions.send_durable_execution_callback_success(CallbackId="bm9uZQ==", Result=body.encode())
        except functions.exceptions.InvalidParameterValueException:
            return  # refused without work, so this call is faster than the swarm's

    def read_item() -> None:
        dynamodb.get_item(TableName=table, Key={"pk": {"S": "replay"}, "sk": {"S": "SESSION"}})

    def fetch() -> None:
        s3.get_object(Bucket=bucket, Key="replay")["Body"].read()

    return {
        "dynamodb:TransactWriteItems": write_item,
        "dynamodb:PutItem": write_item,
        "dynamodb:UpdateItem": lease,
        "dynamodb:Query": read_item,
        "dynamodb:GetItem": read_item,
        "kms:Sign": lambda: kms.sign(
            KeyId=key, Message=body.encode(), MessageType="RAW", SigningAlgorithm="ED25519_SHA_512"
        ),
        "lambda:DurableExecution.succeed": call_back,
        "lambda:DurableExecution.checkpoint": call_back,
        "s3:GET": fetch,
        "s3:PUT": lambda: s3.put_object(Bucket=bucket, Key="replay", Body=body.encode()),
        "sns:PublishBatch": publish,
        "sqs:SendMessageBatch": send,
    }
