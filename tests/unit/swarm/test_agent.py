"""What an agent does with one message, with plain functions for the world."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from infrafabric.bus.envelope import Citation, compose, new_message_id, sign
from infrafabric.bus.pem import PemSigner
from infrafabric.bus.registry import Registry
from infrafabric.bus.structure import Performative
from infrafabric.models import Answer, Usage, errors
from infrafabric.models.schemas import AgentAnswer, Finding
from infrafabric.swarm.agent import POISON_AT, attend
from infrafabric.swarm.ledger import AlreadyDoneError, BeingWorkedError, Claim, OverBudgetError, SessionOverError
from infrafabric.swarm.session import COORDINATOR, TaskResult
from infrafabric.swarm.world import AgentDeps

NOW = 1_800_000_000_000
PEM = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
SIGNER = PemSigner(PEM, principal=COORDINATOR)
PEER = PemSigner(PEM, principal="if://agent/h07")
USAGE = Usage(input_tokens=100, output_tokens=50)
WORST, COST = 5_000, 1_000


def request(signer: PemSigner = SIGNER, **changes: Any) -> str:
    content = {
        "session_id": "s1", "task_id": "t0001", "attempt": 0, "text": "find out", "goal": "", "callback_id": "cb",
        "budget_nusd": 10**9,
    }  # fmt: skip
    given: dict[str, Any] = {
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
    return sign(compose(**{**given, **changes}), signer).decode()


@dataclass
class World:
    """Records what the agent did to it; ``claim`` and ``ask`` may be errors to raise."""

    claim: Exception | None = None
    answer: Exception | None = None
    unsigned: bool = False  # nothing can be signed
    unhastened: bool = False  # no message can be hastened
    answered: AlreadyDoneError | None = None  # what a look for an answer finds
    now_ms: int = NOW
    takes_ms: int = 0  # the model's time
    registry: Registry = field(
        default_factory=lambda: Registry({COORDINATOR: SIGNER.public_key, "if://agent/h07": PEER.public_key})
    )
    did: list[tuple[Any, ...]] = field(default_factory=list)

    def deps(self) -> AgentDeps:
        def note(name: str) -> Any:
            return lambda *words, **named: self.did.append((name, *words, *named.values()))

        return AgentDeps(
            agent="h01",
            now_ms=lambda: self.now_ms,
            draw=lambda: 0.5,
            token=lambda: "token",
            registry=lambda *_: self.registry,
            fetch=lambda content: content,
            store=cast(Any, _Store(self)),
            model=cast(Any, _Model(self)),
            put_result=note("put"),
            callbacks=cast(Any, _Callbacks(self)),
            sign=self.sign,
            publish=lambda letter: self.did.append(("publish", letter["performative"])),
            archive=lambda letter: self.did.append(("archive", letter["content"]["status"])),
            together=_one_after_another,
            put_back=note("put_back"),
            hasten=self.hasten,
            dead_letter=note("dead_letter"),
            measure=lambda values: self.did.append(("measure", values["CompletionStatus"])),
            log=cast(Any, _Log()),
            heartbeat_s=60,
        )

    def hasten(self, receipt: str, delay_s: int) -> None:
        self.did.append(("hasten", receipt, delay_s))
        if self.unhastened:
            raise RuntimeError("SQS is down")

    def sign(self, draft: dict[str, Any]) -> dict[str, Any]:
        if self.unsigned:
            raise RuntimeError("KMS is down")
        return draft

    def names(self) -> list[str]:
        return [entry[0] for entry in self.did]

    def only(self, name: str) -> tuple[Any, ...]:
        (found,) = [entry[1:] for entry in self.did if entry[0] == name]
        return found

    def attend(
        self, body: str, *, carrier: str = "sqs-1", receives: int = 1, throttles: int = 0, left_ms: int = 300_000
    ) -> None:
        attend(
            body,
            receives=receives,
            carrier=carrier,
            receipt="receipt",
            throttles=throttles,
            left_ms=lambda: left_ms,
            deps=self.deps(),
        )


def _one_after_another(*jobs: Any) -> None:
    for job in jobs:
        job()


@dataclass
class _Store:
    world: World

    def claim(self, session_id: str, message_id: str, **given: Any) -> Claim:
        if self.world.claim:
            raise self.world.claim
        self.world.did.append(("claim", given["reserve_nusd"], given["budget_nusd"]))
        return Claim(
            session_id=session_id, message_id=message_id, reserved_nusd=given["reserve_nusd"], token="token",
            carrier=given["carrier"],
        )  # fmt: skip

    def answer(self, session_id: str, message_id: str) -> AlreadyDoneError | None:
        return self.world.answered

    def finish(self, claim: Claim, result: TaskResult, *, spent_nusd: int) -> None:
        self.world.did.append(("finish", result.status, spent_nusd))

    def release(self, claim: Claim) -> None:
        self.world.did.append(("release",))


@dataclass
class _Model:
    world: World
    model_id: str = "test-model"

    def worst_nusd(self, prompt: Any, max_tokens: int) -> int:
        return WORST

    def cost_nusd(self, usage: Usage) -> int:
        return COST

    def ask(self, prompt: Any, output: Any, *, max_tokens: int, timeout_s: float) -> Answer[AgentAnswer]:
        self.world.did.append(("ask", prompt.user, timeout_s))
        self.world.now_ms += self.world.takes_ms
        if self.world.answer:
            raise self.world.answer
        finding = Finding(text="a fact", confidence=0.9, sources=["reasoning"])
        value = AgentAnswer(findings=[finding], summary="one fact")
        return Answer(value=value, usage=USAGE, model_id=self.model_id, offline=False)


@dataclass
class _Callbacks:
    world: World

    def succeed(self, callback_id: str, result: Any) -> None:
        self.world.did.append(("succeed", callback_id, result["evidence_hash"]))

    def fail(self, callback_id: str, reason: str, detail: str) -> None:
        self.world.did.append(("fail", callback_id, reason))

    def beat(self, callback_id: str) -> None:
        self.world.did.append(("beat",))


class _Log:
    def info(self, event: str, **fields: Any) -> None:
        assert "find out" not in str(fields), "a task's text is not logged"

    warning = info


def test_a_task_is_claimed_asked_stored_settled_and_told_in_this_order() -> None:
    world = World()
    world.attend(request())
    assert world.names() == [
        "claim", "ask", "measure", "put", "finish", "succeed", "publish", "archive"
    ]  # fmt: skip
    assert world.only("claim") == (WORST, 10**9)
    assert world.only("finish") == ("DONE", COST)
    assert world.only("publish") == ("inform",)


def test_the_evidence_hash_that_travels_is_of_the_bytes_that_were_stored() -> None:
    world = World()
    world.attend(request())
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
    world.attend(body)
    assert world.names() == ["dead_letter"]
    assert world.only("dead_letter")[:2] == (body, reason)


def test_a_sender_that_the_registry_does_not_know_is_refused() -> None:
    world = World(registry=Registry({}))
    world.attend(request())
    assert world.only("dead_letter")[1] == "unknown-sender"


DONE = TaskResult(
    task_id="t0001", agent="h01", attempt=0, status="DONE", s3_key="k", evidence_hash=f"sha256:{'0' * 64}"
)


def test_a_repeated_delivery_is_answered_and_not_redone() -> None:
    world = World(claim=AlreadyDoneError(DONE, "sqs-1"))
    world.attend(request(), carrier="sqs-1")
    assert world.names() == ["succeed", "publish", "archive"]


def test_a_replayed_message_reaches_the_coordinator_but_not_the_bus() -> None:
    world = World(claim=AlreadyDoneError(DONE, "sqs-1"))
    world.attend(request(), carrier="sqs-2")
    assert world.names() == ["succeed", "dead_letter"]
    assert world.only("dead_letter")[1] == "replayed"


def test_a_message_that_another_invocation_holds_is_delivered_again_when_its_lease_has_ended() -> None:
    world = World(claim=BeingWorkedError("held", until_ms=NOW + 41_500))
    with pytest.raises(BeingWorkedError):
        world.attend(request(), receives=POISON_AT + 1)
    assert world.did == [("hasten", "receipt", 42)]


@pytest.mark.parametrize("carrier", ["sqs-1", "sqs-2"])
def test_a_repeated_delivery_past_the_deadline_is_answered_when_its_work_was_done(carrier: str) -> None:
    """The queue's visibility time-out is longer than many a session: history must not lose what was done in it."""
    world = World(answered=AlreadyDoneError(DONE, "sqs-1"))
    late = request(reply_by=NOW + 1)
    world.now_ms = NOW + 1_800_000
    world.attend(late, carrier=carrier)
    if carrier == "sqs-1":
        assert world.names() == ["succeed", "publish", "archive"]
    else:
        assert world.only("dead_letter")[1] == "stale", "another message with this id is no repeated delivery"


