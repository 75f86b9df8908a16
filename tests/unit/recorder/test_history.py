"""Who may write history, and what becomes of messages that no table takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from infrafabric.bus.registry import Registry, RegistryUnavailableError
from infrafabric.recorder.history import BadRowError, HistoryRecorder, RecorderDeps
from tests.unit.recorder.conftest import BOSS, NOW, REGISTRY, FakeDeadLetters, message, session, signer, task


class World:
    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.outage = False  # the registry cannot be read
        self.rows: list[Mapping[str, Any]] = []
        self.dead_letters = FakeDeadLetters()

    def record(self, body: str) -> None:
        def execute(_: str, values: Mapping[str, Any]) -> None:
            if self.error:
                raise self.error
            self.rows.append(values)

        def read_registry() -> Registry:
            if self.outage:
                raise RegistryUnavailableError("the registry cannot be read: SlowDown")
            return REGISTRY

        deps = RecorderDeps(now_ms=lambda: NOW, registry=read_registry, execute=execute, dead_letters=self.dead_letters)
        HistoryRecorder(deps).record(body)


def test_a_verified_message_becomes_a_row() -> None:
    world = World()
    world.record(message(task()))
    world.record(message(session(), BOSS))
    assert [row["session_id"] for row in world.rows] == ["s1", "s1"]
    assert world.rows[0]["message_id"].startswith("if://message/")
    assert world.dead_letters.messages == []


def test_a_message_waits_in_the_queue_while_the_registry_cannot_be_read() -> None:
    world, body = World(), message(task())
    world.outage = True
    for _ in range(20):
        with pytest.raises(RegistryUnavailableError):
            world.record(body)
    assert (world.rows, world.dead_letters.messages) == ([], [])
    world.outage = False
    world.record(body)
    assert len(world.rows) == 1


@pytest.mark.parametrize(
    ("body", "reason", "detail"),
    [
        ("[]", "not-an-object", "JSON object"),
        (message(task(), signer("if://agent/h02")), "unknown-sender", "if://agent/h02"),
        (message(task(), signer("if://agent/h01")), "key-mismatch", "registry"),
        (message({"kind": "gossip"}), "bad-content", "must be task or session"),
        (message({"kind": ["task"]}), "bad-content", "must be task or session"),
        (message(task(agent="h02")), "bad-content", "an agent reports on itself only"),
        (message(session()), "bad-content", "only if://agent/coordinator reports on sessions"),
        (message(task(attempt="0")), "bad-content", "content.attempt: input should be a valid integer"),
        (message(task(tokens_in=True)), "bad-content", "content.tokens_in: input should be a valid integer"),
        (message({"kind": "session"}, BOSS), "bad-content", "content.session_id is missing"),
    ],
)
def test_what_is_not_trusted_or_no_record_goes_to_the_dead_letter_queue(body: str, reason: str, detail: str) -> None:
    world = World()
    world.record(body)
    ((dead, why, text),) = world.dead_letters.messages
    assert (dead, why) == (body, reason)
    assert detail in text
    assert world.rows == []


def test_a_row_that_the_table_refuses_holds_nobody_up() -> None:
    world, body = World(BadRowError("CheckViolation: no such status")), message(task())
    world.record(body)
    assert world.dead_letters.messages == [(body, "bad-content", "CheckViolation: no such status")]


def test_a_database_that_is_away_is_waited_for() -> None:
    world = World(ConnectionError("no route"))
    with pytest.raises(ConnectionError):
        world.record(message(task()))
    assert world.dead_letters.messages == []
