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
from infrafabric.swarm.deps import AgentDeps, SignedMessage
from infrafabric.swarm.leases import AlreadyDoneError, Lease, LeaseHeldError, OverBudgetError, SessionOverError
from infrafabric.swarm.shapes.result import TaskResult
from infrafabric.swarm.status import TaskStatus
from infrafabric.swarm.task_worker import POISON_RECEIVES, Delivery, TaskWorker

NOW = 1_800_000_000_000
PEM = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
SIGNER = PemSigner(PEM, principal=COORDINATOR)
PEER = PemSigner(PEM, principal="if://agent/h07")
USAGE = Usage(input_tokens=100, output_tokens=50)
WORST, COST = 5_000, 1_000


def request(signer: PemSigner = SIGNER, **changes: Any) -> str:
    content = {
        "session_id": "s1",
        "task_id": "t0001",
        "attempt": 0,
        "text": "find out",
        "goal": "",
        "callback_id": "cb",
        "budget_nusd": 10**9,
    }
    members: dict[str, Any] = {
        "performative": Performative.REQUEST,
        "sender": COORDINATOR,
        "receiver": "if://agent/h01",
        "conversation_id": "if://conversation/s1",
        "message_id": new_message_id(),
        "timestamp": NOW,
        "content": content,
        "citation": Citation("if://session/s1", f"sha256:{hashlib.sha256(b'').hexdigest()}"),
        "reply_by": NOW + 600_000,
    }
    return sign(compose(**{**members, **changes}), signer).decode()


@dataclass
class World:
    """State of the fakes, and the worker's calls in order. ``lease_error`` and ``model_error`` are raised."""

    lease_error: Exception | None = None
    model_error: Exception | None = None
    unsigned: bool = False  # signing fails
    outage: bool = False  # the registry cannot be read
    queue_down: bool = False  # sending to the queue fails
    no_redelivery: bool = False  # changing a message's visibility fails
    finished: AlreadyDoneError | None = None  # work of the message that is done already
    now_ms: int = NOW
    takes_ms: int = 0  # duration of the model call
    registry: Registry = field(
        default_factory=lambda: Registry({COORDINATOR: SIGNER.public_key, "if://agent/h07": PEER.public_key})
    )
    did: list[tuple[Any, ...]] = field(default_factory=list)

    def deps(self) -> AgentDeps:
        return AgentDeps(
            agent="h01",
            now_ms=lambda: self.now_ms,
            random_unit=lambda: 0.5,
            new_token=lambda: "token",
            registry=self._read_registry,
            leases=_Leases(self),
            model=_Model(self),
            objects=_Objects(self),
            callbacks=_Callbacks(self),
            publisher=_Publisher(self),
            queue=_Queue(self),
            dead_letters=_DeadLetters(self),
            run_concurrently=_run_in_order,
            measure=lambda values: self.did.append(("measure", values["CompletionStatus"])),
            log=_Log(),
            heartbeat_s=60,
        )

    def _read_registry(self) -> Registry:
        if self.outage:
            raise RegistryUnavailableError("s3://state/registry/keys.json cannot be read: SlowDown")
        return self.registry

    def names(self) -> list[str]:
        return [entry[0] for entry in self.did]

    def only(self, name: str) -> tuple[Any, ...]:
        (arguments,) = [entry[1:] for entry in self.did if entry[0] == name]
        return arguments

    def handle(
        self, body: str, *, sqs_message_id: str = "sqs-1", receives: int = 1, put_backs: int = 0, left_ms: int = 300_000
    ) -> None:
        delivery = Delivery(
            body=body,
            sqs_message_id=sqs_message_id,
            receipt_handle="receipt",
            receives=receives,
            put_backs=put_backs,
            left_ms=lambda: left_ms,
        )
        TaskWorker(self.deps()).handle(delivery)


def _run_in_order(*jobs: Any) -> None:
    for job in jobs:
        job()


@dataclass
class _Leases:
    world: World

    def lease(
        self,
        session_id: str,
        message_id: str,
        *,
        reserve_nusd: int,
        budget_nusd: int,
        lease_ms: int,
        token: str,
        sqs_message_id: str,
    ) -> Lease:
        if self.world.lease_error:
            raise self.world.lease_error
        self.world.did.append(("lease", reserve_nusd, budget_nusd))
        return Lease(
            session_id=session_id,
            message_id=message_id,
            reserved_nusd=reserve_nusd,
            token=token,
            sqs_message_id=sqs_message_id,
        )

    def finished_work(self, session_id: str, message_id: str) -> AlreadyDoneError | None:
        return self.world.finished

    def finish(self, lease: Lease, result: TaskResult, *, spent_nusd: int) -> None:
        self.world.did.append(("finish", result.status, spent_nusd))

    def release(self, lease: Lease) -> None:
        self.world.did.append(("release",))


