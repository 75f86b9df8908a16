"""AWS as the functions use it: boto3 calls behind the small interfaces that the swarm asks for."""

from __future__ import annotations

import hashlib
import json
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from infrafabric.bus.claim_check import check_out
from infrafabric.bus.refusal import Reason, Refused, shown
from infrafabric.bus.registry import Registry
from infrafabric.bus.signing import KmsSigner
from infrafabric.swarm.session import AGAIN, WRAP_UP, Order

_REFRESH_S = 60.0  # an unknown sender, or a key that differs, is looked up again at most so often
# Short time-outs and standard retries: a function has minutes, and its callers have a deadline.
_RETRIES: Any = {"max_attempts": 4, "mode": "standard"}
# botocore would walk through every request to see whether its types are right: 7 % of what a message costs the agent.
# Ours are made by typed code, and the services look at them anyway.
_CONFIG = Config(
    retries=_RETRIES, connect_timeout=5, read_timeout=20, max_pool_connections=32, parameter_validation=False
)

_READERS = 16  # objects that are read at a time; the client's pool has twice as many connections

# What S3 says of a missing key; to whoever may not list the bucket, and no function of ours may, it denies the key.
_NOT_THERE = frozenset({"NoSuchKey", "AccessDenied", "404", "403"})


def client(service: str) -> Any:
    """A boto3 client with our time-outs and retries."""
    return boto3.client(service, config=_CONFIG)


def split_s3_uri(uri: str) -> tuple[str, str]:
    """Bucket and key of ``s3://bucket/key``."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


class KeyRegistry:
    """The registry object in S3, read once and kept; read again when a sender is not in it or signs with a new key."""

    def __init__(self, s3: Any, uri: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._s3, self._place, self._clock = s3, split_s3_uri(uri), clock
        self._lock = threading.Lock()
        self._held: Registry | None = None
        self._read_at = 0.0

    def __call__(self, sender: str, brought: str = "") -> Registry:
        """A registry that is fresh enough to be asked about ``sender``.

        Args:
            brought: the key that the sender says is its own. Where another is held, it may have been changed since.
        """
        with self._lock:
            held = self._held and self._held.key_of(sender)
            stale = held is None or (brought and held.text != brought)
            if self._held is None or (stale and self._clock() - self._read_at > _REFRESH_S):
                bucket, key = self._place
                self._held = Registry.parse(self._s3.get_object(Bucket=bucket, Key=key)["Body"].read())
                self._read_at = self._clock()
            return self._held


@dataclass(frozen=True)
class Objects:
    """A bucket's objects."""

    s3: Any
    bucket: str

    def put(self, key: str, body: bytes) -> str:
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body, ContentType="application/json")
        return f"s3://{self.bucket}/{key}"

    def get(self, key: str, at_most: int | None = None) -> bytes:
        body = self.s3.get_object(Bucket=self.bucket, Key=key)["Body"]
        return body.read(at_most) if at_most else body.read()

    def find_all(self, keys: Sequence[str]) -> list[bytes | None]:
        """The objects, or None, in the keys' order. Side by side: one after another, a thousand take many seconds."""
        with ThreadPoolExecutor(_READERS, thread_name_prefix="read") as pool:
            return list(pool.map(self.find, keys))

    def find(self, key: str) -> bytes | None:
        """The object, or None when there is none."""
        try:
            return self.get(key)
        except ClientError as error:
            if error.response["Error"]["Code"] in _NOT_THERE:
                return None
            raise

    def resolve(self, content: dict[str, Any]) -> dict[str, Any]:
        """A message's content, fetched when it was claim-checked.

        Raises:
            Refused: as ``check_out``; also when nothing lies there (any more), which no other delivery would change.
        """
        try:
            return check_out(content, get=self.get, bucket=self.bucket)
        except ClientError as error:
            if error.response["Error"]["Code"] not in _NOT_THERE:
                raise
            raise Refused(Reason.BAD_REFERENCE, f"nothing lies at {shown(content['s3_uri'])}: send it again") from None


class Callbacks:
    """The coordinator's callbacks. One that is closed already (deadline, quorum, another agent) is not an error."""

    _CLOSED = frozenset({"CallbackTimeoutException", "ResourceNotFoundException", "InvalidParameterValueException"})

    def __init__(self, lambda_client: Any, on_closed: Callable[[str], None]) -> None:
        self._lambda, self._on_closed = lambda_client, on_closed

    def succeed(self, callback_id: str, result: Mapping[str, Any]) -> None:
        body = json.dumps(result).encode()
        self._send(self._lambda.send_durable_execution_callback_success, CallbackId=callback_id, Result=body)

    def fail(self, callback_id: str, reason: str, detail: str) -> None:
        error = {"ErrorMessage": reason, "ErrorType": reason, "ErrorData": detail[:1000]}
        self._send(self._lambda.send_durable_execution_callback_failure, CallbackId=callback_id, Error=error)

    def beat(self, callback_id: str) -> None:
        """A sign of life. One that is lost is not worth failing for: the next follows soon."""
        try:
            self._send(self._lambda.send_durable_execution_callback_heartbeat, CallbackId=callback_id)
        except (ClientError, BotoCoreError) as error:
            self._on_closed(type(error).__name__)

    def _send(self, operation: Callable[..., Any], **request: Any) -> None:
        try:
            operation(**request)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code not in self._CLOSED:
                raise
            self._on_closed(code)


