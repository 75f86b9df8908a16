"""Attacks with the credentials of one agent's role: what a compromised agent may do to sessions, findings and money."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from botocore.exceptions import ClientError

from infrafabric.bus.envelope import Citation, compose, sign
from infrafabric.bus.signing import KmsSigner
from infrafabric.bus.structure import Performative
from infrafabric.bus.uris import COORDINATOR, agent_uri, conversation_uri, new_message_id, task_uri
from infrafabric.swarm.evidence import evidence_hash
from infrafabric.swarm.limits import MAX_RESULT_BYTES
from infrafabric.swarm.object_keys import findings_key, report_key, result_key
from infrafabric.swarm.result_document import AttemptId, stored_bytes
from infrafabric.swarm.session_key import SessionKey
from infrafabric.swarm.shapes.attempt import Attempt
from infrafabric.swarm.shapes.records import RECORD_LIFETIME_MS, TaskRecord
from infrafabric.swarm.shapes.result import TaskResult
from infrafabric.swarm.status import TaskStatus
from tests.e2e.conftest import Stage, until
from tests.e2e.roles import client_as

ATTACKER = "h01"
BUDGET_USD = 0.2


class Attacker:
    """Whoever holds the credentials of agent h01, and knows all that the coordinator has sent in a session."""

    def __init__(self, stage: Stage, session_id: str) -> None:
        self.stage, self.key = stage, stage.key(session_id)
        principal, kms = agent_uri(ATTACKER), client_as(stage, ATTACKER, "kms")
        (trusted,) = stage.registry().keys_of(principal)
        aliases = stage.platform.client("kms").list_aliases()["Aliases"]
        alias = next(one for one in aliases if one["AliasName"].endswith(f"signing-{ATTACKER}"))
        self.signer = KmsSigner(kms, key_id=alias["TargetKeyId"], principal=principal, public_key=trusted.text)
        self.functions, self.s3 = client_as(stage, ATTACKER, "lambda"), client_as(stage, ATTACKER, "s3")

    def attempts(self) -> list[Attempt]:
        return [attempt for part in self.stage.store().rounds(self.key) for attempt in part.attempts]

    def callbacks(self) -> dict[str, str]:
        """Return the callback id of each attempt by its name; on this platform each agent can compute them all."""
        session = self.stage.store().get(self.key)
        assert session
        found: dict[str, str] = {}
        history = self.stage.platform.client("lambda").get_durable_execution_history(
            DurableExecutionArn=session.execution_arn, IncludeExecutionData=True, MaxItems=1000
        )
        for event in history["Events"]:
            if "CallbackStartedDetails" in event:
                found[event["Name"]] = event["CallbackStartedDetails"]["CallbackId"]
        return found

    def document(self, attempt: Attempt, text: str, **changes: Any) -> bytes:
        """Return a well-formed document of an attempt, as an agent would store it."""
        identity = AttemptId(
            key=self.key,
            task_id=attempt.task_id,
            agent=attempt.agent,
            attempt=attempt.number,
            request=attempt.message_id,
            place=attempt.place(self.key),
        )
        finding = {"text": text, "confidence": 1.0, "sources": []}
        members = {"status": "DONE", "model": "m", "findings": [finding], "cost_usd": 0.0}
        return stored_bytes({**identity.members, **members, "tokens": {"input": 1, "output": 1}, **changes})

    def answer(self, attempt: Attempt, stored: bytes, *, place: str, agent: str = ATTACKER) -> bytes:
        """Return an answer to an attempt's request, signed with the attacker's key, that states what is wanted."""
        now_ms = time.time_ns() // 1_000_000
        result = TaskResult(
            task_id=attempt.task_id,
            agent=agent,
            attempt=attempt.number,
            status=TaskStatus.DONE,
            s3_key=place,
            evidence_hash=evidence_hash(stored),
            size_bytes=len(stored),
        )
        draft = compose(
            performative=Performative.INFORM,
            sender=agent_uri(ATTACKER),
            receiver=COORDINATOR,
            conversation_id=conversation_uri(self.key.session_id),
            message_id=new_message_id(),
            timestamp=now_ms,
            content=TaskRecord.of(self.key, result, model="m", at_ms=now_ms).write(),
            citation=Citation(task_uri(self.key.session_id, attempt.task_id), result.evidence_hash),
            reply_by=now_ms + RECORD_LIFETIME_MS,
            in_reply_to=attempt.message_id,
        )
        return sign(draft, self.signer)

    def complete(self, callback_id: str, payload: bytes) -> None:
        self.functions.send_durable_execution_callback_success(CallbackId=callback_id, Result=payload)

    def fail(self, callback_id: str) -> None:
        error = {"ErrorMessage": "budget", "ErrorType": "budget"}
        self.functions.send_durable_execution_callback_failure(CallbackId=callback_id, Error=error)


def at_work(stage: Stage, session_id: str, tasks: int, *, slow: str = r"agent h\d\d", delay_s: float = 2.5) -> Attacker:
    """Start a session and wait until all its agents are at work; calls that ``slow`` fits take a while."""
    stage.model(
        "POST", "/_fabric/rules", {"match": rf"{slow} .*Session: {session_id}\b", "do": "delay", "delay_s": delay_s}
    )
    stage.start(session_id=session_id, tasks=[f"Find fact {n}" for n in range(1, tasks + 1)], budget_usd=BUDGET_USD)
    attacker = Attacker(stage, session_id)
    until(attacker.attempts, "the first round")
    until(lambda: set(attacker.callbacks()) >= {one.name for one in attacker.attempts()}, "the callbacks")
    return attacker


def results_of(stage: Stage, session_id: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return session and report, which agree about money, within the budget."""
    session, report = stage.ended(session_id), stage.report(session_id)
    assert session["cost_usd"] + session["committed_usd"] <= BUDGET_USD
    assert (session["cost_usd"], session["committed_usd"]) == (report["cost_usd"], report["committed_usd"])
    return session, report


