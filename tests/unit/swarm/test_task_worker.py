"""Task worker with fakes for its side effects: one delivery in, calls in order out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from infrafabric.bus.envelope import Citation, compose, sign
from infrafabric.bus.pem import PemSigner
from infrafabric.bus.registry import Registry, RegistryUnavailableError
from infrafabric.bus.structure import Performative
from infrafabric.bus.uris import COORDINATOR, new_message_id
from infrafabric.models import Completion, Prompt, Usage, errors
from infrafabric.models.schemas import AgentAnswer, Finding
from infrafabric.swarm.breaker import OPEN_AFTER, Breaker
from infrafabric.swarm.deps import AgentDeps
from infrafabric.swarm.leases import CopyId, Lease, LeaseHeldError, LeaseState
from infrafabric.swarm.limits import LEAST_TOKENS, MAX_TOKENS
from infrafabric.swarm.object_keys import result_key
from infrafabric.swarm.result_document import SCHEMA, stored_bytes
from infrafabric.swarm.task_worker import POISON_FAILURES, Delivery, TaskWorker
from tests.unit.swarm.orders import KEY

NOW = 1_800_000_000_000
PEM = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
SIGNER = PemSigner(PEM, principal=COORDINATOR)
PEER = PemSigner(PEM, principal="if://agent/h07")
USAGE = Usage(input_tokens=100, output_tokens=50)
WORST, COST = 5_000, 1_000


MESSAGE = "if://message/11111111-1111-4111-8111-111111111111"
PLACE = result_key(KEY, "h01", "t0001", 0)
FIRST = CopyId("sqs-1", origin="sqs-1")
TASK: dict[str, Any] = {
    **KEY._asdict(),
    "task_id": "t0001",
    "attempt": 0,
    "text": "find out",
    "goal": "",
    "callback_id": "cb",
    "allowance_nusd": WORST,
    "place": PLACE,
}
DONE = stored_bytes(
    {
        "schema": SCHEMA,
        **KEY._asdict(),
        "task_id": "t0001",
        "agent": "h01",
        "attempt": 0,
        "request": MESSAGE,
        "status": "DONE",
        "model": "m",
        "findings": [],
        "cost_usd": 1e-6,
        "tokens": {"input": 1, "output": 1},
    }
)


def request(signer: PemSigner = SIGNER, **changes: Any) -> str:
    members: dict[str, Any] = {
        "performative": Performative.REQUEST,
        "sender": COORDINATOR,
        "receiver": "if://agent/h01",
        "conversation_id": "if://conversation/s1",
        "message_id": MESSAGE,
        "timestamp": NOW,
        "content": TASK,
        "citation": Citation("if://session/s1", f"sha256:{hashlib.sha256(b'').hexdigest()}"),
        "reply_by": NOW + 600_000,
    }
    return sign(compose(**{**members, **changes}), signer).decode()


@dataclass
class World:
    """State of the fakes, and the worker's calls in order. ``lease_error`` and ``model_error`` are raised."""

    lease: Lease = field(default_factory=lambda: Lease(state=LeaseState.GRANTED, copy=FIRST))
    lease_error: Exception | None = None
    model_error: Exception | None = None
    unsigned: bool = False  # signing fails
    outage: bool = False  # the registry cannot be read
    queue_down: bool = False  # sending to the queue fails
    no_redelivery: bool = False  # changing a message's visibility fails
    lease_lost: bool = False  # another invocation holds the lease by now
    failures: int = 0  # that were counted
    uncounted: bool = False  # counting a failure fails
    stored: bytes | None = None  # what lies in the attempt's place already
    open_until_ms: int | None = None  # of the circuit breaker
    now_ms: int = NOW
    takes_ms: int = 0  # duration of the model call
    registry: Registry = field(
        default_factory=lambda: Registry({COORDINATOR: SIGNER.public_key, "if://agent/h07": PEER.public_key})
    )
    did: list[tuple[Any, ...]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.breaker = Breaker(_Row(self), now_ms=lambda: self.now_ms, open_s=60, log=_Log(), opened=lambda: None)

    def deps(self) -> AgentDeps:
        return AgentDeps(
            agent="h01",
            now_ms=lambda: self.now_ms,
            random_unit=lambda: 0.5,
            registry=self._read_registry,
            leases=_Leases(self),
            model=_Model(self),
            objects=_Objects(self),
            callbacks=_Callbacks(self),
            breaker=self.breaker,
            sign=self.sign,
            queue=_Queue(self),
            dead_letters=_DeadLetters(self),
            run_concurrently=_run_in_order,
            measure=lambda values, **properties: self.did.append(("measure", values, properties)),
            log=_Log(),
            trace_id=lambda: "Root=1-2-3",
            heartbeat_s=60,
        )

    def _read_registry(self) -> Registry:
        if self.outage:
            raise RegistryUnavailableError("s3://state/registry/keys.json cannot be read: SlowDown")
        return self.registry

    def sign(self, draft: Mapping[str, Any]) -> str:
        if self.unsigned:
            raise RuntimeError("KMS is down")
        return json.dumps(draft)

    def names(self) -> list[str]:
        return [entry[0] for entry in self.did]

    def only(self, name: str) -> tuple[Any, ...]:
        (arguments,) = [entry[1:] for entry in self.did if entry[0] == name]
        return arguments

    def handle(
        self,
        body: str,
        *,
        sqs_message_id: str = "sqs-1",
        origin: str = "",
        queued_ms: int = 0,
        receives: int = 1,
        put_backs: int = 0,
        left_ms: int = 300_000,
    ) -> None:
        delivery = Delivery(
            body=body,
            copy=CopyId(sqs_message_id, origin or sqs_message_id, put_backs, queued_ms),
            receipt_handle="receipt",
            receives=receives,
            left_ms=lambda: left_ms,
        )
        TaskWorker(self.deps()).handle(delivery)


def _run_in_order(*jobs: Any) -> None:
    for job in jobs:
        job()


@dataclass
class _Row:
    """Row of the circuit breaker."""

    world: World

    def read(self) -> int | None:
        return self.world.open_until_ms

    def write(self, until_ms: int, *, expected: int | None) -> bool:
        self.world.open_until_ms = until_ms
        return True

    def delete(self) -> None:
        self.world.open_until_ms = None


@dataclass
class _Leases:
    world: World

    def take(self, message_id: str, *, lease_ms: int, copy: CopyId, sent_ms: int) -> Lease:
        if self.world.lease_error:
            raise self.world.lease_error
        self.world.did.append(("lease", message_id, lease_ms))
        return self.world.lease

    def put_back(self, message_id: str, lease: Lease) -> bool:
        self.world.did.append(("free", message_id))
        return not self.world.lease_lost

    def note_failure(self, sqs_message_id: str) -> int:
        if self.world.uncounted:
            raise ConnectionError("the table cannot be reached")
        self.world.failures += 1
        return self.world.failures

    def cancel(self, message_id: str) -> None:
        self.world.did.append(("cancel", message_id))


@dataclass
class _Model:
    world: World
    model_id: str = "test-model"

    def worst_nusd(self, prompt: Prompt, max_tokens: int) -> int:
        return -(-WORST * max_tokens // MAX_TOKENS)

    def affordable_tokens(self, prompt: Prompt, nusd: int) -> int:
        return nusd * MAX_TOKENS // WORST

    def cost_nusd(self, usage: Usage) -> int:
        return COST

    def ask(self, prompt: Prompt, output: type[Any], *, max_tokens: int, timeout_s: float) -> Completion[Any]:
        self.world.did.append(("ask", max_tokens, timeout_s))
        self.world.now_ms += self.world.takes_ms
        if self.world.model_error:
            raise self.world.model_error
        finding = Finding(text="a fact", confidence=0.9, sources=["reasoning"])
        value = AgentAnswer(findings=[finding], summary="one fact")
        return Completion(value=value, usage=USAGE, model_id=self.model_id, offline=False)


@dataclass
class _Objects:
    world: World

    def put_new(self, key: str, body: bytes) -> bool:
        self.world.did.append(("put", key, body))
        return self.world.stored is None

    def find(self, key: str) -> bytes | None:
        assert key == PLACE
        return self.world.stored

    def resolve(self, content: dict[str, Any]) -> dict[str, Any]:
        return content


@dataclass
class _Callbacks:
    world: World

    def succeed(self, callback_id: str, answer: str) -> None:
        draft = json.loads(answer)
        self.world.did.append(("answer", draft["performative"], draft["content"]))

    def send_heartbeat(self, callback_id: str) -> None:
        self.world.did.append(("heartbeat",))


@dataclass
class _Queue:
    world: World

    def put_back(self, body: str, *, origin: str, put_backs: int, delay_s: int) -> None:
        if self.world.queue_down:
            raise RuntimeError("SQS is down")
        self.world.did.append(("put_back", body, put_backs, delay_s, origin))

    def redeliver_after(self, receipt_handle: str, delay_s: int) -> None:
        self.world.did.append(("redeliver_after", receipt_handle, delay_s))
        if self.world.no_redelivery:
            raise RuntimeError("SQS is down")


@dataclass
class _DeadLetters:
    world: World

    def dead_letter(self, body: str, reason: str, detail: str) -> None:
        self.world.did.append(("dead_letter", body, reason, detail))


class _Log:
    def info(self, event: str, **fields: Any) -> None:
        assert "find out" not in str(fields), "a task's text is not logged"

    def warning(self, event: str, **fields: Any) -> None:
        self.info(event, **fields)


def test_a_task_is_leased_asked_stored_and_answered_in_this_order() -> None:
    world = World()
    world.handle(request())
    assert world.names() == ["lease", "ask", "measure", "put", "answer"]
    performative, content = world.only("answer")
    assert (performative, content["status"], content["cost_nusd"]) == ("inform", "DONE", COST)


def test_the_answer_names_place_hash_and_size_of_the_bytes_that_were_stored() -> None:
    world = World()
    world.handle(request())
    key, stored = world.only("put")
    _, content = world.only("answer")
    assert key == content["s3_key"] == PLACE
    assert content["evidence_hash"] == f"sha256:{hashlib.sha256(stored).hexdigest()}"
    assert content["size_bytes"] == len(stored)
    assert json.loads(stored)["findings"] == [{"text": "a fact", "confidence": 0.9, "sources": ["reasoning"]}]


def test_a_task_leaves_one_line_with_its_metrics_and_what_one_searches_for() -> None:
    world = World(takes_ms=250)
    world.handle(request())
    values, properties = world.only("measure")
    assert values == {"CompletionStatus": 0, "CostUsd": 1e-6, "ExecutionTime": 250, "TokensConsumed": USAGE.total}
    assert properties == {
        "event": "agent_complete",
        "agent": "h01",
        "session_id": KEY.session_id,
        "task_id": "t0001",
        "attempt": 0,
        "status": "DONE",
        "reason": "",
        "tokens_in": USAGE.prompt,
        "tokens_out": USAGE.output_tokens,
        "duration_ms": 250,
        "cost_usd": 1e-6,
        "trace": "Root=1-2-3",
    }
    world = World(model_error=errors.RefusedToAnswer("no", usage=USAGE))
    world.handle(request())
    values, properties = world.only("measure")
    assert values == {"CompletionStatus": 1, "CostUsd": 1e-6}, "no time and no tokens of failures in the metrics"
    assert (properties["status"], properties["reason"]) == ("FAILED", "model-refusal")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("no JSON", "not-json"),
        (request(receiver="if://agent/h02"), "wrong-receiver"),
        (request(timestamp=NOW - 700_000, reply_by=NOW - 1), "stale"),
        (request(content={"session_id": "s1"}), "bad-content"),
        (request(content={**TASK, "place": result_key(KEY, "h02", "t0001", 0)}), "bad-content"),
        (request(performative=Performative.INFORM), "not-a-request"),
        (request(PEER, sender="if://agent/h07", performative=Performative.CANCEL), "not-the-coordinator"),
        (request(PEER, sender="if://agent/h07"), "not-the-coordinator"),
        (request().replace("find out", "find in"), "tampered"),
    ],
)
def test_what_is_not_trusted_goes_to_the_dead_letter_queue_at_once(body: str, reason: str) -> None:
    world = World()
    world.handle(body)
    assert world.names() == ["dead_letter"]
    assert world.only("dead_letter")[:2] == (body, reason)