def together(pool: Executor) -> Callable[..., None]:
    """A function that calls what it is given side by side, and when all are done raises what the first one raised."""

    def call(*jobs: Callable[[], Any]) -> None:
        beside = [pool.submit(job) for job in jobs[1:]]
        try:
            jobs[0]()
        finally:
            wait(beside)
        for future in beside:
            future.result()

    return call


def kms_signer(principal: str, key_arn: str, registry: KeyRegistry) -> KmsSigner:
    """The signer of ``principal``, whose public key the registry knows.

    Raises:
        LookupError: the registry has no key for it: the deployment that adds an agent also writes the registry.
    """
    key = registry(principal).key_of(principal)
    if key is None:
        raise LookupError(f"{principal} is not in the key registry: deploy the stack again (pulumi up)")
    return KmsSigner(client("kms"), key_id=key_arn, principal=principal, public_key=key.text)


class KeyCheck:
    """Whether the provider's API key is there, without reading it. "" when it is, else what to do."""

    def __init__(self, provider: str, secret_arn: str | None) -> None:
        self._provider, self._arn = provider, secret_arn
        self._fine = provider != "anthropic"

    def __call__(self) -> str:
        if not self._fine:
            stages = self._stages()
            self._fine = "AWSCURRENT" in stages
        if self._fine:
            return ""
        return (
            f"the secret {self._arn or 'of the API key'} has no value: store the key with "
            "aws secretsmanager put-secret-value --secret-id <arn> --secret-string <key>, then send this request again"
        )

    def _stages(self) -> set[str]:
        if not self._arn:
            return set()
        found = client("secretsmanager").describe_secret(SecretId=self._arn)
        return {stage for stages in (found.get("VersionIdsToStages") or {}).values() for stage in stages}


def start_session(executions: Any, coordinator_arn: str, order: Order) -> str:
    """Start the coordinator. Returns the ARN of the execution, the same one for a repeat."""
    return _start(executions, coordinator_arn, order)


def restart_session(executions: Any, coordinator_arn: str, order: Order) -> str:
    """Start the coordinator once more, for a session whose execution is over before its tasks are: it goes on with
    those that are not done. Returns as ``start_session`` does."""
    return _start(executions, coordinator_arn, order, AGAIN)


def wrap_up_session(executions: Any, coordinator_arn: str, order: Order) -> str:
    """Start the coordinator once more, for a session that lost it: only to end, report and archive what was done.
    Returns as ``start_session`` does."""
    return _start(executions, coordinator_arn, order, WRAP_UP)


def is_over(executions: Any, execution_arn: str) -> bool:
    """Whether an execution has ended, however it did."""
    try:
        return executions.get_durable_execution(DurableExecutionArn=execution_arn)["Status"] != "RUNNING"
    except executions.exceptions.ResourceNotFoundException:
        return True


def execution_name(coordinator_arn: str, session_id: str, purpose: str = "") -> str:
    """What an execution for a session is called: a repeated start finds it, and starts nothing twice.

    A name has 64 characters and is unique in account and region, not only in the function (Lambda Developer Guide,
    "Execution names"): without the function's ARN in it, a session of dev could keep one of prod from starting.
    """
    digest = hashlib.sha256(f"{coordinator_arn} {purpose} {session_id}".encode()).hexdigest()
    return f"{session_id[:40]}_{digest[:20]}"


def _start(executions: Any, coordinator_arn: str, order: Order, purpose: str = "") -> str:
    event = {**order.as_event(), **({purpose: True} if purpose else {})}
    answer = executions.invoke(
        FunctionName=coordinator_arn,
        InvocationType="Event",
        DurableExecutionName=execution_name(coordinator_arn, order.session_id, purpose),
        Payload=json.dumps(event, ensure_ascii=False).encode(),  # escapes could triple it
    )
    return answer["DurableExecutionArn"]


def put_back(sqs: Any, queue_url: str, body: str, throttles: int, delay_s: int) -> None:
    """Send a fresh copy: a message that merely stays hidden for longer counts one more receive when it returns."""
    count = {"throttles": {"DataType": "Number", "StringValue": str(throttles)}}
    sqs.send_message(QueueUrl=queue_url, MessageBody=body, DelaySeconds=delay_s, MessageAttributes=count)


def hasten(sqs: Any, queue_url: str, receipt: str, delay_s: int) -> None:
    """Have a message that failed delivered again in ``delay_s``. The queue itself would wait for its visibility
    time-out, six times the function's: half an hour, and many a session is over by then."""
    sqs.change_message_visibility(QueueUrl=queue_url, ReceiptHandle=receipt, VisibilityTimeout=delay_s)


def dead_letter(sqs: Any, dlq_url: str, body: str, reason: str, detail: str) -> None:
    """Put a message that will never be taken straight into the dead-letter queue, with the reason as an attribute."""
    why = {"reason": reason, "detail": detail[:500] or "-"}
    fifo: dict[str, str] = {}
    if dlq_url.endswith(".fifo"):
        # Each by itself: in one group, a letter that somebody looks at hides all others. And never the same id twice:
        # a letter that was brought back and is refused again within five minutes would be dropped as a repeat.
        letter = uuid.uuid4().hex
        fifo = {"MessageGroupId": letter, "MessageDeduplicationId": letter}
    attributes = {name: {"DataType": "String", "StringValue": text} for name, text in why.items()}
    sqs.send_message(QueueUrl=dlq_url, MessageBody=body, MessageAttributes=attributes, **fifo)


def secret_reader() -> Callable[[str], str]:
    """Reads a secret's current value by its ARN."""

    def read(arn: str) -> str:
        return client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"]

    return read