def test_answers_in_the_name_of_others_replace_no_finding(stage: Stage) -> None:
    """The attacker stores a document for each task in its own places and answers the callbacks of all others."""
    attacker = at_work(stage, "replaced", 8)
    callbacks = attacker.callbacks()
    for attempt in attacker.attempts():
        own = result_key(attacker.key, ATTACKER, attempt.task_id, attempt.number)
        stored = attacker.document(attempt, "forged", agent=ATTACKER)
        if attempt.agent != ATTACKER:
            attacker.s3.put_object(Bucket=stage.outputs["results_bucket"], Key=own, Body=stored)
            place, agent = (own, ATTACKER) if attempt.index % 2 else (attempt.place(attacker.key), attempt.agent)
            attacker.complete(callbacks[attempt.name], attacker.answer(attempt, stored, place=place, agent=agent))

    session, report = results_of(stage, "replaced")
    assert session["status"] == "COMPLETE"
    assert "forged" not in {finding["text"] for finding in report["findings"]}
    assert {finding["agent"] for finding in report["findings"]} == {row["agent"] for row in report["results"]}
    assert len({row["agent"] for row in report["results"]}) > 1, "not all of it is the attacker's work"


@pytest.mark.parametrize("kind", ["failure", "garbage"])
def test_whoever_closes_the_callbacks_of_others_frees_no_allowance_and_loses_no_result(stage: Stage, kind: str) -> None:
    attacker = at_work(stage, f"closed-{kind}", 3)
    callbacks = attacker.callbacks()
    for attempt in attacker.attempts():
        if kind == "failure":
            attacker.fail(callbacks[attempt.name])
        else:
            attacker.complete(callbacks[attempt.name], b'{"status": "DONE"}')
    session, report = results_of(stage, f"closed-{kind}")
    assert (session["status"], session["tasks"]["done"]) == ("COMPLETE", 3)
    assert all(row["agent"] != ATTACKER or row["task"].endswith("1") for row in report["results"][:1])


def test_whoever_closes_every_callback_as_it_appears_ends_no_session_before_its_agents_have_worked(
    stage: Stage,
) -> None:
    """The callbacks of all rounds, also those that wake the coordinator for a cancellation."""
    attacker = at_work(stage, "hunted", 3)
    closed: set[str] = set()

    def close_and_read() -> dict[str, Any]:
        for callback_id in set(attacker.callbacks().values()) - closed:
            closed.add(callback_id)
            with suppress(ClientError):  # it is complete already
                attacker.fail(callback_id)
        return stage.call("GET", "/sessions/hunted")[2]

    session = stage.ended_by(close_and_read)
    assert (session["status"], session["tasks"]["done"]) == ("COMPLETE", 3)
    assert session["committed_usd"] == 0, "nobody was asked twice"


@pytest.mark.parametrize("stored", ["nothing", "too much", "another hash"])
def test_an_agent_that_lies_about_its_result_is_not_believed_and_another_is_asked(stage: Stage, stored: str) -> None:
    name = f"lied-{stored.replace(' ', '-')}"
    attacker = at_work(stage, name, 2, slow=f"agent {ATTACKER}", delay_s=6)
    (attempt,) = [one for one in attacker.attempts() if one.agent == ATTACKER]
    place, document = attempt.place(attacker.key), attacker.document(attempt, "forged")
    if stored == "too much":
        document = attacker.document(attempt, "forged", summary="x" * MAX_RESULT_BYTES)
    if stored != "nothing":
        body = document if stored == "too much" else document.replace(b"forged", b"Forged")
        attacker.s3.put_object(Bucket=stage.outputs["results_bucket"], Key=place, Body=body)
    attacker.complete(attacker.callbacks()[attempt.name], attacker.answer(attempt, document, place=place))

    session, report = results_of(stage, name)
    assert (session["status"], session["reason"]) == ("COMPLETE", "")
    first = report["results"][0]
    assert (first["status"], first["agent"]) == ("DONE", "h02")
    assert "forged" not in str(report).lower()