def test_a_sender_that_the_registry_does_not_know_is_refused() -> None:
    world = World(registry=Registry({}))
    world.handle(request())
    assert world.only("dead_letter")[1] == "unknown-sender"


def taken(state: LeaseState, **members: Any) -> Lease:
    return Lease(state=state, copy=FIRST, sent_ms=NOW, **members)


@pytest.mark.parametrize("state", [LeaseState.HELD, LeaseState.USED, LeaseState.CANCELLED])
def test_a_repeated_delivery_of_done_work_is_answered_and_not_redone(state: LeaseState) -> None:
    world = World(lease=taken(state), stored=DONE)
    world.handle(request(), sqs_message_id="sqs-1")
    assert world.names() == ["lease", "answer"]
    performative, content = world.only("answer")
    assert (performative, content["evidence_hash"]) == ("inform", f"sha256:{hashlib.sha256(DONE).hexdigest()}")


def test_a_replayed_message_of_done_work_is_answered_and_dead_lettered() -> None:
    world = World(lease=taken(LeaseState.USED), stored=DONE)
    world.handle(request(), sqs_message_id="sqs-2")
    assert world.names() == ["lease", "answer", "dead_letter"]
    assert world.only("dead_letter")[1] == "replayed"


@pytest.mark.parametrize("state", [LeaseState.HELD, LeaseState.USED, LeaseState.PUT_BACK, LeaseState.CANCELLED])
@pytest.mark.parametrize("stored", [None, DONE])
def test_a_copy_that_meets_its_twin_is_dropped_and_no_replay(state: LeaseState, stored: bytes | None) -> None:
    """SQS delivered the message twice, and both deliveries put it back: one copy is worked on."""
    world = World(lease=Lease(state=state, copy=CopyId("sqs-2", "sqs-1", 1), until_ms=NOW + 1), stored=stored)
    for sqs_message_id, put_backs in (("sqs-3", 1), ("sqs-1", 0)):
        world.handle(request(), sqs_message_id=sqs_message_id, origin="sqs-1", put_backs=put_backs)
    assert world.names() == ["lease", "lease"]