def test_past_the_deadline_nothing_is_begun_and_nothing_of_a_stranger_answered() -> None:
    stranger = request(PEER, sender="if://agent/h07", reply_by=NOW + 1)
    for body, answered in ((request(reply_by=NOW + 1), None), (stranger, DONE)):
        world = World(answered=answered and AlreadyDoneError(answered, "sqs-1"))
        world.now_ms = NOW + 1_800_000
        world.attend(body)
        assert world.names() == ["dead_letter"]


def test_a_message_of_a_session_that_is_over_is_dropped_and_whoever_waits_hears_it() -> None:
    world = World(claim=SessionOverError("session s1 is CANCELLED"))
    world.attend(request())
    assert world.did == [("fail", "cb", "cancelled")]


def test_a_task_that_the_budget_does_not_allow_is_declined_unasked() -> None:
    world = World(claim=OverBudgetError("too dear"))
    world.attend(request())
    assert world.names() == ["fail", "publish", "archive"]
    assert world.only("fail") == ("cb", "budget")
    assert world.only("publish") == ("refuse",)


def test_a_task_that_the_budget_will_allow_later_waits_its_turn() -> None:
    world, body = World(claim=OverBudgetError("others hold it", later=True)), request()
    world.attend(body, throttles=1)
    assert world.names() == ["put_back", "beat"]
    assert world.only("put_back")[:2] == (body, 2)


