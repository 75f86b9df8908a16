"""Records for the recorder, signed as on the bus, and a PostgreSQL server to write them to."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from infrafabric.bus.envelope import Citation, compose, parse, sign
from infrafabric.bus.pem import PemSigner
from infrafabric.bus.registry import Registry
from infrafabric.bus.structure import Performative
from infrafabric.bus.uris import COORDINATOR, last_segment, new_message_id
from infrafabric.environment import DatabaseEnvironment
from infrafabric.recorder import migrate
from infrafabric.swarm.evidence import evidence_hash
from infrafabric.swarm.object_keys import result_key
from infrafabric.swarm.shapes.records import RECORD_LIFETIME_MS, TaskRecord
from infrafabric.swarm.shapes.result import TaskResult
from infrafabric.swarm.status import TaskStatus
from local import postgres, processes
from tests.unit.swarm.orders import KEY

NOW = 1_800_000_000_000
WRITER = "if_recorder"
HASH = f"sha256:{'0' * 64}"
PLACE = result_key(KEY, "h01", "t0001", 0)


def signer(principal: str) -> PemSigner:
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return PemSigner(pem, principal=principal)


AGENT, PEER, BOSS = signer("if://agent/h01"), signer("if://agent/h03"), signer(COORDINATOR)
REGISTRY = Registry({one.principal: one.public_key for one in (AGENT, PEER, BOSS)})


def message(content: dict[str, Any], by: PemSigner = BOSS, message_id: str = "", evidence: str = HASH) -> str:
    """Return a signed message."""
    draft = compose(
        performative=Performative.INFORM,
        sender=by.principal,
        receiver=COORDINATOR,
        conversation_id="if://conversation/s1",
        message_id=message_id or new_message_id(),
        timestamp=NOW,
        content=content,
        citation=Citation("if://task/s1/t0001", evidence),
        reply_by=NOW + RECORD_LIFETIME_MS,
    )
    return sign(draft, by).decode()


def body(*messages: str) -> str:
    """Return messages as they lie in the recorder's queue."""
    return json.dumps(messages)


def answer(by: PemSigner = AGENT, *, message_id: str = "", **changes: Any) -> str:
    """Return an agent's signed answer, with these members of its content changed."""
    result = TaskResult(
        task_id="t0001", agent="h01", attempt=0, status=TaskStatus.DONE, s3_key=PLACE, evidence_hash=HASH
    )
    return message({**TaskRecord.of(KEY, result, model="m", at_ms=NOW).write(), **changes}, by, message_id)


def row(signed_answer: str = "", **changes: Any) -> dict[str, Any]:
    """Return what the coordinator believed of an attempt; without an answer its object was found."""
    return {
        "task_id": "t0001",
        "agent": "h01",
        "attempt": 0,
        "status": "DONE",
        "evidence_hash": HASH,
        "tokens_in": 3,
        "tokens_out": 4,
        "cost_nusd": 1_234,
        "answer_id": last_segment(parse(signed_answer).message_id) if signed_answer else "",
        "model": "m",
        "at_ms": NOW,
        **changes,
    }


def attempts(*rows: dict[str, Any], by: PemSigner = BOSS, **changes: Any) -> tuple[str, str]:
    """Return the coordinator's signed record of attempts, and its rows."""
    text = json.dumps({"attempts": rows})
    content = {"kind": "attempts", **KEY._asdict(), **changes}
    return message(content, by, evidence=evidence_hash(text.encode())), text


def task_body(**changes: Any) -> str:
    """Return the record of one attempt, with these members of its row changed, and the answer to the attempt."""
    signed_answer = answer(**{name: changes[name] for name in ("task_id", "attempt") if name in changes})
    return body(*attempts(row(signed_answer, **changes)), signed_answer)


def session(**changes: Any) -> dict[str, Any]:
    """Return the content of the coordinator's record of a session."""
    return {
        "kind": "session",
        **KEY._asdict(),
        "owner": "research",
        "status": "PARTIAL",
        "reason": "deadline (1 of 2 tasks)",
        "created_ms": NOW - 5_000,
        "ended_ms": NOW,
        "budget_nusd": 10**9,
        "spent_nusd": 2_468,
        "committed_nusd": 1_000,
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


class Database:
    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port

    def connect(self, user: str = "master") -> psycopg.Connection[Any]:
        url = postgres.url(self.folder, self.port, user=user, password="secret", database="history")
        return psycopg.connect(url, autocommit=True)

    @property
    def environment(self) -> DatabaseEnvironment:
        """Variables of a function that connects to this server."""
        return DatabaseEnvironment(
            db_host="localhost",
            db_port=self.port,
            db_name="history",
            db_user=WRITER,
            db_root_cert=str(self.folder / "ca.pem"),
        )

    def rows(self, query: str) -> list[Any]:
        with self.connect() as connection:
            return connection.execute(query.encode()).fetchall()


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)  # as root the server runs as another user, who must get in
        folder, port = Path(place) / "server", processes.free_port()
        parts = postgres.start(folder, port=port, log=Path(place) / "log")
        try:
            postgres.create_database(folder, port, name="history", user="master", password="secret")
            made = Database(folder, port)
            with made.connect() as connection:
                assert migrate.apply(connection, writer=WRITER) == [m.name for m in migrate.migrations()]
            yield made
        finally:
            processes.stop(parts)