@pytest.fixture(scope="module")
def key(stage: Stage) -> SessionKey:
    """A finished session with two results of other agents."""
    stage.start(session_id="victim", tasks=["one", "two", "three"])
    stage.ended("victim")
    return stage.key("victim")


def denied(call: Callable[..., Any], **request: Any) -> bool:
    """Tell whether AWS denies a request."""
    try:
        call(**request)
    except ClientError as error:
        return error.response["Error"]["Code"] in ("AccessDenied", "AccessDeniedException", "AuthorizationError", "403")
    return False


def test_an_agent_reaches_no_state_of_any_session(stage: Stage, key: SessionKey) -> None:
    """With each action that DynamoDB has for items, on the session's, its order's and its rounds' items."""
    dynamodb, table = client_as(stage, ATTACKER, "dynamodb"), stage.outputs["sessions_table"]
    partition = {"S": key.partition}
    for sort in ("SESSION", "ORDER", "ROUND#0000#0000"):
        place = {"pk": partition, "sk": {"S": sort}}
        assert denied(dynamodb.get_item, TableName=table, Key=place)
        assert denied(dynamodb.put_item, TableName=table, Item={**place, "status": {"S": "RUNNING"}})
        assert denied(dynamodb.delete_item, TableName=table, Key=place)
        assert denied(dynamodb.update_item, TableName=table, Key=place, UpdateExpression="REMOVE committed_nusd")
        update = {"TableName": table, "Key": place, "UpdateExpression": "REMOVE committed_nusd"}
        assert denied(dynamodb.transact_write_items, TransactItems=[{"Update": update}])
        assert denied(dynamodb.batch_write_item, RequestItems={table: [{"PutRequest": {"Item": place}}]})
        assert denied(dynamodb.batch_get_item, RequestItems={table: {"Keys": [place]}})
        statement = f"UPDATE \"{table}\" SET status='RUNNING' WHERE pk='{key.partition}' AND sk='{sort}'"
        assert denied(dynamodb.execute_statement, Statement=statement)
    values = {":pk": partition}
    assert denied(dynamodb.query, TableName=table, KeyConditionExpression="pk = :pk", ExpressionAttributeValues=values)
    assert denied(dynamodb.scan, TableName=table)
    assert stage.call("GET", "/sessions")[0] == 200


def test_an_agent_leases_its_own_messages_alone(stage: Stage) -> None:
    dynamodb = client_as(stage, ATTACKER, "dynamodb")
    update = {"Key": {"pk": {"S": "m"}}, "UpdateExpression": "REMOVE until_ms"}
    assert not denied(dynamodb.update_item, TableName="infrafabric-dev-leases-h01", **update)
    assert denied(dynamodb.update_item, TableName="infrafabric-dev-leases-h02", **update)


def test_an_agent_writes_its_own_results_alone_and_reads_no_others(stage: Stage, key: SessionKey) -> None:
    s3, bucket = client_as(stage, ATTACKER, "s3"), stage.outputs["results_bucket"]
    others = [result_key(key, "h02", "t0002", 0), findings_key(key, 0, 0), report_key(key)]
    for place in others:
        assert denied(s3.put_object, Bucket=bucket, Key=place, Body=b"{}")
        assert denied(s3.get_object, Bucket=bucket, Key=place)
        assert denied(s3.delete_object, Bucket=bucket, Key=place)
    own = result_key(key, ATTACKER, "t0001", 0)
    assert not denied(s3.get_object, Bucket=bucket, Key=own)
    assert denied(s3.delete_object, Bucket=bucket, Key=own)


def test_an_agent_orders_no_work_and_writes_no_history(stage: Stage) -> None:
    """Neither by starting a coordinator, nor on the bus, nor in the recorder's or another agent's queue."""
    functions, sns, sqs = (client_as(stage, ATTACKER, service) for service in ("lambda", "sns", "sqs"))
    coordinator = {"FunctionName": "infrafabric-dev-coordinator:live", "InvocationType": "Event", "Payload": b"{}"}
    assert denied(functions.invoke, **coordinator)
    assert denied(sns.publish, TopicArn=stage.outputs["bus_topic_arn"], Message="{}")
    record = {"QueueUrl": stage.outputs["record_queue_url"], "MessageGroupId": "g", "MessageDeduplicationId": "d"}
    assert denied(sqs.send_message, MessageBody="[]", **record)
    assert denied(sqs.send_message, QueueUrl=stage.outputs["agents"]["h02"]["queue_url"], MessageBody="{}")


def test_a_result_that_changes_after_the_end_changes_no_report(stage: Stage, key: SessionKey) -> None:
    report = stage.report("victim")
    own = result_key(key, ATTACKER, "t0001", 0)
    client_as(stage, ATTACKER, "s3").put_object(Bucket=stage.outputs["results_bucket"], Key=own, Body=b"x" * 3_000_000)
    assert stage.report("victim") == report
