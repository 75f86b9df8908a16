"""Messages for the recorder, signed as on the bus."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from infrafabric.bus.envelope import Citation, compose, sign
from infrafabric.bus.pem import PemSigner
from infrafabric.bus.registry import Registry
from infrafabric.bus.structure import Performative
from infrafabric.bus.uris import COORDINATOR, new_message_id
from infrafabric.swarm.shapes.records import RECORD_LIFETIME_MS, TaskRecord
from infrafabric.swarm.shapes.result import TaskResult
from infrafabric.swarm.status import TaskStatus

NOW = 1_800_000_000_000
HASH = f"sha256:{'0' * 64}"


def signer(principal: str) -> PemSigner:
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return PemSigner(pem, principal=principal)


AGENT, PEER, BOSS = signer("if://agent/h01"), signer("if://agent/h03"), signer(COORDINATOR)
REGISTRY = Registry({one.principal: one.public_key for one in (AGENT, PEER, BOSS)})


def message(content: dict[str, Any], by: PemSigner = AGENT) -> str:
    draft = compose(
        performative=Performative.INFORM,
        sender=by.principal,
        receiver=COORDINATOR,
        conversation_id="if://conversation/s1",
        message_id=new_message_id(),
        timestamp=NOW,
        content=content,
        citation=Citation("if://task/s1/t0001", HASH),
        reply_by=NOW + RECORD_LIFETIME_MS,
    )
    return sign(draft, by).decode()


def task(**changes: Any) -> dict[str, Any]:
    result = TaskResult(
        task_id="t0001",
        agent="h01",
        attempt=0,
        status=TaskStatus.DONE,
        s3_key="k",
        evidence_hash=HASH,
        tokens_in=3,
        tokens_out=4,
        cost_nusd=1_234,
    )
    return {**TaskRecord.of("s1", result, model="m", at_ms=NOW).write(), **changes}


def session(**changes: Any) -> dict[str, Any]:
    return {
        "kind": "session",
        "session_id": "s1",
        "status": "PARTIAL",
        "reason": "deadline (1 of 2 tasks)",
        "created_ms": NOW - 5_000,
        "ended_ms": NOW,
        "budget_nusd": 10**9,
        "spent_nusd": 2_468,
        "tasks": 2,
        "model": "m",
        "s3_key": "r",
        **changes,
    }


@dataclass
class FakeDeadLetters:
    """Dead-letter queue that keeps body, reason and detail per message."""

    messages: list[tuple[str, str, str]] = field(default_factory=list)

    def dead_letter(self, body: str, reason: str, detail: str) -> None:
        self.messages.append((body, reason, detail))