def test_a_task_does_not_wait_for_money_beyond_its_deadline() -> None:
    world = World(claim=OverBudgetError("others hold it", later=True))
    world.attend(request(reply_by=NOW + 3_000))
    assert world.only("fail") == ("cb", "budget")


def test_no_wait_is_so_long_that_the_coordinator_takes_the_agent_for_dead() -> None:
    world = World(answer=errors.Throttled("busy", retry_after_s=600))
    world.attend(request(), throttles=30)
    assert world.only("put_back")[2] == 120, "two heartbeats of a minute"


def test_work_that_cannot_be_signed_for_is_kept_and_delivered_again() -> None:
    world = World(unsigned=True)
    with pytest.raises(RuntimeError, match="KMS"):
        world.attend(request())
    assert world.names() == ["claim", "ask", "measure", "put", "finish", "hasten"], "what was paid for is not lost"


def test_a_throttled_task_is_released_and_put_back_as_a_delayed_copy() -> None:
    world, body = World(answer=errors.Throttled("busy", retry_after_s=7)), request()
    world.attend(body, throttles=2)
    assert world.names() == ["claim", "ask", "release", "put_back", "beat"]
    copy, throttles, delay_s = world.only("put_back")
    assert (copy, throttles) == (body, 3)
    assert 7 <= delay_s <= 15


def test_a_throttled_task_without_time_left_fails() -> None:
    world = World(answer=errors.Throttled("busy", retry_after_s=900))
    world.attend(request(reply_by=NOW + 30_000))
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
    world = World(answer=error)
    world.attend(request())
    assert world.only("finish") == ("FAILED", spent)
    assert world.only("fail") == ("cb", reason)
    key, stored = world.only("put")
    assert key.endswith("/0/error.json")
    assert json.loads(stored)["error"]["reason"] == reason


def test_a_call_that_the_deadline_ended_is_given_to_nobody_else() -> None:
    world = World(answer=errors.TimedOut("no answer"), takes_ms=600_000)
    world.attend(request(reply_by=NOW + 600_000), left_ms=900_000)
    assert world.only("fail") == ("cb", "deadline")


def test_a_call_that_the_invocation_ended_may_be_tried_by_another() -> None:
    world = World(answer=errors.TimedOut("no answer"), takes_ms=265_000)
    world.attend(request(reply_by=NOW + 600_000), left_ms=300_000)
    assert world.only("fail") == ("cb", "model-timeout")


def test_what_a_refusal_says_quotes_no_content() -> None:
    content = {"session_id": ["find out"], "task_id": "t0001"}
    world = World()
    world.attend(request(content=content))
    assert world.only("dead_letter")[2] == "content.session_id is list: must be str"


def test_a_call_may_take_what_is_left_of_deadline_and_invocation() -> None:
    world = World()
    world.attend(request(reply_by=NOW + 20_000), left_ms=300_000)
    assert world.only("ask")[1] == 20
    for left_ms, call_s in ((300_000, 265), (60_000, 45)):
        world = World()
        world.attend(request(), left_ms=left_ms)
        assert world.only("ask")[1] == call_s, "enough is kept to store and answer with"


@pytest.mark.parametrize("unhastened", [False, True])
def test_a_message_that_fails_again_and_again_comes_back_soon_then_late_and_then_is_poison(unhastened: bool) -> None:
    world = World(claim=RuntimeError("a bug"), unhastened=unhastened)
    for receives in range(1, POISON_AT):
        with pytest.raises(RuntimeError, match="a bug"):
            world.attend(request(), receives=receives)
    assert world.did == [("hasten", "receipt", 23), ("hasten", "receipt", 225)]
    world.attend(request(), receives=POISON_AT)
    assert world.only("dead_letter")[1:] == ("poison", f"RuntimeError at delivery {POISON_AT}")