def test_a_message_whose_holder_died_before_it_sent_the_copy_is_put_back_all_the_same() -> None:
    world, body = World(lease=Lease(state=LeaseState.PUT_BACK, copy=CopyId("sqs-1", "sqs-1", 1))), request()
    world.handle(body)
    assert world.names() == ["lease", "put_back", "heartbeat"]
    assert world.only("put_back")[:2] == (body, 1), "the number that the lease expects"


@pytest.mark.parametrize("state", [LeaseState.HELD, LeaseState.USED, LeaseState.PUT_BACK])
def test_a_request_that_a_crashed_coordinator_sends_again_is_no_replay(state: LeaseState) -> None:
    """It is signed again, with another time: whoever replays a message has only the bytes of the first one."""
    world = World(lease=taken(state, until_ms=NOW + 1), stored=DONE)
    world.handle(request(timestamp=NOW + 5), sqs_message_id="sqs-9")
    assert world.names() == ["lease"]


@pytest.mark.parametrize("state", [LeaseState.HELD, LeaseState.USED, LeaseState.PUT_BACK])
def test_a_request_that_was_published_twice_at_once_is_no_replay(state: LeaseState) -> None:
    """The SDK repeats a call whose response got lost; the second message may wait long in the queue."""
    world = World(lease=taken(state, until_ms=NOW + 1), stored=DONE)
    world.now_ms += 500_000
    world.handle(request(), sqs_message_id="sqs-9", queued_ms=NOW + 119_000)
    assert world.names() == ["lease"]
    world.handle(request(), sqs_message_id="sqs-9", queued_ms=NOW + 121_000)
    assert world.only("dead_letter")[1] == "replayed"