@dataclass
class _Model:
    world: World
    model_id: str = "test-model"

    def worst_nusd(self, prompt: Prompt, max_tokens: int) -> int:
        return WORST

    def cost_nusd(self, usage: Usage) -> int:
        return COST

    def ask(self, prompt: Prompt, output: type[Any], *, max_tokens: int, timeout_s: float) -> Completion[Any]:
        self.world.did.append(("ask", prompt.user, timeout_s))
        self.world.now_ms += self.world.takes_ms
        if self.world.model_error:
            raise self.world.model_error
        finding = Finding(text="a fact", confidence=0.9, sources=["reasoning"])
        value = AgentAnswer(findings=[finding], summary="one fact")
        return Completion(value=value, usage=USAGE, model_id=self.model_id, offline=False)


@dataclass
class _Objects:
    world: World

    def put(self, key: str, body: bytes) -> str:
        self.world.did.append(("put", key, body))
        return key

    def resolve(self, content: dict[str, Any]) -> dict[str, Any]:
        return content


@dataclass
class _Callbacks:
    world: World

    def succeed(self, callback_id: str, result: Mapping[str, Any]) -> None:
        self.world.did.append(("succeed", callback_id, result["evidence_hash"]))

    def fail(self, callback_id: str, reason: str, detail: str) -> None:
        self.world.did.append(("fail", callback_id, reason))

    def send_heartbeat(self, callback_id: str) -> None:
        self.world.did.append(("heartbeat",))


@dataclass
class _Publisher:
    world: World

    def sign(self, draft: Mapping[str, Any]) -> SignedMessage:
        if self.world.unsigned:
            raise RuntimeError("KMS is down")
        return SignedMessage(draft=draft, body="")

    def publish(self, message: SignedMessage) -> None:
        self.world.did.append(("publish", message.draft["performative"]))

    def record(self, message: SignedMessage) -> None:
        self.world.did.append(("record", message.draft["content"]["status"]))


@dataclass
class _Queue:
    world: World

    def put_back(self, body: str, put_backs: int, delay_s: int) -> None:
        if self.world.queue_down:
            raise RuntimeError("SQS is down")
        self.world.did.append(("put_back", body, put_backs, delay_s))

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


def test_a_task_is_leased_asked_stored_settled_and_answered_in_this_order() -> None:
    world = World()
    world.handle(request())
    assert world.names() == ["lease", "ask", "measure", "put", "finish", "succeed", "publish", "record"]
    assert world.only("lease") == (WORST, 10**9)
    assert world.only("finish") == ("DONE", COST)
    assert world.only("publish") == ("inform",)


def test_the_evidence_hash_that_travels_is_of_the_bytes_that_were_stored() -> None:
    world = World()
    world.handle(request())
    key, stored = world.only("put")
    assert world.only("succeed")[1] == f"sha256:{hashlib.sha256(stored).hexdigest()}"
    assert key.endswith("/s1/agents/h01/t0001/0/result.json")
    assert json.loads(stored)["findings"] == [{"text": "a fact", "confidence": 0.9, "sources": ["reasoning"]}]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("no JSON", "not-json"),
        (request(receiver="if://agent/h02"), "wrong-receiver"),
        (request(timestamp=NOW - 700_000, reply_by=NOW - 1), "stale"),
        (request(content={"session_id": "s1"}), "bad-content"),
        (request(performative=Performative.CANCEL), "not-a-request"),
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


DONE = TaskResult(
    task_id="t0001", agent="h01", attempt=0, status=TaskStatus.DONE, s3_key="k", evidence_hash=f"sha256:{'0' * 64}"
)


def test_a_repeated_delivery_is_answered_and_not_redone() -> None:
    world = World(lease_error=AlreadyDoneError(DONE, "sqs-1"))
    world.handle(request(), sqs_message_id="sqs-1")
    assert world.names() == ["succeed", "publish", "record"]


def test_a_replayed_message_reaches_the_coordinator_but_not_the_bus() -> None:
    world = World(lease_error=AlreadyDoneError(DONE, "sqs-1"))
    world.handle(request(), sqs_message_id="sqs-2")
    assert world.names() == ["succeed", "dead_letter"]
    assert world.only("dead_letter")[1] == "replayed"


def test_a_message_that_another_invocation_holds_is_delivered_again_when_its_lease_has_ended() -> None:
    world = World(lease_error=LeaseHeldError("if://message/m", until_ms=NOW + 41_500))
    with pytest.raises(LeaseHeldError):
        world.handle(request(), receives=POISON_RECEIVES + 1)
    assert world.did == [("redeliver_after", "receipt", 42)]


@pytest.mark.parametrize("sqs_message_id", ["sqs-1", "sqs-2"])
def test_a_repeated_delivery_past_the_deadline_is_answered_when_its_work_was_done(sqs_message_id: str) -> None:
    """The queue's visibility time-out is longer than many a session: history must not lose what was done in it."""
    world = World(finished=AlreadyDoneError(DONE, "sqs-1"))
    late = request(reply_by=NOW + 1)
    world.now_ms = NOW + 1_800_000
    world.handle(late, sqs_message_id=sqs_message_id)
    if sqs_message_id == "sqs-1":
        assert world.names() == ["succeed", "publish", "record"]
    else:
        assert world.only("dead_letter")[1] == "stale", "another message with this id is no repeated delivery"


