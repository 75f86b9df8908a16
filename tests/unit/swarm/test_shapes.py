"""Shapes that are stored or that travel: a release with one optional member more reads those of the release before.

``tests/fixtures/release-0.1.0.json`` holds what release 0.1.0 stored and sent, made once by its code: never edit it.
That release had no ``labels``, so every test here is also the test of the first member that was added.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infrafabric.api import requests
from infrafabric.aws_adapters.dynamodb_table import plain
from infrafabric.aws_adapters.executions import execution_name
from infrafabric.aws_adapters.session_store import SessionStore
from infrafabric.swarm.shapes.coordinator_event import CoordinatorEvent, ExecutionMode, TaskSlice
from infrafabric.swarm.shapes.order import Order
from infrafabric.swarm.shapes.records import SessionRecord, TaskRecord
from infrafabric.swarm.shapes.result import TaskResult
from infrafabric.swarm.shapes.session_item import SessionItem
from infrafabric.swarm.shapes.shape import BadShapeError, Shape
from infrafabric.swarm.shapes.task import Task
from infrafabric.swarm.status import SessionStatus, TaskStatus
from infrafabric.swarm.task_dispatch import message_id_of
from infrafabric.swarm.watchdog import SessionWatchdog, WatchdogDeps
from tests.unit.swarm.orders import an_order

RELEASED: dict[str, Any] = json.loads((Path(__file__).parents[2] / "fixtures" / "release-0.1.0.json").read_text())
ITEMS = {name: plain(item) for name, item in RELEASED["items"].items()}
CREATED_MS = RELEASED["order"]["created_ms"]

READ: dict[str, tuple[Callable[[Mapping[str, Any]], Any], Mapping[str, Any]]] = {
    "order": (Order.from_event, RELEASED["order"]),
    "order of a goal": (Order.from_event, RELEASED["order_of_a_goal"]),
    "task": (Task.read, RELEASED["task_request"]),
    "callback": (TaskResult.read, RELEASED["callback_result"]),
    "done task": (TaskResult.read, ITEMS["task_done"]),
    "failed task": (TaskResult.read, ITEMS["task_failed"]),
    "message": (TaskResult.read, ITEMS["message"]),
    "session": (SessionItem.read, ITEMS["session"]),
    "running session": (SessionItem.read, ITEMS["running_session"]),
    "task record": (TaskRecord.read, RELEASED["task_record"]),
    "session record": (SessionRecord.read, RELEASED["session_record"]),
}


@pytest.mark.parametrize("name", READ)
def test_every_shape_of_the_first_release_is_read_with_each_of_its_values(name: str) -> None:
    read, released = READ[name]
    shape = read(released)
    written = shape.as_item() if isinstance(shape, SessionItem) else shape.write()
    kept = {member: value for member, value in released.items() if member in written}
    assert kept
    assert written == {**written, **kept}
    assert getattr(shape, "labels", ()) == ()


@pytest.mark.parametrize("name", READ)
def test_a_member_of_a_later_release_is_ignored(name: str) -> None:
    read, released = READ[name]
    assert read({**released, "of_a_later_release": {"a": 1}}) == read(released)


@pytest.mark.parametrize("shape", [Order, Task, TaskResult, TaskRecord, SessionRecord, SessionItem, TaskSlice])
def test_writing_is_strict(shape: type[Shape]) -> None:
    for members in ({"misspelled": 1}, {name: object() for name in shape.model_fields}):
        with pytest.raises(ValueError, match=shape.__name__):
            shape(**members)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"session_id": None}, "Task: session_id: input should be a valid string"),
        ({"attempt": "0"}, "Task: attempt: input should be a valid integer"),
        ({"attempt": True}, "Task: attempt: input should be a valid integer"),
    ],
)
def test_what_has_another_shape_is_refused_and_the_member_named(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(BadShapeError) as refused:
        Task.read({**RELEASED["task_request"], **changes})
    assert str(refused.value) == problem


def test_a_missing_member_is_named_and_no_value_is_quoted() -> None:
    released = {name: value for name, value in RELEASED["task_request"].items() if name != "text"}
    with pytest.raises(BadShapeError, match=r"^Task: text is missing$"):
        Task.read(released)


def test_the_events_of_the_first_release_start_resume_and_wrap_up_a_session() -> None:
    events = [CoordinatorEvent.from_event(event) for event in RELEASED["coordinator_events"]]
    assert [event.mode for event in events] == [
        ExecutionMode.START,
        ExecutionMode.RESUME,
        ExecutionMode.WRAP_UP,
        ExecutionMode.START,
    ]
    assert [event.task_slice for event in events[:3]] == [None] * 3
    assert events[3].task_slice == TaskSlice(texts=(RELEASED["order"]["tasks"][0],), first=0, of=2, again=True)
    for event, released in zip(events, RELEASED["coordinator_events"], strict=True):
        assert event.as_event() == released, "the release before reads what this one writes"


def test_an_order_of_another_version_is_no_missing_order() -> None:
    with pytest.raises(BadShapeError, match="Order: version 2: this release reads version 1"):
        Order.from_event({**RELEASED["order"], "order": 2})


@given(
    st.lists(st.text(min_size=1), max_size=5),
    st.floats(0, 1),
    st.lists(st.from_regex(r"[a-z]{1,32}", fullmatch=True), max_size=10),
)
def test_an_order_survives_the_way_to_the_coordinator(tasks: list[str], quorum: float, labels: list[str]) -> None:
    order = an_order(tasks=tuple(tasks), quorum=quorum, labels=tuple(labels))
    assert Order.from_event(json.loads(json.dumps(order.as_event()))) == order


@given(st.floats(0, 1), st.booleans())
def test_a_session_item_survives_the_table(quorum: float, running: bool) -> None:
    item = SessionItem.of(an_order(quorum=quorum, labels=("a", "b")), digest="d", model="m")
    if running:
        item = item.model_copy(update={"execution_arn": "arn:e", "updated_ms": 2, "status": SessionStatus.RUNNING})
    assert SessionItem.read(item.as_item()) == item


def test_a_session_item_carries_its_unit_and_the_name_that_the_first_release_reads() -> None:
    item = SessionItem.of(an_order(budget_nusd=7), digest="d", model="m").as_item()
    assert (item["budget_nusd"], item["budget"]) == (7, 7)
    assert set(RELEASED["items"]["session"]) <= set(item)


class LaterOrder(Order):
    """Order of the release after this one, with one optional member more."""

    priority: int = 0


def test_a_release_with_one_more_optional_member_reads_the_orders_of_this_one() -> None:
    order = an_order(labels=("a",))
    assert LaterOrder.from_event(order.as_event()).priority == 0
    later = LaterOrder(**{**order.model_dump(), "priority": 3})
    assert Order.from_event(later.as_event()) == order


# -- a deployment under running sessions -------------------------------------------------------------------------------


class Table:
    """DynamoDB with the items of release 0.1.0, as its client answers."""

    def __init__(self) -> None:
        self.live = RELEASED["items"]["running_session"]
        self.executions: list[str] = []

    def get_item(self, *, Key: dict[str, Any], **_: Any) -> dict[str, Any]:  # noqa: N803  botocore's name
        items = RELEASED["items"].values()
        found = [item for item in items if (item["pk"], item["sk"]) == (Key["pk"], Key["sk"])]
        return {"Item": found[-1]} if found else {}

    def get_paginator(self, _: str) -> Table:
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        return [{"Items": [self.live]}]

    def transact_write_items(self, *, TransactItems: list[dict[str, Any]], **_: Any) -> None:  # noqa: N803
        self.executions += [str(request) for request in TransactItems]


class Executions:
    def __init__(self) -> None:
        self.resumed: list[Order] = []

    def start(self, order: Order) -> str:
        raise AssertionError("the session was started before")

    def wrap_up(self, order: Order) -> str:
        raise AssertionError("the session is not lost")

    def resume(self, order: Order) -> str:
        self.resumed.append(order)
        return "arn:second"

    def has_ended(self, execution_arn: str) -> bool:
        return True


class Log:
    def __init__(self) -> None:
        self.events: list[str] = []

    def info(self, event: str, **fields: Any) -> None:
        self.events.append(event)

    def warning(self, event: str, **fields: Any) -> None:
        self.events.append(event)


def test_the_watchdog_of_this_release_keeps_a_session_of_the_one_before_alive() -> None:
    table, executions, log = Table(), Executions(), Log()
    deps = WatchdogDeps(
        now_ms=lambda: CREATED_MS + 2_000_000,
        store=SessionStore(dynamodb=table, table="sessions"),
        executions=executions,
        measure=lambda _: None,
        log=log,
        stuck_ms=60_000,
    )
    assert SessionWatchdog(deps).run() == {"fine": 0, "unstarted": 0, "stuck": 1, "lost": 0}
    assert executions.resumed == [Order.from_event(RELEASED["order"])]
    assert log.events == ["session stuck"], "and not 'session without an order'"


@pytest.mark.parametrize("value", [{"S": "team"}, {"L": [{"N": "1"}]}, {"BOOL": True}])
def test_an_item_with_a_wrong_member_is_told_and_holds_up_no_other(value: dict[str, Any]) -> None:
    class Mixed(Table):
        def paginate(self, **_: Any) -> list[dict[str, Any]]:
            return [{"Items": [{**self.live, "pk": {"S": "broken"}, "labels": value}, self.live]}]

    told: list[str] = []
    store = SessionStore(dynamodb=Mixed(), table="sessions")
    sessions = list(store.live_sessions(lambda session_id, error: told.append(f"{session_id}: {error}")))
    assert [session.session_id for session in sessions] == ["released-1"]
    assert len(told) == 1
    assert told[0].startswith("broken: SessionItem: labels")


@pytest.mark.parametrize("member", ["created_ms", "deadline_ms", "updated_ms", "ended_ms"])
@pytest.mark.parametrize("time_ms", ["1E+30", "253402300800000", "-1"])
def test_a_time_that_no_calendar_has_is_a_bad_member_and_not_an_overflow_in_the_list(member: str, time_ms: str) -> None:
    with pytest.raises(BadShapeError, match=f"SessionItem: {member}: input should be"):
        SessionItem.read(plain({**RELEASED["items"]["running_session"], member: {"N": time_ms}}))


@pytest.mark.parametrize("event", ["{", "[]", "null", "3"])
def test_a_stored_order_that_is_none_is_told_as_such(event: str) -> None:
    class Broken(Table):
        def get_item(self, **_: Any) -> dict[str, Any]:
            return {"Item": {**RELEASED["items"]["order"], "event": {"S": event}}}

    with pytest.raises(BadShapeError, match=r"^Order: "):
        SessionStore(dynamodb=Broken(), table="sessions").order("released-1")


def test_labels_of_a_later_release_that_this_one_would_refuse_are_read_after_a_rollback() -> None:
    labels = {"L": [{"S": "with a blank, and longer than thirty-two letters"}] * 11}
    item = plain({**RELEASED["items"]["running_session"], "labels": labels})
    assert len(SessionItem.read(item).labels) == 11


@pytest.mark.parametrize("change", [{"attempt": {"S": "0"}}, {"status": {"S": "ODD"}}, {"agent": {"N": "1"}}])
def test_a_row_without_the_shape_of_a_result_is_a_task_without_evidence(change: dict[str, Any]) -> None:
    class Forged(Table):
        def get_item(self, **_: Any) -> dict[str, Any]:
            return {"Item": {**RELEASED["items"]["task_done"], **change}}

        def paginate(self, **_: Any) -> list[dict[str, Any]]:
            return [{"Items": [{**RELEASED["items"]["task_done"], **change}]}]

    store = SessionStore(dynamodb=Forged(), table="sessions")
    expected = TaskResult(task_id="t0001", agent="", attempt=0, status=TaskStatus.FAILED, reason="bad-evidence")
    assert store.task("released-1", "t0001") == expected
    assert list(store.tasks("released-1")) == [expected]


def test_an_order_that_this_release_cannot_read_ends_no_session() -> None:
    """Such a session is left to a person, and stays live: without an order it would be ended without a report."""

    class Unreadable(Table):
        def get_item(self, *, Key: dict[str, Any], **more: Any) -> dict[str, Any]:  # noqa: N803  botocore's name
            item = super().get_item(Key=Key, **more)["Item"]
            return {"Item": {**item, "event": {"S": json.dumps({**RELEASED["order"], "order": 2})}}}

    table, executions, log = Unreadable(), Executions(), Log()
    for now_ms in (CREATED_MS + 2_000_000, RELEASED["order"]["deadline_ms"] + 1_000_000):
        deps = WatchdogDeps(
            now_ms=lambda now_ms=now_ms: now_ms,
            store=SessionStore(dynamodb=table, table="sessions"),
            executions=executions,
            measure=lambda _: None,
            log=log,
            stuck_ms=60_000,
        )
        with pytest.raises(BadShapeError, match="version 2"):
            SessionWatchdog(deps).run()
    assert (table.executions, executions.resumed) == ([], [])


@pytest.mark.parametrize("request_", [RELEASED["request"], *RELEASED["requests"]], ids=lambda r: r["body"])
def test_a_clients_retry_across_the_deployment_is_the_same_request(request_: dict[str, str]) -> None:
    assert requests.new_session(request_["body"]).digest() == request_["digest"]


@pytest.mark.parametrize("released", RELEASED["coordinator_events"], ids=lambda event: str(sorted(event)[-1]))
def test_a_start_that_is_repeated_by_this_release_has_the_same_payload(released: dict[str, Any]) -> None:
    """Lambda refuses another payload under the name of an execution (Lambda Developer Guide, "Idempotency")."""
    assert json.dumps(CoordinatorEvent.from_event(released).as_event()) == json.dumps(released)


@pytest.mark.parametrize("mode", ExecutionMode)
def test_executions_keep_their_names_so_that_no_deployment_starts_a_session_twice(mode: ExecutionMode) -> None:
    names = RELEASED["execution_names"]
    assert execution_name(names["coordinator_arn"], "released-1", mode) == names[mode.value]


def test_a_callback_keeps_its_message_id_so_that_a_request_that_is_published_again_is_one_message() -> None:
    assert message_id_of(RELEASED["message_id"]["callback_id"]) == RELEASED["message_id"]["message_id"]


def test_statuses_are_written_as_the_first_release_wrote_them() -> None:
    assert {str(status) for status in TaskStatus} == {"DONE", "FAILED", "SKIPPED"}
    assert ITEMS["task_done"]["status"] == TaskStatus.DONE
