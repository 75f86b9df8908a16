"""The API's operations, with plain functions for the world."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from infrafabric.api import service
from infrafabric.api.problems import ProblemError
from infrafabric.api.service import Answer, ApiDeps
from infrafabric.swarm.report import evidence
from infrafabric.swarm.session import Order, Status, TaskResult, report_key, result_key
from infrafabric.swarm.store import SessionExistsError

NOW = 1_800_000_000_000
GRACE_MS = 300_000


@dataclass
class World:
    """The table and the bucket as plain values; ``started`` are the orders that coordinators got."""

    now_ms: int = NOW
    no_key: str = ""
    cannot_start: bool = False
    items: dict[str, dict[str, Any]] = field(default_factory=dict)
    orders: dict[str, Order] = field(default_factory=dict)
    rows: list[TaskResult] = field(default_factory=list)
    objects: dict[str, bytes] = field(default_factory=dict)
    started: list[Order] = field(default_factory=list)
    wrapped_up: list[str] = field(default_factory=list)
    planned: list[str] = field(default_factory=list)

    def create(self, order: Order, *, digest: str, model: str) -> dict[str, Any]:
        if order.session_id in self.items:
            raise SessionExistsError(self.items[order.session_id])
        self.orders[order.session_id] = order
        self.items[order.session_id] = {
            "pk": order.session_id, "status": "PENDING", "reason": "", "digest": digest, "model": model,
            "created_ms": order.created_ms, "deadline_ms": order.deadline_ms, "quorum": str(order.quorum),
            "budget": order.budget_nusd, "spent": 5, "tasks_total": len(order.tasks), "tasks_done": 0,
            "tasks_failed": 0,
        }  # fmt: skip
        return dict(self.items[order.session_id])

    def order(self, session_id: str) -> Order:
        return self.orders[session_id]

    def texts(self, order: Order) -> list[str]:
        return list(order.tasks) or self.planned

    def get(self, session_id: str) -> dict[str, Any] | None:
        found = self.items.get(session_id)
        return dict(found) if found else None

    def end(self, session_id: str, status: Status, *, reason: str) -> bool:
        item = self.items[session_id]
        if Status(item["status"]).final:
            return False
        item.update(status=str(status), reason=reason)
        return True

    def note_execution(self, session_id: str, execution_arn: str) -> None:
        self.items[session_id]["execution_arn"] = execution_arn

    def listed(self, *, limit: int, after: Any) -> tuple[list[dict[str, Any]], None]:
        return [dict(item) for item in self.items.values()][:limit], None

    def tasks(self, session_id: str) -> list[TaskResult]:
        return self.rows

    def start(self, order: Order) -> str:
        if self.cannot_start:
            raise ConnectionError("Lambda is away")
        self.started.append(order)
        return "arn:execution"

    def wrap_up(self, order: Order) -> str:
        self.wrapped_up.append(order.session_id)
        return "arn:wrap-up"

    def deps(self) -> ApiDeps:
        return ApiDeps(
            now_ms=lambda: self.now_ms,
            store=cast(Any, self),
            start=self.start,
            wrap_up=self.wrap_up,
            fetch=self.objects.get,
            find_all=lambda keys: [self.objects.get(key) for key in keys],
            missing_key=lambda: self.no_key,
            fleet=10,
            model="m",
        )

    def post(self, **body: Any) -> Answer:
        return service.create(json.dumps(body), self.deps())

    def read(self, session_id: str = "s1") -> Any:
        return service.read(session_id, self.deps()).document

    def report(self, session_id: str = "s1") -> Any:
        return service.report(session_id, self.deps()).document


SECOND = b'{"task": "second", "findings": [{"text": "fact", "confidence": 0.5, "sources": []}]}'
KEY = result_key("s1", "h01", "t0002", 0)
DONE = TaskResult(
    task_id="t0002", agent="h01", attempt=0, status="DONE", s3_key=KEY, evidence_hash=evidence(SECOND)
)  # fmt: skip


def test_a_session_is_written_started_and_found() -> None:
    world = World()
    answer = world.post(session_id="s1", tasks=["a"])
    assert (answer.status, answer.document) == (202, {"session_id": "s1", "status": "PENDING"})
    assert answer.headers["Location"] == "sessions/s1"
    assert [order.tasks for order in world.started] == [("a",)]
    assert world.read()["tasks"] == {"total": 1, "done": 0, "failed": 0}


def test_the_same_request_again_starts_nothing_twice() -> None:
    world = World()
    world.post(session_id="s1", tasks=["a"])
    assert world.post(session_id="s1", tasks=["a"]).status == 200
    assert len(world.started) == 1


def test_a_repeat_starts_what_the_first_request_could_not_with_the_first_ones_deadline() -> None:
    world = World(cannot_start=True)
    with pytest.raises(ConnectionError):
        world.post(session_id="s1", tasks=["a"])
    world.cannot_start, world.now_ms = False, NOW + 60_000
    assert world.post(session_id="s1", tasks=["a"]).status == 200
    assert [order.created_ms for order in world.started] == [NOW]


def test_another_request_with_the_same_id_is_a_conflict() -> None:
    world = World()
    world.post(session_id="s1", tasks=["a"])
    with pytest.raises(ProblemError) as conflict:
        world.post(session_id="s1", tasks=["b"])
    assert (conflict.value.status, conflict.value.slug) == (409, "session-exists")
    assert world.orders["s1"].tasks == ("a",)


def test_without_the_models_key_no_session_is_started() -> None:
    world = World(no_key="store the key")
    with pytest.raises(ProblemError, match="store the key") as refused:
        world.post(session_id="s1", tasks=["a"])
    assert refused.value.status == 503
    assert not world.items


@pytest.mark.parametrize("session_id", ["nobody", "../etc", "🚤" * 512, "", "S1", "\ud83d"])
def test_what_is_no_session_is_not_found(session_id: str) -> None:
    for operation in (service.read, service.report, service.cancel):
        with pytest.raises(ProblemError) as unknown:
            operation(session_id, World().deps())
        assert (unknown.value.status, unknown.value.slug) == (404, "unknown-session")
        assert len(unknown.value.document().encode()) < 1_000


def test_a_report_is_not_to_be_had_before_the_end() -> None:
    world = World()
    world.post(session_id="s1", tasks=["a"])
    with pytest.raises(ProblemError) as early:
        world.report()
    assert (early.value.status, early.value.headers) == (409, {"Retry-After": "5"})


def test_a_report_is_what_the_coordinator_stored() -> None:
    world = World()
    world.post(session_id="s1", tasks=["a"])
    world.items["s1"]["status"] = "COMPLETE"
    world.objects[report_key("s1")] = b'{"summary": "all"}'
    assert world.report() == {"summary": "all"}


@pytest.mark.parametrize("mark", ['"', "é", "\\"])
def test_a_report_that_no_answer_of_lambda_holds_is_said_to_lie_in_the_bucket(mark: str) -> None:
    def answer(length: int) -> Any:
        world = World()
        world.post(session_id="s1", tasks=["a"])
        world.items["s1"]["status"] = "COMPLETE"
        world.objects[report_key("s1")] = json.dumps({"summary": mark * length}).encode()
        return world.report()

    each = len(json.dumps(json.dumps(mark, ensure_ascii=False), ensure_ascii=False).encode()) - 6
    assert answer(service.LARGEST_ANSWER_BYTES // each - 20)
    with pytest.raises(ProblemError, match=r"lies, below sessions/\w\w/s1/ in") as large:
        answer(service.LARGEST_ANSWER_BYTES // each + 1)
    assert (large.value.status, large.value.slug) == (413, "report-too-large")


def test_cancelling_is_idempotent_and_does_not_undo_an_end() -> None:
    world = World()
    world.post(session_id="s1", tasks=["a"])
    for _ in range(2):
        assert service.cancel("s1", world.deps()).document["status"] == "CANCELLED"
    world.items["s1"]["status"] = "COMPLETE"
    assert service.cancel("s1", world.deps()).document["status"] == "COMPLETE"


def test_a_cancelled_session_shows_what_its_agents_had_stored() -> None:
    world = World(rows=[DONE, replace(DONE, task_id="t0003", status="FAILED", reason="silent")])
    world.objects[KEY] = SECOND
    world.post(session_id="s1", tasks=["a", "b", "c"])
    service.cancel("s1", world.deps())
    report = world.report()
    assert report["status"] == "CANCELLED"
    assert [(row["task"], row["status"]) for row in report["results"]] == [
        ("a", "SKIPPED"),
        ("b", "DONE"),
        ("c", "FAILED"),
    ]
    assert [finding["text"] for finding in report["findings"]] == ["fact"]


def test_planned_tasks_of_a_session_without_a_report_have_their_texts_from_the_plan() -> None:
    world = World(rows=[DONE], planned=["first", "second"])
    world.objects[KEY] = SECOND
    world.post(session_id="s1", goal="g")
    service.cancel("s1", world.deps())
    rows = [(row["task"], row["status"]) for row in world.report()["results"]]
    assert rows == [("first", "SKIPPED"), ("second", "DONE")]


def test_what_a_lost_session_left_is_shown_as_far_as_it_is_what_its_rows_stand_for() -> None:
    world = World(rows=[DONE])
    world.post(session_id="s1", tasks=["a", "b"])
    service.cancel("s1", world.deps())
    for there in ({}, {KEY: SECOND + b" "}):
        world.objects = dict(there)
        assert [row["status"] for row in world.report()["results"]] == ["SKIPPED", "FAILED"]
        assert world.report()["findings"] == []


@pytest.mark.parametrize(("tasks_done", "status"), [(0, "FAILED"), (1, "PARTIAL"), (2, "COMPLETE")])
def test_a_session_that_lost_its_coordinator_is_ended_by_whoever_looks(tasks_done: int, status: str) -> None:
    world = World()
    world.post(session_id="s1", tasks=["a", "b"])
    world.items["s1"].update(status="RUNNING", tasks_done=tasks_done)
    world.now_ms = world.items["s1"]["deadline_ms"] + GRACE_MS
    assert world.read()["status"] == "RUNNING"
    world.now_ms += 1
    (listed,) = service.listing({}, world.deps()).document["sessions"]
    assert world.wrapped_up == [], "a page of a hundred would start a hundred executions while the gateway waits"
    assert listed["status"] == world.read()["status"] == status
    assert "coordinator was lost" in listed["reason"]
    assert listed == world.read(), "it ended as it was listed"
    assert world.wrapped_up == ["s1"], "a second execution reports on it, and is asked for once"