def test_past_the_deadline_nothing_is_begun_and_nothing_of_a_stranger_answered() -> None:
    stranger = request(PEER, sender="if://agent/h07", reply_by=NOW + 1)
    for body, done in ((request(reply_by=NOW + 1), None), (stranger, DONE)):
        world = World(finished=done and AlreadyDoneError(done, "sqs-1"))
        world.now_ms = NOW + 1_800_000
        world.handle(body)
        assert world.names() == ["dead_letter"]


def test_a_message_of_a_session_that_is_over_is_dropped_and_whoever_waits_hears_it() -> None:
    world = World(lease_error=SessionOverError("session s1 is CANCELLED"))
    world.handle(request())
    assert world.did == [("fail", "cb", "cancelled")]


def test_a_task_that_the_budget_does_not_allow_is_declined_unasked() -> None:
    world = World(lease_error=OverBudgetError("too dear"))
    world.handle(request())
    assert world.names() == ["fail", "publish", "record"]
    assert world.only("fail") == ("cb", "budget")
    assert world.only("publish") == ("refuse",)


def test_a_task_that_the_budget_will_allow_later_waits_its_turn() -> None:
    world, body = World(lease_error=OverBudgetError("others hold it", later=True)), request()
    world.handle(body, put_backs=1)
    assert world.names() == ["put_back", "heartbeat"]
    assert world.only("put_back")[:2] == (body, 2)


def test_a_task_does_not_wait_for_money_beyond_its_deadline() -> None:
    world = World(lease_error=OverBudgetError("others hold it", later=True))
    world.handle(request(reply_by=NOW + 3_000))
    assert world.only("fail") == ("cb", "budget")


def test_no_wait_is_so_long_that_the_coordinator_takes_the_agent_for_dead() -> None:
    world = World(model_error=errors.Throttled("busy", retry_after_s=600))
    world.handle(request(), put_backs=30)
    assert world.only("put_back")[2] == 120, "two heartbeats of a minute"


def test_work_that_cannot_be_signed_for_is_kept_and_delivered_again() -> None:
    world = World(unsigned=True)
    with pytest.raises(RuntimeError, match="KMS"):
        world.handle(request())
    assert world.names() == ["lease", "ask", "measure", "put", "finish", "redeliver_after"], (
        "what was paid for is not lost"
    )


def test_a_throttled_task_is_released_and_put_back_as_a_delayed_copy() -> None:
    world, body = World(model_error=errors.Throttled("busy", retry_after_s=7)), request()
    world.handle(body, put_backs=2)
    assert world.names() == ["lease", "ask", "release", "put_back", "heartbeat"]
    copy, put_backs, delay_s = world.only("put_back")
    assert (copy, put_backs) == (body, 3)
    assert 7 <= delay_s <= 15


def test_a_throttled_task_without_time_left_fails() -> None:
    world = World(model_error=errors.Throttled("busy", retry_after_s=900))
    world.handle(request(reply_by=NOW + 30_000))
    assert world.only("fail") == ("cb", "throttled")
    assert world.only("finish") == ("FAILED", 0)


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
    assert world.only("finish") == ("FAILED", spent)
    assert world.only("fail") == ("cb", reason)
    key, stored = world.only("put")
    assert key.endswith("/0/error.json")
    assert json.loads(stored)["error"]["reason"] == reason


def test_a_call_that_the_deadline_ended_is_given_to_nobody_else() -> None:
    world = World(model_error=errors.TimedOut("no answer"), takes_ms=600_000)
    world.handle(request(reply_by=NOW + 600_000), left_ms=900_000)
    assert world.only("fail") == ("cb", "deadline")


def test_a_call_that_the_invocation_ended_may_be_tried_by_another() -> None:
    world = World(model_error=errors.TimedOut("no answer"), takes_ms=265_000)
    world.handle(request(reply_by=NOW + 600_000), left_ms=300_000)
    assert world.only("fail") == ("cb", "model-timeout")


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
    for receives in range(1, POISON_RECEIVES):
        with pytest.raises(RuntimeError, match="a bug"):
            world.handle(request(), receives=receives)
    assert world.did == [("redeliver_after", "receipt", 23), ("redeliver_after", "receipt", 225)]
    world.handle(request(), receives=POISON_RECEIVES)
    assert world.only("dead_letter")[1:] == ("poison", f"RuntimeError at delivery {POISON_RECEIVES}")


def test_a_message_outlasts_a_long_outage_of_the_registry_and_is_processed_once() -> None:
    """A fresh copy has one receive, so neither our limit nor the queue's counts the outage."""
    world, body, put_backs = World(outage=True), request(), 2
    for _ in range(100):
        world.handle(body, put_backs=put_backs)
        _, body, put_backs, delay_s = world.did[-1]
        assert 15 <= delay_s <= 30
    assert set(world.names()) == {"put_back"}, "nothing is done for a message that nobody verified"
    world.did.clear()
    world.outage = False
    world.handle(body, put_backs=put_backs)
    assert world.names().count("ask") == 1
    assert "dead_letter" not in world.names()
    assert put_backs == 2, "an outage is no throttle"


@pytest.mark.parametrize("receives", [1, POISON_RECEIVES, POISON_RECEIVES + 1])
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