def test_a_replay_of_a_message_that_was_put_back_is_dead_lettered_and_not_done() -> None:
    world = World(lease=Lease(state=LeaseState.PUT_BACK, copy=CopyId("sqs-1", "sqs-1", 1), sent_ms=NOW))
    world.handle(request(), sqs_message_id="sqs-9")
    assert world.names() == ["lease", "dead_letter"]
    assert world.only("dead_letter")[1] == "replayed"


def test_only_the_holder_of_the_lease_puts_a_message_back() -> None:
    world = World(model_error=errors.Throttled("busy"), lease_lost=True)
    world.handle(request())
    assert world.names() == ["lease", "ask", "free"]


def test_a_message_whose_holder_died_is_lost_with_its_allowance_and_never_asked_again() -> None:
    world = World(lease=taken(LeaseState.USED))
    world.handle(request())
    assert world.names() == ["lease", "answer"]
    performative, content = world.only("answer")
    assert (performative, content["reason"], content["cost_nusd"]) == ("refuse", "lost", WORST)


def test_a_message_that_another_invocation_holds_is_delivered_again_when_its_lease_has_ended() -> None:
    world = World(lease=taken(LeaseState.HELD, until_ms=NOW + 41_500))
    with pytest.raises(LeaseHeldError):
        world.handle(request(), receives=50)
    assert world.did[1:] == [("redeliver_after", "receipt", 42)]


