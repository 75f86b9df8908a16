"""The API's operations, without HTTP's wire: each takes what was asked and returns status, headers and document."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from infrafabric.api import requests
from infrafabric.api.problems import ProblemError, not_found
from infrafabric.swarm import watch
from infrafabric.swarm.report import Report, examined, named
from infrafabric.swarm.session import Order, Status, prefix, report_key, usd
from infrafabric.swarm.store import SessionExistsError, SessionStore

# What Lambda hands back at most is 6 MB (Lambda Developer Guide, "Lambda quotas"), with status and headers in it.
LARGEST_ANSWER_BYTES = 6 * 1024 * 1024 - 16 * 1024


@dataclass(frozen=True, kw_only=True)
class ApiDeps:
    """Everything the API does to the world."""

    now_ms: Callable[[], int]
    store: SessionStore
    start: Callable[[Order], str]  # starts the coordinator, once for a session id; returns the execution's ARN
    wrap_up: Callable[[Order], str]  # starts it once more, to report on a session that lost it
    fetch: Callable[[str], bytes | None]  # an object of the results bucket
    find_all: Callable[[Sequence[str]], Sequence[bytes | None]]  # side by side, in order: the gateway waits 29 s
    missing_key: Callable[[], str]  # "" when the model can be asked, else what to do about it
    fleet: int
    model: str


@dataclass(frozen=True)
class Answer:
    status: int
    document: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


def create(body: str, deps: ApiDeps) -> Answer:
    """``POST /sessions``. The session id is the idempotency key."""
    wanted = requests.new_session(body)
    order = wanted.order(now_ms=deps.now_ms(), fleet=deps.fleet)
    missing = deps.missing_key()
    if missing:
        raise ProblemError(503, "model-not-configured", "No model can be asked", missing)
    try:
        item, status = deps.store.create(order, digest=wanted.digest(), model=deps.model), 202
    except SessionExistsError as error:
        item, status = error.item, 200
        if item["digest"] != wanted.digest():
            raise ProblemError(
                409,
                "session-exists",
                "The session id is taken",
                f"session {order.session_id!r} was started with another request: choose another session_id",
                [{"field": "session_id", "detail": "is taken by another request"}],
            ) from None
        order = deps.store.order(order.session_id)  # its deadline counts from the first request
    if item["status"] == Status.PENDING and "execution_arn" not in item:
        # Also when a first request wrote the session but could not start it.
        deps.store.note_execution(order.session_id, deps.start(order))
    place = {"Location": f"sessions/{order.session_id}"}  # relative: stage and domain stay the client's
    return Answer(status, {"session_id": order.session_id, "status": item["status"]}, place)


def listing(query: dict[str, str], deps: ApiDeps) -> Answer:
    """``GET /sessions``: newest first. A session that lost its coordinator stands there as it will end: ending a page
    of them, each with an execution that reports on it, is left to the watchdog and to whoever reads one."""
    limit, after = requests.page(query)
    items, last = deps.store.listed(limit=limit, after=after)
    return Answer(200, {"sessions": [_view(_foreseen(item, deps)) for item in items], "cursor": requests.cursor(last)})


def read(session_id: str, deps: ApiDeps) -> Answer:
    """``GET /sessions/{id}``."""
    return Answer(200, _view(_found(session_id, deps)))


def report(session_id: str, deps: ApiDeps) -> Answer:
    """``GET /sessions/{id}/report``."""
    item = _found(session_id, deps)
    status = Status(item["status"])
    if not status.final:
        detail = f"session {session_id!r} is {status}: ask again when GET /sessions/{session_id} says that it has ended"
        raise ProblemError(409, "session-running", "The session still runs", detail, headers={"Retry-After": "5"})
    stored = deps.fetch(report_key(session_id))
    if stored is not None:
        return _whole(session_id, json.loads(stored))
    return _whole(session_id, _unfinished(item, status, deps))


def _whole(session_id: str, document: Mapping[str, Any]) -> Answer:
    """The report, when an answer can hold it: it travels as a string inside JSON, where each quotation mark is two."""
    text = json.dumps(document, ensure_ascii=False)
    size = len(text.encode()) + text.count('"') + text.count("\\")
    if size > LARGEST_ANSWER_BYTES:
        detail = (
            f"the report of session {session_id!r} takes {size:,} bytes and an answer holds {LARGEST_ANSWER_BYTES:,}: "
            f"read it where it lies, below {prefix(session_id)}/ in the stack's bucket results_bucket"
        )
        raise ProblemError(413, "report-too-large", "The report is too large for the API", detail)
    return Answer(200, document)


def cancel(session_id: str, deps: ApiDeps) -> Answer:
    """``DELETE /sessions/{id}``: agents get no more money from now on.

    The coordinator is not stopped: it hears of it from the agents, reports what was done, and tells the archive.
    """
    item = _found(session_id, deps)
    deps.store.end(session_id, Status.CANCELLED, reason="cancelled by a client")
    now = deps.store.get(session_id) or item
    return Answer(202, {"session_id": session_id, "status": now["status"]})


def _found(text: str, deps: ApiDeps) -> dict[str, Any]:
    session_id = requests.session_id(text)
    item = deps.store.get(session_id) if session_id else None
    if item is None:
        raise not_found(text)
    return _up_to_date(item, deps)


def _foreseen(item: dict[str, Any], deps: ApiDeps) -> dict[str, Any]:
    if watch.is_lost(item, now_ms=deps.now_ms()):
        return {**item, "status": watch.left(item), "reason": watch.LOST}
    return item


def _up_to_date(item: dict[str, Any], deps: ApiDeps) -> dict[str, Any]:
    """The session, ended when its coordinator was lost: none is left hanging."""
    if watch.is_lost(item, now_ms=deps.now_ms()):
        watch.give_up_lost(item, deps.store, deps.wrap_up)
        item = deps.store.get(item["pk"]) or item
    return item


def _view(item: Mapping[str, Any]) -> dict[str, Any]:
    created = datetime.datetime.fromtimestamp(int(item["created_ms"]) / 1000, datetime.UTC)
    return {
        "session_id": item["pk"],
        "status": item["status"],
        "created_at": created.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "tasks": {
            "total": int(item["tasks_total"]), "done": int(item["tasks_done"]), "failed": int(item["tasks_failed"])
        },
        "cost_usd": usd(int(item["spent"])),
        "budget_usd": usd(int(item["budget"])),
        "reason": item["reason"],
    }  # fmt: skip


def _unfinished(item: Mapping[str, Any], status: Status, deps: ApiDeps) -> dict[str, Any]:
    """The report of a session that ended without one, or whose report is still being written."""
    order = deps.store.order(item["pk"])
    ended, documents = examined(order.session_id, deps.store.tasks(order.session_id), deps.find_all)
    made = Report.of(order.session_id, named(deps.store.texts(order)), ended, documents)
    made.summary = f"The session ended {status} before a summary was written: {item['reason']}."
    return made.document(status=status, cost_usd=usd(int(item["spent"])), model=item["model"])
