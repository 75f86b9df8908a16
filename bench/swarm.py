"""Sessions of 10, 100 and 1,000 tasks: makespan, tasks a second, AWS calls and model calls for each task.

Beside them, in the same run: the emulator alone (SNS → SQS → an empty function), and a plain loop that makes the same
mix of AWS calls one after another. Calls are counted at the emulator, so they do not depend on the machine.
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
CALLS_TARGET, THROUGHPUT_TARGET = 12.0, 0.6
_FINAL = ("COMPLETE", "PARTIAL", "FAILED", "CANCELLED")
_LOOK_S, _LONGEST_S, _QUIET_S = 0.25, 600.0, 1.0
_REPLAYED = 500  # tasks whose calls the plain loop makes


def measure(platform: Platform, outputs: dict[str, Any], say: Callable[[str], None]) -> dict[str, Any]:
    """``{"sessions": {"10": {…}}, "emulator": {…}, "replay": {…}, "throughput": {"ratio", "met"}, …}``"""
    say("sessions that warm the functions")  # of 100 too: it makes each agent start a second environment
    for size in SIZES[:-1]:
        _session(platform, outputs, size)
    sessions = {}
    for size in SIZES:
        say(f"session of {size} tasks")
        sessions[str(size)] = _session(platform, outputs, size)
    biggest = sessions[str(SIZES[-1])]
    say("the same calls in a plain loop")  # at once: how fast a shared machine is changes within minutes
    replay = _replay(platform, outputs, biggest["calls"], SIZES[-1])
    say("the emulator alone")
    emulator = _emulator(platform, tasks=200)
    ratio = biggest["tasks_per_s"] / replay["tasks_per_s"]
    slower = biggest["s_per_task"] / sessions[str(SIZES[-2])]["s_per_task"]
    return {
        "sessions": sessions,
        "emulator": emulator,
        "replay": replay,
        "throughput": {"ratio": ratio, "target": THROUGHPUT_TARGET, "met": ratio >= THROUGHPUT_TARGET},
        "scaling": {"ratio": slower, "target": 1.0, "met": slower <= 1.0},
        "calls_per_task": {
            "most": max(session["calls_per_task"] for session in sessions.values()),
            "target": CALLS_TARGET,
            "met": all(session["calls_per_task"] <= CALLS_TARGET for session in sessions.values()),
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
    _stand_in(platform, "DELETE")
    before, started = Counter(platform.calls()), time.perf_counter()
    body = {"session_id": session_id, "tasks": [f"Describe part {n}" for n in range(tasks)], "budget_usd": 100}
    client.call("POST", "/sessions", body)
    looks = 0
    while (session := client.call("GET", f"/sessions/{session_id}"))["status"] not in _FINAL:
        looks += 1
        if time.perf_counter() - started > _LONGEST_S:
            raise TimeoutError(f"{session_id} has not ended after {_LONGEST_S:.0f} s: {session}")
        time.sleep(_LOOK_S)
    seconds = time.perf_counter() - started
    calls = _settled(platform) - before
    calls["dynamodb:GetItem"] -= looks + 1  # our own looking
    asked = {row["model"]: row["count"] for row in _stand_in(platform, "GET") if row["outcome"] == "answered"}
    return {
        "status": session["status"],
        "done": session["tasks"]["done"],
        "makespan_s": seconds,
        "tasks_per_s": tasks / seconds,
        "s_per_task": seconds / tasks,
        "calls": dict(sorted((+calls).items())),
        "calls_per_task": sum((+calls).values()) / tasks,
        "model_calls_per_task": asked.get("claude-haiku-5-5", 0) / tasks,
    }


def _settled(platform: Platform) -> Counter[str]:
    """The calls once nothing more is being recorded behind the session."""
    seen = Counter(platform.calls())
    while True:
        time.sleep(_QUIET_S)
        now = Counter(platform.calls())
        if now == seen:
            return now
        seen = now


def _stand_in(platform: Platform, method: str) -> Any:
    request = urllib.request.Request(f"{platform.model_url}/_fabric/requests", method=method)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def _emulator(platform: Platform, *, tasks: int) -> dict[str, Any]:
    """Messages through a topic and a queue to a function that does nothing: what any design here pays at least."""
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
    _let_receive(platform, name, queue)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as code:
        code.writestr("empty.py", "def handler(event, context):\n    return {}\n")
    functions.create_function(
        FunctionName=name, Role=role, Runtime="python3.13", Handler="empty.handler", Code={"ZipFile": packed.getvalue()}
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


def _let_receive(platform: Platform, role: str, queue: str) -> None:
    actions = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
    statement = {"Effect": "Allow", "Action": actions, "Resource": queue}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    platform.client("iam").put_role_policy(RoleName=role, PolicyName="receive", PolicyDocument=document)


def _waiting(sqs: Any, url: str) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(value) for value in attributes.values())


def _replay(platform: Platform, outputs: dict[str, Any], calls: dict[str, int], tasks: int) -> dict[str, Any]:
    """The calls that the session made for each task, by one plain boto3 loop, one after another."""
    make = _calls(platform, outputs)
    share = {name: count * _REPLAYED / tasks for name, count in calls.items() if name in make}
    started = time.perf_counter()
    owed = dict.fromkeys(share, 0.0)
    made = 0
    for _ in range(_REPLAYED):
        for name, count in share.items():
            owed[name] += count / _REPLAYED
            while owed[name] >= 1:
                make[name]()
                owed[name] -= 1
                made += 1
    seconds = time.perf_counter() - started
    return {
        "tasks_per_s": _REPLAYED / seconds,
        "calls_per_s": made / seconds,
        "left_out": sorted(name for name in calls if name not in make),
    }


def _calls(platform: Platform, outputs: dict[str, Any]) -> dict[str, Callable[[], Any]]:
    """One call of each kind, as large as the swarm's own."""
    dynamodb, s3, kms, sns, sqs, functions = (
        platform.client(service) for service in ("dynamodb", "s3", "kms", "sns", "sqs", "lambda")
    )
    platform.client("s3").put_object(Bucket=outputs["results_bucket"], Key="replay", Body=b"x" * 1200)
    table, bucket, topic = (outputs[name] for name in ("sessions_table", "results_bucket", "bus_topic_arn"))
    key = next(a["TargetKeyId"] for a in kms.list_aliases()["Aliases"] if a["AliasName"].endswith("coordinator"))
    body = json.dumps({"text": "x" * 1200})

    def transact() -> None:
        pk = f"replay-{uuid.uuid4().hex}"
        put = {"Put": {"TableName": table, "Item": {"pk": {"S": pk}, "sk": {"S": "MSG"}, "body": {"S": body[:400]}}}}
        add = {
            "Update": {
                "TableName": table,
                "Key": {"pk": {"S": "replay"}, "sk": {"S": "SESSION"}},
                "UpdateExpression": "ADD committed :n",
                "ExpressionAttributeValues": {":n": {"N": "1"}},
            }
        }
        dynamodb.transact_write_items(TransactItems=[put, add])

    def publish() -> None:
        nobody = {"receiver": {"DataType": "String", "StringValue": "if://agent/nobody"}}
        entries = [{"Id": str(n), "Message": body, "MessageAttributes": nobody} for n in range(10)]
        sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)

    queue = sqs.create_queue(QueueName=f"replay-{uuid.uuid4().hex[:6]}")["QueueUrl"]

    def send() -> None:
        sqs.send_message_batch(QueueUrl=queue, Entries=[{"Id": str(n), "MessageBody": body} for n in range(10)])

    def call_back() -> None:
        try:
            functions.send_durable_execution_callback_success(CallbackId="bm9uZQ==", Result=body.encode())
        except functions.exceptions.InvalidParameterValueException:
            return  # refused at the door, so this yardstick is quicker than the swarm's own call

    def look() -> None:
        dynamodb.get_item(TableName=table, Key={"pk": {"S": "replay"}, "sk": {"S": "SESSION"}})

    def fetch() -> None:
        s3.get_object(Bucket=bucket, Key="replay")["Body"].read()

    return {
        "dynamodb:TransactWriteItems": transact,
        "dynamodb:UpdateItem": transact,
        "dynamodb:Query": look,
        "dynamodb:GetItem": look,
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