def test_a_place_that_is_written_already_is_what_is_answered() -> None:
    world = World(stored=DONE)
    world.handle(request())
    assert world.only("answer")[1]["evidence_hash"] == f"sha256:{hashlib.sha256(DONE).hexdigest()}"


@pytest.mark.parametrize(("stored", "did"), [(DONE, []), (None, ["dead_letter"])])
def test_past_the_deadline_nothing_is_begun_and_done_work_is_no_loss(stored: bytes | None, did: list[str]) -> None:
    """The coordinator has looked into the place by then."""
    world = World(stored=stored)
    world.now_ms = NOW + 1_800_000
    world.handle(request(reply_by=NOW + 1))
    assert world.names() == did


def test_a_request_of_a_stranger_is_a_letter_past_its_deadline_too() -> None:
    world = World(stored=DONE)
    world.now_ms = NOW + 1_800_000
    world.handle(request(PEER, sender="if://agent/h07", reply_by=NOW + 1))
    assert world.names() == ["dead_letter"]


def test_a_cancel_is_noted_for_each_request_and_cancelled_requests_are_not_begun() -> None:
    world = World(lease=taken(LeaseState.CANCELLED))
    content = {**KEY._asdict(), "requests": [MESSAGE, new_message_id()]}
    world.handle(request(performative=Performative.CANCEL, content=content, message_id=new_message_id()))
    assert world.names() == ["cancel", "cancel"]
    world.handle(request())
    performative, answer = world.only("answer")
    assert (performative, answer["reason"], answer["cost_nusd"]) == ("refuse", "cancelled", 0)


