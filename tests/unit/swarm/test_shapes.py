"""Shapes that are stored or that travel: a release with one optional member more reads those of the release before.

``tests/fixtures/release-0.2.0.json`` holds what release 0.2.0 stores and sends, made once by its code: never edit it.
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
from infrafabric.swarm.shapes.attempt import Attempt
from infrafabric.swarm.shapes.cancel import Cancel
from infrafabric.swarm.shapes.coordinator_event import CoordinatorEvent, ExecutionMode, RoundOrder
from infrafabric.swarm.shapes.model_call import ModelCall
from infrafabric.swarm.shapes.order import Order
from infrafabric.swarm.shapes.records import AttemptRows, AttemptsRecord, SessionRecord, TaskRecord
from infrafabric.swarm.shapes.result import TaskResult
from infrafabric.swarm.shapes.round import RoundPart
from infrafabric.swarm.shapes.session_item import SessionItem
from infrafabric.swarm.shapes.shape import BadShapeError, OnUnreadable, Shape
from infrafabric.swarm.shapes.task import Task
from infrafabric.swarm.status import SessionStatus, TaskStatus
from infrafabric.swarm.task_board import message_id_of
from infrafabric.swarm.watchdog import SessionWatchdog, WatchdogDeps
from tests.unit.swarm.orders import an_order

RELEASED: dict[str, Any] = json.loads((Path(__file__).parents[2] / "fixtures" / "release-0.2.0.json").read_text())
ITEMS = {name: plain(item) for name, item in RELEASED["items"].items()}
EVENTS: list[dict[str, Any]] = RELEASED["coordinator_events"]
ORDER = Order.from_event(RELEASED["order"])
KEY = ORDER.key

READ: dict[str, tuple[Callable[[Mapping[str, Any]], Any], Mapping[str, Any]]] = {
    "order": (Order.from_event, RELEASED["order"]),
    "order of a goal": (Order.from_event, RELEASED["order_of_a_goal"]),
    "part of a round": (RoundOrder.read, EVENTS[3]["round"]),
    "attempt": (Attempt.read, RELEASED["attempt"]),
    "task": (Task.read, RELEASED["task"]),
    "cancel": (Cancel.read, RELEASED["cancel"]),
    "task record": (TaskRecord.read, RELEASED["task_record"]),
    "attempts record": (AttemptsRecord.read, RELEASED["attempts_record"]),
    "attempt rows": (AttemptRows.read, RELEASED["attempt_rows"]),
    "session record": (SessionRecord.read, RELEASED["session_record"]),
    "session": (SessionItem.read, ITEMS["session"]),
    "running session": (SessionItem.read, ITEMS["running_session"]),
    "cancelled session": (SessionItem.read, ITEMS["cancelled_session"]),
    "ended session": (SessionItem.read, ITEMS["ended_session"]),
    "round": (RoundPart.read, ITEMS["round"]),
    "settled round": (RoundPart.read, ITEMS["settled_round"]),
    "result": (TaskResult.read, ITEMS["settled_round"]["results"][0]),
    "noted call": (ModelCall.read, ITEMS["noted_call"]),
    "call": (ModelCall.read, ITEMS["call"]),
}
NOT_MEMBERS = {"pk", "sk", "at_ms", "expires_at", "order"}  # of an item and of an event, around the shape
SHAPES = sorted({type(read(released)) for read, released in READ.values()}, key=lambda shape: shape.__name__)


def read_of(name: str) -> Shape:
    read, released = READ[name]
    return read(released)


def written(shape: Shape) -> dict[str, Any]:
    return shape.as_item() if isinstance(shape, SessionItem) else shape.write()


def agrees(value: Any, released: Any) -> bool:
    """Tell whether a value has all that was released; a member at its default may be left out."""
    if isinstance(value, dict):
        return all(agrees(inner, released[name]) for name, inner in value.items() if name in released)
    if isinstance(value, list):
        return len(value) == len(released) and all(map(agrees, value, released))
    return value == released


@pytest.mark.parametrize("name", READ)
def test_every_shape_of_the_release_is_read_with_each_of_its_values(name: str) -> None:
    released = READ[name][1]
    assert released.keys() - written(read_of(name)).keys() <= NOT_MEMBERS, "a shape loses no member"
    assert agrees(written(read_of(name)), released)


@pytest.mark.parametrize("name", READ)
def test_a_member_of_a_later_release_is_ignored(name: str) -> None:
    read, released = READ[name]
    assert read({**released, "of_a_later_release": {"a": 1}}) == read(released)


@pytest.mark.parametrize("shape", SHAPES)
def test_writing_is_strict(shape: type[Shape]) -> None:
    for members in ({"misspelled": 1}, {name: object() for name in shape.model_fields}):
        with pytest.raises(ValueError, match=shape.__name__):
            shape(**members)


@pytest.mark.parametrize("name", READ)
def test_a_member_that_is_missing_takes_its_default_or_is_named(name: str) -> None:
    read, released = READ[name]
    for member, field in type(read_of(name)).model_fields.items():
        others = {key: value for key, value in released.items() if key != member}
        if field.is_required():
            with pytest.raises(BadShapeError, match=rf"^\w+: {member} is missing$"):
                read(others)
        else:
            assert getattr(read(others), member) == field.get_default(call_default_factory=True)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"session_id": None}, "Task: session_id: input should be a valid string"),
        ({"attempt": "0"}, "Task: attempt: input should be a valid integer"),
        ({"attempt": True}, "Task: attempt: input should be a valid integer"),
        ({"text": {"secret": 1}}, "Task: text: input should be a valid string"),
    ],
)
def test_what_has_another_shape_is_refused_with_the_members_name_and_without_its_value(
    changes: dict[str, Any], problem: str
) -> None:
    with pytest.raises(BadShapeError) as refused:
        Task.read({**RELEASED["task"], **changes})
    assert str(refused.value) == problem


def test_the_events_of_the_release_start_resume_and_wrap_up_a_session_and_run_a_part_of_a_round() -> None:
    events = [CoordinatorEvent.from_event(event) for event in EVENTS]
    assert [event.mode for event in events] == [
        ExecutionMode.START,
        ExecutionMode.RESUME,
        ExecutionMode.WRAP_UP,
        ExecutionMode.START,
    ]
    assert [event.round_order for event in events[:3]] == [None] * 3
    round_order = events[3].round_order
    assert round_order is not None
    assert (round_order.number, round_order.part, round_order.texts) == (1, 1, (ORDER.tasks[0],))
    assert round_order.attempts[0].name == "t0001.1"
    assert (events[3].order.tasks, events[3].order.key) == ((), KEY), "a part has its own texts"


@pytest.mark.parametrize("version", [1, 3, None, "2"])
def test_an_order_of_another_version_is_no_missing_order(version: object) -> None:
    with pytest.raises(BadShapeError, match=f"Order: version {version!r}: this release reads version 2"):
        Order.from_event({**RELEASED["order"], "order": version})


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


def test_a_session_item_has_the_members_of_its_order() -> None:
    item, order = SessionItem.of(an_order(labels=("a",)), digest="d", model="m"), an_order(labels=("a",))
    shared = set(Order.model_fields) & set(SessionItem.model_fields)
    assert {"owner", "home", "epoch", "budget_nusd"} <= shared
    assert {name: getattr(item, name) for name in shared} == {name: getattr(order, name) for name in shared}


def test_the_attempts_of_a_round_without_a_believed_result_are_open() -> None:
    part = RoundPart.read(ITEMS["round"])
    assert part.open_attempts() == list(part.attempts)
    settled = RoundPart.read(ITEMS["settled_round"])
    assert settled.open_attempts() == []
    assert settled.model_copy(update={"results": settled.results[1:]}).open_attempts() == [part.attempts[0]]


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
    """DynamoDB with the items of the release, as its client answers."""

    def __init__(self) -> None:
        self.live = RELEASED["items"]["running_session"]
        self.updates: list[str] = []

    def get_item(self, *, Key: dict[str, Any], **_: Any) -> dict[str, Any]:  # noqa: N803  botocore's name
        items = RELEASED["items"].values()
        found = [item for item in items if (item["pk"], item["sk"]) == (Key["pk"], Key["sk"])]
        return {"Item": found[-1]} if found else {}

    def get_paginator(self, _: str) -> Table:
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        return [{"Items": [self.live]}]

    def update_item(self, *, UpdateExpression: str, **_: Any) -> None:  # noqa: N803
        self.updates.append(UpdateExpression)


def fail(where: str, error: BadShapeError) -> None:
    raise AssertionError(f"{where}: {error}")


def store_of(table: Table, on_unreadable: OnUnreadable = fail) -> SessionStore:
    return SessionStore(dynamodb=table, table="sessions", home="us-west-2", on_unreadable=on_unreadable)


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


def watchdog(table: Table, executions: Executions, log: Log, now_ms: int) -> SessionWatchdog:
    deps = WatchdogDeps(
        now_ms=lambda: now_ms,
        store=store_of(table),
        executions=executions,
        measure=lambda _: None,
        log=log,
        stuck_ms=60_000,
    )
    return SessionWatchdog(deps)


def test_the_watchdog_keeps_a_stored_session_alive() -> None:
    table, executions, log = Table(), Executions(), Log()
    counts = watchdog(table, executions, log, ORDER.created_ms + 2_000_000).run()
    assert counts == {"fine": 0, "unstarted": 0, "stuck": 1, "lost": 0}
    assert executions.resumed == [ORDER]
    assert table.updates == ["SET execution_arn = :arn"]
    assert log.events == ["session stuck"], "and not 'session without an order'"


@pytest.mark.parametrize("value", [{"S": "team"}, {"L": [{"N": "1"}]}, {"BOOL": True}])
def test_an_item_with_a_wrong_member_is_told_and_holds_up_no_other(value: dict[str, Any]) -> None:
    class Mixed(Table):
        def paginate(self, **_: Any) -> list[dict[str, Any]]:
            return [{"Items": [{**self.live, "pk": {"S": "broken"}, "labels": value}, self.live]}]

    told: list[str] = []
    sessions = list(store_of(Mixed()).live_sessions(lambda where, error: told.append(f"{where}: {error}")))
    assert [session.key for session in sessions] == [KEY]
    assert len(told) == 1
    assert told[0].startswith("broken: SessionItem: labels")


@pytest.mark.parametrize("member", ["created_ms", "deadline_ms", "updated_ms", "cancelled_ms", "ended_ms"])
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
        store_of(Broken()).order(KEY)


def test_labels_of_a_later_release_that_this_one_would_refuse_are_read_after_a_rollback() -> None:
    labels = {"L": [{"S": "with a blank, and longer than thirty-two letters"}] * 11}
    item = plain({**RELEASED["items"]["running_session"], "labels": labels})
    assert len(SessionItem.read(item).labels) == 11


@pytest.mark.parametrize("change", [{"number": {"S": "0"}}, {"attempts": {"L": [{"M": {}}]}}, {"settled": {"N": "1"}}])
def test_a_part_of_a_round_that_cannot_be_read_is_told_and_left_out(change: dict[str, Any]) -> None:
    class Odd(Table):
        def paginate(self, **_: Any) -> list[dict[str, Any]]:
            settled = RELEASED["items"]["settled_round"]
            return [{"Items": [{**settled, **change}, settled]}]

    told: list[str] = []
    rounds = store_of(Odd(), lambda where, error: told.append(f"{where}: {error}")).rounds(KEY)
    assert rounds == [RoundPart.read(ITEMS["settled_round"])]
    (text,) = told
    assert text.startswith(f"{KEY.partition} ROUND#0000#0000: RoundPart: {next(iter(change))}")


def test_an_order_that_this_release_cannot_read_ends_no_session() -> None:
    """Such a session is left to a person, and stays live: without an order it would be ended without a report."""

    class Unreadable(Table):
        def get_item(self, *, Key: dict[str, Any], **more: Any) -> dict[str, Any]:  # noqa: N803  botocore's name
            item = super().get_item(Key=Key, **more)["Item"]
            return {"Item": {**item, "event": {"S": json.dumps({**RELEASED["order"], "order": 3})}}}

    table, executions, log = Unreadable(), Executions(), Log()
    for now_ms in (ORDER.created_ms + 2_000_000, ORDER.deadline_ms + 1_000_000):
        with pytest.raises(BadShapeError, match="version 3"):
            watchdog(table, executions, log, now_ms).run()
    assert (table.updates, executions.resumed) == ([], [])


@pytest.mark.parametrize("request_", [RELEASED["request"], *RELEASED["requests"]], ids=lambda r: r["body"])
def test_a_clients_retry_across_the_deployment_is_the_same_request(request_: dict[str, str]) -> None:
    assert requests.new_session(request_["body"]).digest() == request_["digest"]


@pytest.mark.parametrize("released", EVENTS, ids=lambda event: str(sorted(event)[-1]))
def test_a_start_that_is_repeated_by_this_release_has_the_same_payload(released: dict[str, Any]) -> None:
    """Lambda refuses another payload under the name of an execution (Lambda Developer Guide, "Idempotency")."""
    assert json.dumps(CoordinatorEvent.from_event(released).as_event()) == json.dumps(released)


@pytest.mark.parametrize("mode", ExecutionMode)
def test_executions_keep_their_names_so_that_no_deployment_starts_a_session_twice(mode: ExecutionMode) -> None:
    names = RELEASED["execution_names"]
    assert execution_name(names["coordinator_arn"], KEY, mode) == names[mode.value]


def test_an_attempt_keeps_its_message_id_so_that_a_request_that_is_published_again_is_one_message() -> None:
    released = RELEASED["message_id"]
    assert message_id_of(released["secret"], KEY, released["task_id"], released["number"]) == released["message_id"]


def test_an_attempt_keeps_its_place_so_that_a_later_release_finds_its_result() -> None:
    assert Attempt.read(RELEASED["attempt"]).place(KEY) == RELEASED["task"]["place"]


def test_statuses_are_written_as_the_release_wrote_them() -> None:
    assert {str(status) for status in TaskStatus} == {"DONE", "FAILED", "SKIPPED"}
    assert [result["status"] for result in ITEMS["settled_round"]["results"]] == [TaskStatus.DONE, TaskStatus.FAILED]
