"""Operations of the API with fakes for their side effects."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from infrafabric.api.owners import Operator, Owner
from infrafabric.api.problems import ProblemError
from infrafabric.api.service import ApiDeps, Response, SessionService
from infrafabric.environment import SpendLimits
from infrafabric.swarm.daily_cap import CapUse, OverDailyCapError
from infrafabric.swarm.object_keys import report_key
from infrafabric.swarm.session_errors import SessionExistsError
from infrafabric.swarm.session_ids import internal_id
from infrafabric.swarm.session_key import SessionKey
from infrafabric.swarm.shapes.order import Order
from infrafabric.swarm.shapes.result import TaskResult
from infrafabric.swarm.shapes.round import RoundPart
from infrafabric.swarm.shapes.session_item import Progress, SessionItem
from infrafabric.swarm.shapes.shape import BadShapeError, OnUnreadable
from infrafabric.swarm.status import SessionStatus, TaskStatus
from tests.unit.swarm.orders import KEY

NOW = 1_800_000_000_000
ME = Owner(name="default", limits=SpendLimits(max_budget_usd=10, daily_cap_usd=25))
S1 = internal_id("s1", "default")
K1 = KEY._replace(session_id=S1)
UNREADABLE = BadShapeError("SessionItem", "labels: input should be a valid tuple")
GRACE_MS = 300_000


@dataclass
class World:
    """State of the fakes; ``started`` are the orders that coordinators received."""

    now_ms: int = NOW
    missing_key: str = ""
    lambda_is_down: bool = False
    sessions: dict[str, SessionItem] = field(default_factory=dict)
    orders: dict[str, Order] = field(default_factory=dict)
    parts: list[RoundPart] = field(default_factory=list)
    objects: dict[str, bytes] = field(default_factory=dict)
    use: CapUse = field(default_factory=CapUse)
    started: list[Order] = field(default_factory=list)
    wrapped_up: list[str] = field(default_factory=list)
    planned: list[str] = field(default_factory=list)
    woken: list[str] = field(default_factory=list)
    unreadable: set[str] = field(default_factory=set)
    unreadable_orders: bool = False
    events: list[tuple[str, str]] = field(default_factory=list)

    def change(self, session_id: str = S1, **changes: Any) -> None:
        self.sessions[session_id] = self.sessions[session_id].model_copy(update=changes)

    @property
    def service(self) -> SessionService:
        deps = ApiDeps(
            now_ms=lambda: self.now_ms,
            store=_Store(self),
            executions=_Executions(self),
            objects=_Objects(self),
            missing_key=lambda: self.missing_key,
            fleet=10,
            model="m",
            homes=[KEY.home],
            log=_Log(self),
        )
        return SessionService(deps)

    def post(self, **body: Any) -> Response:
        return self.service.create(ME, json.dumps(body))

    def read(self, session_id: str = "s1") -> Any:
        return self.service.read(ME, session_id).document

    def report(self, session_id: str = "s1") -> Any:
        return self.service.report(ME, session_id).document


@dataclass
class _Store:
    """Sessions table."""

    world: World

    def create(self, order: Order, *, digest: str, model: str, cap_nusd: int) -> SessionItem:
        if order.session_id in self.world.sessions:
            raise SessionExistsError(self.world.sessions[order.session_id])
        if order.budget_nusd > cap_nusd - self.world.use.total_nusd:
            raise OverDailyCapError(self.world.use)
        self.world.orders[order.session_id] = order
        session = SessionItem.of(order, digest=digest, model=model)
        self.world.sessions[order.session_id] = session
        return session

    def order(self, key: SessionKey) -> Order:
        if self.world.unreadable_orders:
            raise BadShapeError("Order", "version 3: this release reads version 2")
        return self.world.orders[key.session_id]

    def task_texts(self, order: Order) -> list[str]:
        return list(order.tasks) or self.world.planned

    def get(self, key: SessionKey) -> SessionItem | None:
        assert key == KEY._replace(session_id=key.session_id)
        if key.session_id in self.world.unreadable:
            raise UNREADABLE
        return self.world.sessions.get(key.session_id)

    def end(self, session: SessionItem) -> bool:
        raise AssertionError("the API ends no session: the coordinator does")

    def cancel(self, key: SessionKey, *, reason: str) -> bool:
        session = self.world.sessions[key.session_id]
        if not session.status.final:
            cancelled_ms = session.cancelled_ms or self.world.now_ms
            self.world.change(key.session_id, cancelled_ms=cancelled_ms, cancel_reason=reason)
        return not session.status.final

    def note_execution(self, key: SessionKey, execution_arn: str) -> None:
        self.world.change(key.session_id, execution_arn=execution_arn)

    def list_sessions(
        self,
        *,
        limit: int,
        after: dict[str, Any] | None,
        unreadable: OnUnreadable,
        owner: str | None,
        label: str | None = None,
    ) -> tuple[list[SessionItem], None]:
        for session_id in self.world.unreadable:
            unreadable(session_id, UNREADABLE)
        owned = [item for item in self.world.sessions.values() if owner in (None, item.owner)]
        found = [item for item in owned if label is None or label in item.labels]
        return found[:limit], None

    def rounds(self, key: SessionKey) -> list[RoundPart]:
        return self.world.parts


@dataclass
class _Log:
    world: World

    def info(self, event: str, **fields: Any) -> None:
        self.warning(event, **fields)

    def warning(self, event: str, **fields: Any) -> None:
        self.world.events.append((event, fields["session_id"]))


@dataclass
class _Executions:
    world: World

    def start(self, order: Order) -> str:
        if self.world.lambda_is_down:
            raise ConnectionError("Lambda is down")
        self.world.started.append(order)
        return "arn:execution"

    def wrap_up(self, order: Order) -> str:
        self.world.wrapped_up.append(order.session_id)
        return "arn:wrap-up"

    def wake(self, callback_ids: Sequence[str]) -> None:
        self.world.woken += callback_ids


@dataclass
class _Objects:
    world: World

    def find(self, key: str) -> bytes | None:
        return self.world.objects.get(key)

    def get(self, key: str) -> bytes:
        return self.world.objects[key]


DONE = TaskResult(task_id="t0002", agent="h01", attempt=0, status=TaskStatus.DONE, s3_key="k", evidence_hash="h")
FAILED = DONE.model_copy(update={"task_id": "t0003", "status": TaskStatus.FAILED, "reason": "model-refusal"})
FINDINGS = {"t0002.0": [{"text": "fact", "confidence": 0.5, "sources": []}]}


def a_round(*results: TaskResult, **changes: Any) -> RoundPart:
    """Return a settled part of a round, whose findings lie in object ``found``."""
    return RoundPart(number=0, part=0, attempts=(), settled=True, results=results, findings_key="found", **changes)


def test_a_session_is_written_started_and_found() -> None:
    world = World()
    answer = world.post(session_id="s1", tasks=["a"])
    assert (answer.status, answer.document) == (202, {"session_id": "s1", "status": "PENDING"})
    assert answer.headers["Location"] == "sessions/s1"
    assert [order.tasks for order in world.started] == [("a",)]
    assert world.read()["tasks"] == {"total": 1, "done": 0, "failed": 0}


def test_labels_stand_in_the_session_the_list_and_the_report() -> None:
    world = World()
    world.post(session_id="s1", tasks=["a"], labels=["boats", "q4"])
    world.post(session_id="s2", tasks=["a"])
    assert world.read()["labels"] == ["boats", "q4"]
    listed = world.service.list(ME, {"label": "q4"}).document["sessions"]
    assert [session["session_id"] for session in listed] == ["s1"]
    world.change(status=SessionStatus.FAILED)
    assert world.report()["labels"] == ["boats", "q4"]


def test_the_same_request_again_starts_nothing_twice() -> None:
    world = World()
    world.post(session_id="s1", tasks=["a"])
    assert world.post(session_id="s1", tasks=["a"]).status == 200
    assert len(world.started) == 1


def test_a_repeat_starts_what_the_first_request_could_not_with_the_first_ones_deadline() -> None:
    world = World(lambda_is_down=True)
    with pytest.raises(ConnectionError):
        world.post(session_id="s1", tasks=["a"])
    world.lambda_is_down, world.now_ms = False, NOW + 60_000
    assert world.post(session_id="s1", tasks=["a"]).status == 200
    assert [order.created_ms for order in world.started] == [NOW]


def test_another_request_with_the_same_id_is_a_conflict() -> None:
    world = World()
    world.post(session_id="s1", tasks=["a"])
    with pytest.raises(ProblemError) as conflict:
        world.post(session_id="s1", tasks=["b"])
    assert (conflict.value.status, conflict.value.slug) == (409, "session-exists")
    assert world.orders[S1].tasks == ("a",)


def test_without_the_models_key_no_session_is_started() -> None:
    world = World(missing_key="store the key")
    with pytest.raises(ProblemError, match="store the key") as refused:
        world.post(session_id="s1", tasks=["a"])
    assert refused.value.status == 503
    assert not world.sessions


@pytest.mark.parametrize("session_id", ["nobody", "../etc", "🚤" * 512, "", "S1", "\ud83d"])
def test_what_is_no_session_is_not_found(session_id: str) -> None:
    service = World().service
    for operation in (service.read, service.report, service.cancel):
        with pytest.raises(ProblemError) as unknown:
            operation(ME, session_id)
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
    world.change(status=SessionStatus.COMPLETE)
    world.objects[report_key(K1)] = b'{"summary": "all"}'
    assert world.report() == {"session_id": "s1", "summary": "all"}


def test_cancelling_is_idempotent_and_does_not_undo_an_end() -> None:
    world = World()
    world.post(session_id="s1", tasks=["a"])
    for _ in range(2):
        cancelled = world.service.cancel(ME, "s1")
        assert (cancelled.status, cancelled.document["status"]) == (202, "CANCELLING")
    assert world.read()["status"] == "CANCELLING"
    world.change(status=SessionStatus.COMPLETE)
    assert world.service.cancel(ME, "s1").document["status"] == "COMPLETE"


def test_cancelling_wakes_the_executions_that_wait_for_answers() -> None:
    parts = [a_round(wake_id="ended"), a_round().model_copy(update={"settled": False, "wake_id": "waits"})]
    world = World(parts=[*parts, a_round().model_copy(update={"settled": False})])
    world.post(session_id="s1", tasks=["a"])
    world.service.cancel(ME, "s1")
    assert world.woken == ["waits"]
    world.change(status=SessionStatus.CANCELLED)
    world.service.cancel(ME, "s1")
    assert world.woken == ["waits"], "an ended session waits for nothing"


def test_a_session_that_ended_without_a_report_shows_what_the_coordinator_believed() -> None:
    world = World(parts=[a_round(DONE, FAILED)], objects={"found": json.dumps(FINDINGS).encode()})
    world.post(session_id="s1", tasks=["a", "b", "c"])
    world.change(status=SessionStatus.PARTIAL, reason="lost", spent_nusd=5 * 10**9, committed_nusd=10**9)
    report = world.report()
    assert (report["status"], report["cost_usd"], report["committed_usd"]) == ("PARTIAL", 5, 1)
    assert [(row["task"], row["status"]) for row in report["results"]] == [
        ("a", "SKIPPED"),
        ("b", "DONE"),
        ("c", "FAILED"),
    ]
    assert [(finding["text"], finding["agent"]) for finding in report["findings"]] == [("fact", "h01")]
    assert report["summary"] == "The session ended PARTIAL before a summary was written: lost."


def test_planned_tasks_of_a_session_without_a_report_have_their_texts_from_the_plan() -> None:
    world = World(parts=[a_round(DONE)], objects={"found": json.dumps(FINDINGS).encode()}, planned=["first", "second"])
    world.post(session_id="s1", goal="g")
    world.change(status=SessionStatus.PARTIAL)
    rows = [(row["task"], row["status"]) for row in world.report()["results"]]
    assert rows == [("first", "SKIPPED"), ("second", "DONE")]


def test_a_running_session_shows_the_progress_of_its_round() -> None:
    world = World()
    world.post(session_id="s1", tasks=["a", "b", "c"])
    progress = {"p0": Progress(done=1, spent_nusd=10**9), "p1": Progress(done=1, spent_nusd=10**9)}
    world.change(status=SessionStatus.RUNNING, tasks_done=1, spent_nusd=10**9, committed_nusd=10**8, progress=progress)
    shown = world.read()
    assert (shown["tasks"]["done"], shown["cost_usd"], shown["committed_usd"]) == (3, 3, 0.1)


def test_a_session_that_lost_its_coordinator_says_so_until_its_second_execution_has_ended_it() -> None:
    world = World()
    world.post(session_id="s1", tasks=["a", "b"])
    world.change(status=SessionStatus.RUNNING)
    world.now_ms = world.sessions[S1].deadline_ms + GRACE_MS
    assert world.read()["reason"] == ""
    world.now_ms += 1
    (listed,) = world.service.list(ME, {}).document["sessions"]
    assert world.wrapped_up == [], "a page of a hundred would start a hundred executions while the gateway waits"
    assert listed == world.read()
    assert (listed["status"], "coordinator was lost" in listed["reason"]) == ("RUNNING", True)
    assert world.wrapped_up == [S1], "a second execution reports on it and ends it; its start is idempotent"


def test_a_session_that_cannot_be_read_hides_no_other_from_the_list() -> None:
    world = World(unreadable={S1})
    world.post(session_id="s1", tasks=["a"])
    world.post(session_id="s2", tasks=["a"])
    del world.sessions[S1]
    assert [session["session_id"] for session in world.service.list(ME, {}).document["sessions"]] == ["s2"]
    assert world.events == [("session not readable", S1)]


def test_a_session_that_cannot_be_read_can_still_be_cancelled_and_its_spending_stopped() -> None:
    world = World()
    world.post(session_id="s1", tasks=["a"])
    world.unreadable = {S1}
    assert world.service.cancel(ME, "s1").document == {"session_id": "s1", "status": "CANCELLING"}
    assert world.sessions[S1].cancelled_ms == NOW


def test_a_lost_session_with_an_order_of_another_release_can_be_read_and_cancelled() -> None:
    world = World()
    world.post(session_id="s1", tasks=["a"])
    world.now_ms += 1_800_000 + GRACE_MS + 1
    world.unreadable_orders = True
    assert world.read()["status"] == "PENDING"
    assert world.events == [("order not readable", S1)]
    assert world.service.cancel(ME, "s1").document["status"] == "CANCELLING"


YOU = Owner(name="partner", limits=ME.limits)
OPERATOR = Operator()


def test_two_owners_use_the_same_id_for_sessions_of_their_own() -> None:
    world = World()
    for owner, task in ((ME, "mine"), (YOU, "yours")):
        answer = world.service.create(owner, json.dumps({"session_id": "s1", "tasks": [task]}))
        assert (answer.status, answer.document["session_id"]) == (202, "s1")
    assert [(order.owner, order.tasks) for order in world.started] == [("default", ("mine",)), ("partner", ("yours",))]
    world.service.cancel(YOU, "s1")
    assert [world.service.read(owner, "s1").document["status"] for owner in (ME, YOU)] == ["PENDING", "CANCELLING"]


@pytest.mark.parametrize("session_id", ["s1", S1])
def test_the_session_of_another_owner_is_as_unknown_as_one_that_does_not_exist(session_id: str) -> None:
    world = World()
    world.post(session_id="s1", tasks=["a"])

    def told(world: World, name: str) -> tuple[int, str]:
        with pytest.raises(ProblemError) as unknown:
            getattr(world.service, name)(YOU, session_id)
        return unknown.value.status, unknown.value.document()

    for name in ("read", "report", "cancel"):
        assert told(world, name) == told(World(), name)
    assert world.service.list(YOU, {}).document["sessions"] == []
    assert world.read()["status"] == "PENDING"


def test_an_owner_whose_hash_is_equal_by_chance_sees_repeats_and_cancels_nothing() -> None:
    """Ten hex digits can be equal for two names, so the owner of the item decides."""
    world = World()
    world.post(session_id="s1", tasks=["a"])
    world.change(owner="of-equal-hash")
    for operation in (world.service.read, world.service.report, world.service.cancel):
        with pytest.raises(ProblemError, match="is not known"):
            operation(ME, "s1")
    with pytest.raises(ProblemError) as taken:
        world.post(session_id="s1", tasks=["a"])
    assert (taken.value.status, len(world.started)) == (409, 1)


def test_an_operator_sees_and_cancels_every_session_by_its_internal_id_and_with_its_owner() -> None:
    world = World()
    world.post(session_id="s1", tasks=["a"])
    world.service.create(YOU, json.dumps({"session_id": "s1", "tasks": ["a"]}))
    listed = world.service.list(OPERATOR, {}).document["sessions"]
    theirs = internal_id("s1", "partner")
    assert [(one["session_id"], one["owner"]) for one in listed] == [(S1, "default"), (theirs, "partner")]
    assert world.service.read(OPERATOR, S1).document["owner"] == "default"
    assert "owner" not in world.read(), "a client knows whose its sessions are"
    assert world.service.cancel(OPERATOR, S1).document == {"session_id": S1, "status": "CANCELLING"}
    assert world.read()["reason"] == "cancelled by an operator"
    world.change(status=SessionStatus.CANCELLED)
    assert world.service.report(OPERATOR, S1).document["session_id"] == S1
    assert world.report()["session_id"] == "s1", "a client's report has the client's id"
    with pytest.raises(ProblemError, match="is not known"):
        world.service.read(OPERATOR, "s1")
    with pytest.raises(ProblemError, match="POST /operator/sessions is not part of this API"):
        world.service.create(OPERATOR, '{"tasks": ["a"]}')


def test_a_stored_report_has_the_id_of_whoever_reads_it() -> None:
    world = World()
    world.post(session_id="s1", tasks=["a"])
    world.change(status=SessionStatus.COMPLETE)
    world.objects[report_key(K1)] = json.dumps({"session_id": S1}).encode()
    assert world.report() == {"session_id": "s1"}


def test_a_budget_above_the_callers_is_refused_with_the_allowed_one() -> None:
    world = World()
    with pytest.raises(ProblemError) as refused:
        world.post(session_id="s1", tasks=["a"], budget_usd=10.5)
    document = json.loads(refused.value.document())
    assert (document["status"], document["type"].rsplit("#")[-1]) == (403, "budget-too-large")
    assert document["max_budget_usd"] == 10
    assert document["detail"].startswith("budget_usd is 10.5 and may be 10 at most")
    assert not world.sessions
    assert world.post(session_id="s1", tasks=["a"], budget_usd=10).status == 202


def test_a_repeat_is_answered_also_when_the_limits_were_lowered_meanwhile() -> None:
    world = World()
    body = json.dumps({"session_id": "s1", "tasks": ["a"], "budget_usd": 10})
    world.service.create(ME, body)
    lowered = Owner(name="default", limits=SpendLimits(max_budget_usd=1, daily_cap_usd=1))
    assert world.service.create(lowered, body).status == 200
    with pytest.raises(ProblemError, match="budget_usd is 10 and may be 1"):
        world.service.create(lowered, body.replace("s1", "s2"))


def test_a_reached_cap_says_what_is_used_what_is_reserved_and_when_the_day_ends() -> None:
    world = World(use=CapUse(total_nusd=20 * 10**9, running_nusd=8 * 10**9))
    with pytest.raises(ProblemError) as refused:
        world.post(session_id="s1", tasks=["a"], budget_usd=6)
    problem = refused.value
    document = json.loads(problem.document())
    assert (document["status"], document["type"].rsplit("#")[-1]) == (429, "daily-cap-reached")
    assert (document["cap_usd"], document["used_usd"], document["reserved_usd"]) == (25, 12, 8)
    assert (document["resets_at"], problem.headers) == ("2027-01-16T00:00:00Z", {"Retry-After": "57600"})
    assert not world.sessions


@pytest.mark.parametrize(("now_ms", "seconds"), [(NOW + 57_600_000 - 1, "1"), (NOW + 57_600_000, "86400")])
def test_a_day_ends_at_midnight_utc(now_ms: int, seconds: str) -> None:
    world = World(now_ms=now_ms, use=CapUse(total_nusd=25 * 10**9))
    with pytest.raises(ProblemError) as refused:
        world.post(session_id="s1", tasks=["a"])
    assert refused.value.headers["Retry-After"] == seconds