def test_a_task_that_its_allowance_does_not_pay_is_declined_unasked() -> None:
    world = World()
    world.handle(request(content={**TASK, "allowance_nusd": WORST * LEAST_TOKENS // MAX_TOKENS - 1}))
    performative, content = world.only("answer")
    assert (performative, content["reason"], content["cost_nusd"]) == ("refuse", "budget", 0)
    assert "ask" not in world.names()


def test_an_answer_is_as_long_as_the_allowance_pays() -> None:
    world = World()
    world.handle(request(content={**TASK, "allowance_nusd": WORST // 2}))
    assert world.only("ask")[0] == MAX_TOKENS // 2


def test_no_wait_is_so_long_that_the_coordinator_takes_the_agent_for_dead() -> None:
    world = World(model_error=errors.Throttled("busy", retry_after_s=600))
    world.handle(request(), put_backs=30)
    assert world.only("put_back")[2] == 120, "two heartbeats of a minute"


def test_work_that_cannot_be_signed_for_is_kept_and_delivered_again() -> None:
    world = World(unsigned=True)
    with pytest.raises(RuntimeError, match="KMS"):
        world.handle(request())
    assert world.names() == ["lease", "ask", "measure", "put", "redeliver_after"], "what was paid for is not lost"


def test_a_throttled_task_is_released_and_put_back_as_a_delayed_copy() -> None:
    world, body = World(model_error=errors.Throttled("busy", retry_after_s=7)), request()
    world.handle(body, origin="sqs-0", put_backs=2)
    assert world.names() == ["lease", "ask", "free", "put_back", "heartbeat"]
    copy, put_backs, delay_s, origin = world.only("put_back")
    assert (copy, put_backs, origin) == (body, 3, "sqs-0")
    assert 7 <= delay_s <= 15


@pytest.mark.parametrize("error", [errors.Unreachable("500"), errors.Unreachable("409", retry_after_s=7)], ids=str)
def test_a_fault_of_the_api_that_cost_nothing_is_waited_for_like_a_throttle(error: errors.ModelError) -> None:
    world = World(model_error=error)
    world.handle(request())
    assert world.names() == ["lease", "ask", "free", "put_back", "heartbeat"]
    assert world.only("put_back")[2] >= error.retry_after_s


def test_behind_an_open_breaker_nothing_is_asked_and_tasks_wait() -> None:
    world = World(open_until_ms=NOW + 30_000)
    world.handle(request())
    assert world.names() == ["lease", "free", "put_back", "heartbeat"]
    assert world.only("put_back")[2] >= 30
    world = World(open_until_ms=NOW + 30_000)
    world.handle(request(reply_by=NOW + 20_000))
    performative, content = world.only("answer")
    assert (performative, content["reason"], content["cost_nusd"]) == ("refuse", "model-unreachable", 0)


@pytest.mark.parametrize(
    ("error", "opens"),
    [
        (errors.Unreachable("500"), True),
        (errors.TimedOut("no answer"), True),
        (errors.Throttled("busy"), False),
        (errors.RefusedToAnswer("no", usage=USAGE), False),
        (errors.NotAllowed("no key"), False),
    ],
    ids=str,
)
def test_only_an_api_that_does_not_answer_opens_the_breaker(error: errors.ModelError, opens: bool) -> None:
    world = World(model_error=error)
    for _ in range(OPEN_AFTER):
        world.handle(request())
    assert (world.open_until_ms is not None) is opens


def test_a_call_that_the_deadline_ended_says_nothing_of_the_api() -> None:
    world = World(model_error=errors.TimedOut("no answer"), takes_ms=5_000)
    for _ in range(OPEN_AFTER):
        world.handle(request(reply_by=world.now_ms + 5_000, timestamp=world.now_ms))
    assert world.open_until_ms is None


def test_a_throttled_task_without_time_left_fails() -> None:
    world = World(model_error=errors.Throttled("busy", retry_after_s=900))
    world.handle(request(reply_by=NOW + 30_000))
    performative, content = world.only("answer")
    assert (performative, content["reason"], content["cost_nusd"]) == ("failure", "throttled", 0)


@pytest.mark.parametrize(
    ("error", "reason", "spent"),
    [
        (errors.TimedOut("no answer"), "model-timeout", WORST),
        (errors.Unreachable("it broke", cost_unknown=True), "model-unreachable", WORST),
        (errors.RefusedToAnswer("declined", usage=USAGE), "model-refusal", COST),
        (errors.CutOff("too long", usage=USAGE), "model-cut-off", COST),
        (errors.BadAnswer("no fit", usage=USAGE), "model-bad-answer", COST),
        (errors.NotAllowed("no key"), "model-not-allowed", 0),
    ],
)
def test_a_failed_call_is_paid_stored_and_told(error: errors.ModelError, reason: str, spent: int) -> None:
    world = World(model_error=error)
    world.handle(request())
    performative, content = world.only("answer")
    assert (performative, content["reason"], content["cost_nusd"]) == ("failure", reason, spent)
    key, stored = world.only("put")
    assert key == PLACE
    assert json.loads(stored)["error"]["reason"] == reason


def test_a_call_that_the_deadline_ended_is_given_to_nobody_else() -> None:
    world = World(model_error=errors.TimedOut("no answer"), takes_ms=600_000)
    world.handle(request(reply_by=NOW + 600_000), left_ms=900_000)
    assert world.only("answer")[1]["reason"] == "deadline"


def test_a_call_that_the_invocation_ended_may_be_tried_by_another() -> None:
    world = World(model_error=errors.TimedOut("no answer"), takes_ms=265_000)
    world.handle(request(reply_by=NOW + 600_000), left_ms=300_000)
    assert world.only("answer")[1]["reason"] == "model-timeout"


def test_what_a_refusal_says_quotes_no_content() -> None:
    content = {"session_id": ["find out"], "task_id": "t0001"}
    world = World()
    world.handle(request(content=content))
    assert world.only("dead_letter")[2] == "content.session_id: input should be a valid string"


def test_a_call_may_take_what_is_left_of_deadline_and_invocation() -> None:
    world = World()
    world.handle(request(reply_by=NOW + 20_000), left_ms=300_000)
    assert world.only("ask")[1] == 20
    for left_ms, call_s in ((300_000, 265), (60_000, 45)):
        world = World()
        world.handle(request(), left_ms=left_ms)
        assert world.only("ask")[1] == call_s, "enough is kept to store and answer with"


@pytest.mark.parametrize("no_redelivery", [False, True])
def test_a_message_that_fails_again_and_again_comes_back_soon_then_late_and_then_is_poison(no_redelivery: bool) -> None:
    world = World(lease_error=RuntimeError("a bug"), no_redelivery=no_redelivery)
    for _ in range(1, POISON_FAILURES):
        with pytest.raises(RuntimeError, match="a bug"):
            world.handle(request(), receives=40)
    assert world.did == [("redeliver_after", "receipt", 23), ("redeliver_after", "receipt", 225)]
    world.handle(request(), receives=41)
    assert world.only("dead_letter")[1:] == ("poison", f"RuntimeError at failure {POISON_FAILURES}")


def test_what_cannot_be_counted_makes_no_message_poison() -> None:
    world = World(lease_error=RuntimeError("a bug"), uncounted=True)
    for _ in range(2 * POISON_FAILURES):
        with pytest.raises(RuntimeError, match="a bug"):
            world.handle(request())
    assert "dead_letter" not in world.names()


def test_a_message_outlasts_a_long_outage_of_the_registry_and_is_processed_once() -> None:
    """A fresh copy has one receive, so neither our limit nor the queue's counts the outage."""
    world, body, put_backs = World(outage=True), request(), 2
    for _ in range(100):
        world.handle(body, put_backs=put_backs)
        _, body, put_backs, delay_s, _ = world.did[-1]
        assert 15 <= delay_s <= 30
    assert set(world.names()) == {"put_back"}, "nothing is done for a message that nobody verified"
    world.did.clear()
    world.outage = False
    world.handle(body, put_backs=put_backs)
    assert world.names().count("ask") == 1
    assert "dead_letter" not in world.names()
    assert put_backs == 2, "an outage is no throttle"


@pytest.mark.parametrize("receives", [1, 50])
def test_an_outage_makes_no_message_poison_also_if_no_copy_can_be_sent(receives: int) -> None:
    world = World(outage=True, queue_down=True)
    with pytest.raises(RuntimeError, match="SQS is down"):
        world.handle(request(), receives=receives)
    assert world.did == [], "SQS delivers the message itself again"


def test_a_refused_message_that_waited_for_the_registry_is_refused_unchanged() -> None:
    world, body = World(outage=True), request(PEER, sender="if://agent/h07")
    world.handle(body)
    waiting = world.only("put_back")[0]
    world.outage = False
    world.handle(waiting)
    assert world.only("dead_letter")[:2] == (body, "not-the-coordinator")
