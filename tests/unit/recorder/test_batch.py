"""Batches of the results queue: what is delivered again, how soon, and what is given up with which reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from infra.messaging.queue import TWO_WEEKS_S
from infrafabric.bus.registry import RegistryUnavailableError
from infrafabric.recorder.batch import LEAST_LEFT_MS, BatchDeps, BatchRecorder, Delivery
from infrafabric.recorder.history import DatabaseUnavailableError
from infrafabric.recorder.redelivery import LAST_RECEIVE, MAX_RECEIVES, redelivery_delay_s
from tests.unit.recorder.conftest import FakeDeadLetters

AWAY = DatabaseUnavailableError("OperationalError: connection refused")
REFUSED = ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "SendMessage")
MINUTE_MS = 60_000


class World(FakeDeadLetters):
    """Side effects of a batch; each body whose text is a key of ``errors`` fails with the error."""

    def __init__(self, errors: Mapping[str, Exception] | None = None) -> None:
        super().__init__()
        self.errors = dict(errors or {})
        self.tried: list[str] = []
        self.redelivered: list[tuple[str, int]] = []
        self.refuses_redelivery = self.refuses_dead_letters = False
        self.metrics: list[Mapping[str, float]] = []
        self.lines: list[tuple[str, dict[str, Any]]] = []
        self.left_ms = MINUTE_MS

    def _record(self, body: str) -> None:
        self.tried.append(body)
        if body in self.errors:
            raise self.errors[body]

    def redeliver_after(self, receipt_handle: str, delay_s: int) -> None:
        if self.refuses_redelivery:
            raise REFUSED
        self.redelivered.append((receipt_handle, delay_s))

    def dead_letter(self, body: str, reason: str, detail: str) -> None:
        if self.refuses_dead_letters:
            raise REFUSED
        super().dead_letter(body, reason, detail)

    def info(self, event: str, **fields: Any) -> None:
        self.lines.append((event, fields))

    def warning(self, event: str, **fields: Any) -> None:
        self.lines.append((event, fields))

    def record(self, *names: str, receives: int = 1) -> list[str]:
        """Record a batch; a name is the session's letter and the message's number. Returns what comes again."""
        deps = BatchDeps(
            record=self._record,
            dead_letters=self,
            queue=self,
            random_unit=lambda: 0.5,
            measure=self.metrics.append,
            log=self,
        )
        batch = [
            Delivery(body=name, session=name[0], sqs_message_id=name, receipt_handle=f"of {name}", receives=receives)
            for name in names
        ]
        return [one.sqs_message_id for one in BatchRecorder(deps).record(batch, lambda: self.left_ms)]


def test_a_batch_that_is_written_leaves_no_message_no_metric_and_no_line() -> None:
    world = World()
    assert world.record("a1", "b1", "a2") == []
    assert (world.tried, world.redelivered, world.metrics, world.lines) == (["a1", "b1", "a2"], [], [], [])


def test_after_a_failure_the_rest_of_its_session_waits_and_other_sessions_go_on() -> None:
    world = World({"a2": KeyError("model")})
    assert world.record("a1", "b1", "a2", "b2", "a3") == ["a2", "a3"]
    assert world.tried == ["a1", "b1", "a2", "b2"]


@pytest.mark.parametrize("error", [AWAY, RegistryUnavailableError("SlowDown")])
def test_during_an_outage_one_message_is_tried_and_the_whole_batch_comes_again_without_an_exception(
    error: Exception,
) -> None:
    world = World(dict.fromkeys(("a1", "b1", "a2"), error))
    assert world.record("a1", "b1", "a2") == ["a1", "b1", "a2"]
    assert (world.tried, world.messages) == (["a1"], [])


def test_a_batch_that_waits_leaves_one_line_and_counts_its_messages() -> None:
    world = World({"a1": AWAY})
    world.record("a1", "b1", "a2")
    assert world.metrics == [{"RecordsDelayed": 3}]
    error = "DatabaseUnavailableError: OperationalError: connection refused"
    assert world.lines == [("records wait", {"messages": 3, "sessions": 2, "delay_s": 2, "error": error})]


def test_what_failed_comes_again_after_seconds_and_later_in_an_outage_after_minutes() -> None:
    world = World({"a1": AWAY})
    delays = []
    for receives in (1, 2, 3, 6, 10, 500):
        world.record("a1", "a2", receives=receives)
        delays.append([delay_s for _, delay_s in world.redelivered[-2:]])
    assert delays == [[2, 2], [3, 3], [6, 6], [48, 48], [675, 675], [675, 675]]


def test_a_message_that_the_time_left_may_not_suffice_for_is_not_begun() -> None:
    world = World()
    world.left_ms = LEAST_LEFT_MS - 1
    assert world.record("a1", "b1") == ["a1", "b1"]
    assert (world.tried, world.lines[0][1]["error"]) == ([], "no time left")


def test_a_message_that_waited_in_vain_is_dead_lettered_with_a_reason_before_the_queue_does_it_without() -> None:
    world = World({"a1": AWAY})
    assert world.record("a1", receives=LAST_RECEIVE - 1) == ["a1"]
    assert world.messages == []
    assert world.record("a1", "b1", receives=LAST_RECEIVE) == ["b1"], "nothing else is tried meanwhile"
    detail = "DatabaseUnavailableError at delivery 990: OperationalError: connection refused"
    assert world.messages == [("a1", "unavailable", detail)]
    assert LAST_RECEIVE < MAX_RECEIVES <= 1000, "SQS's largest maxReceiveCount"


def test_an_error_that_no_waiting_mends_is_poison_at_the_third_delivery_and_its_session_goes_on() -> None:
    world = World({"a1": KeyError("model")})
    assert [world.record("a1", "a2", receives=n) for n in (1, 2)] == [["a1", "a2"]] * 2
    assert world.record("a1", "a2", receives=3) == []
    assert world.messages == [("a1", "poison", "KeyError at delivery 3: 'model'")]
    assert world.tried[-1] == "a2"


def test_a_refused_message_that_could_not_be_dead_lettered_keeps_its_reason_for_the_next_delivery() -> None:
    """The recorder's call was refused, which says nothing about the message."""
    world = World({"a1": REFUSED})
    assert world.record("a1", receives=3) == ["a1"]
    assert world.messages == []


def test_a_message_that_cannot_be_given_up_now_comes_again() -> None:
    world = World({"a1": KeyError("model")})
    world.refuses_dead_letters = True
    assert world.record("a1", receives=3) == ["a1"]


def test_if_the_redelivery_cannot_be_set_the_messages_come_when_the_queues_own_timeout_ends() -> None:
    world = World({"a1": AWAY})
    world.refuses_redelivery = True
    assert world.record("a1", "b1") == ["a1", "b1"]
    ((_, fields),) = world.lines
    assert "visibility not changed: An error occurred (AccessDenied)" in fields["error"]


@given(st.integers(1, MAX_RECEIVES), st.floats(0, 1, exclude_max=True))
def test_a_redelivery_comes_within_a_quarter_of_an_hour_and_never_at_once(receives: int, random_unit: float) -> None:
    assert 1 <= redelivery_delay_s(receives, random_unit=random_unit) <= 900


def test_history_waits_five_days_for_a_database_and_is_dead_lettered_before_sqs_deletes_it() -> None:
    shortest, longest = (
        sum(redelivery_delay_s(n, random_unit=unit) for n in range(1, LAST_RECEIVE)) for unit in (0.0, 0.999)
    )
    assert 5 * 86_400 < shortest < longest < TWO_WEEKS_S * 3 / 4
