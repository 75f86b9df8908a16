"""Operations of the API, independent of HTTP: each returns status, headers and body of its response."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from infrafabric.api import requests
from infrafabric.api.problems import ProblemError, unknown_session
from infrafabric.money import usd
from infrafabric.swarm.deps import Log, LostSessionStore
from infrafabric.swarm.lost_sessions import LOST_REASON, is_lost
from infrafabric.swarm.object_keys import report_key, session_prefix
from infrafabric.swarm.report import SessionReport, stored_findings, texts_by_id
from infrafabric.swarm.session_errors import NoOrderError, SessionExistsError
from infrafabric.swarm.session_key import SessionKey
from infrafabric.swarm.shapes.order import Order
from infrafabric.swarm.shapes.round import RoundPart
from infrafabric.swarm.shapes.session_item import SessionItem
from infrafabric.swarm.shapes.shape import BadShapeError, OnUnreadable
from infrafabric.swarm.status import SessionStatus

# A Lambda function's response has 6 MB at most, status and headers included (Lambda Developer Guide, "Lambda quotas").
MAX_RESPONSE_BYTES = 6 * 1024 * 1024 - 16 * 1024


class ApiStore(LostSessionStore, Protocol):
    """Sessions as the API reads and writes them."""

    def create(self, order: Order, *, digest: str, model: str) -> SessionItem: ...
    def get(self, key: SessionKey) -> SessionItem | None: ...
    def cancel(self, key: SessionKey) -> bool: ...
    def list_sessions(
        self, *, limit: int, after: dict[str, Any] | None, unreadable: OnUnreadable, label: str | None = None
    ) -> tuple[list[SessionItem], dict[str, Any] | None]: ...
    def task_texts(self, order: Order) -> list[str]: ...
    def rounds(self, key: SessionKey) -> list[RoundPart]: ...
    def note_execution(self, key: SessionKey, execution_arn: str) -> None: ...


class ApiExecutions(Protocol):
    """Executions of the coordinator; each start is idempotent and returns the execution's ARN."""

    def start(self, order: Order) -> str: ...
    def wrap_up(self, order: Order) -> str: ...
    def wake(self, callback_ids: Sequence[str]) -> None: ...


class StoredObjects(Protocol):
    """Objects of the results bucket."""

    def get(self, key: str) -> bytes: ...
    def find(self, key: str) -> bytes | None: ...


@dataclass(frozen=True, kw_only=True)
class ApiDeps:
    """Side effects of the API."""

    now_ms: Callable[[], int]
    store: ApiStore
    executions: ApiExecutions
    objects: StoredObjects
    missing_key: Callable[[], str]  # "" if the model's API key has a value, else instructions
    fleet: int
    model: str
    home: str  # region of new sessions
    log: Log


@dataclass(frozen=True)
class Response:
    """Response to a client: HTTP status, JSON body, headers."""

    status: int
    document: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


class SessionService:
    """Operations on sessions; each raises ``ProblemError`` for a refused request."""

    def __init__(self, deps: ApiDeps) -> None:
        self._deps = deps

    def create(self, body: str) -> Response:
        """Handle ``POST /sessions``. The session id is the idempotency key."""
        deps = self._deps
        request = requests.new_session(body)
        order = request.order(now_ms=deps.now_ms(), fleet=deps.fleet, home=deps.home)
        missing_key = deps.missing_key()
        if missing_key:
            raise ProblemError(503, "model-not-configured", "No model can be asked", missing_key)
        try:
            session, status = deps.store.create(order, digest=request.digest(), model=deps.model), 202
        except SessionExistsError as error:
            session, status = error.session, 200
            if session.digest != request.digest():
                raise ProblemError(
                    409,
                    "session-exists",
                    "The session id is taken",
                    f"session {order.session_id!r} was started with another request: choose another session_id",
                    [{"field": "session_id", "detail": "is taken by another request"}],
                ) from None
            order = deps.store.order(order.key)  # its deadline counts from the first request
        if session.status is SessionStatus.PENDING and not session.execution_arn:
            # Also after a first request that wrote the session but could not start it.
            deps.store.note_execution(order.key, deps.executions.start(order))
        location = {"Location": f"sessions/{order.session_id}"}  # relative: stage and domain stay the client's
        return Response(status, {"session_id": order.session_id, "status": str(session.shown_status)}, location)

    def list(self, query: Mapping[str, str]) -> Response:
        """Handle ``GET /sessions``: newest first.

        A lost session is listed with the expected final status. Ending a whole page of lost sessions, each by an
        execution, is left to the watchdog and to requests for a single session. A session whose item cannot be read is
        left out and logged.
        """
        parsed = requests.list_query(query)

        def note_unreadable(session_id: str, error: BadShapeError) -> None:
            self._deps.log.warning("session not readable", session_id=session_id, why=str(error))

        sessions, last = self._deps.store.list_sessions(
            limit=parsed.limit, after=parsed.after, unreadable=note_unreadable, label=parsed.label
        )
        views = [_view(self._with_lost_reason(session)) for session in sessions]
        return Response(200, {"sessions": views, "cursor": requests.cursor_of(last)})

    def read(self, session_id: str) -> Response:
        """Handle ``GET /sessions/{id}``."""
        return Response(200, _view(self._session(session_id)))

    def report(self, session_id: str) -> Response:
        """Handle ``GET /sessions/{id}/report``."""
        session = self._session(session_id)
        if not session.status.final:
            detail = (
                f"session {session_id!r} is {session.shown_status}: "
                f"ask again when GET /sessions/{session_id} says that it has ended"
            )
            raise ProblemError(409, "session-running", "The session still runs", detail, headers={"Retry-After": "5"})
        stored = self._deps.objects.find(report_key(session.key))
        document = self._interim_report(session) if stored is None else json.loads(stored)
        return _within_limit(session.key, document)

    def cancel(self, session_id: str) -> Response:
        """Handle ``DELETE /sessions/{id}``: the coordinator sends no further request, reports what was done and ends.

        Its executions wait for answers, so each is woken.
        """
        deps, key = self._deps, self._key(session_id)
        try:
            session = self._session(session_id)
        except BadShapeError:
            session = None  # also a session that cannot be read can be kept from spending more
        if deps.store.cancel(key):
            deps.executions.wake([part.wake_id for part in deps.store.rounds(key) if part.wake_id and not part.settled])
        status = SessionStatus.CANCELLING
        if session is not None:
            session = deps.store.get(key) or session
            status = session.shown_status
        return Response(202, {"session_id": session_id, "status": str(status)})

    def _key(self, text: str) -> SessionKey:
        """Return the key of a session's data.

        Raises:
            ProblemError: no session can have this id.
        """
        session_id = requests.valid_session_id(text)
        if session_id is None:
            raise unknown_session(text)
        return SessionKey(session_id, self._deps.home)

    def _session(self, text: str) -> SessionItem:
        """Return a session. A lost session is reported on and ended by a second execution, which is started here.

        Raises:
            BadShapeError: the session's item cannot be read.
        """
        session = self._deps.store.get(self._key(text))
        if session is None:
            raise unknown_session(text)
        if is_lost(session, now_ms=self._deps.now_ms()):
            try:
                self._deps.executions.wrap_up(self._deps.store.order(session.key))
            except (BadShapeError, NoOrderError) as error:
                self._deps.log.warning("order not readable", session_id=session.session_id, why=str(error))
        return self._with_lost_reason(session)

    def _with_lost_reason(self, session: SessionItem) -> SessionItem:
        """Return a session; a lost one says so, and keeps its status until its second execution has ended it."""
        if not is_lost(session, now_ms=self._deps.now_ms()):
            return session
        return session.model_copy(update={"reason": LOST_REASON})

    def _interim_report(self, session: SessionItem) -> dict[str, Any]:
        """Return the report of a session without a stored report (yet): what the coordinator believed so far."""
        store = self._deps.store
        order = store.order(session.key)
        parts = store.rounds(session.key)
        results = [result for part in parts for result in part.results]
        findings = stored_findings(parts, self._deps.objects.get)
        report = SessionReport.of(order, texts_by_id(store.task_texts(order)), results, findings, {})
        report.summary = f"The session ended {session.status} before a summary was written: {session.reason}."
        return report.document(
            status=session.status,
            cost_usd=usd(session.spent_nusd),
            committed_usd=usd(session.committed_nusd),
            model=session.model,
        )


def _within_limit(key: SessionKey, document: Mapping[str, Any]) -> Response:
    """Return the report if a response can hold it.

    The body travels as a string inside JSON, where a quotation mark or backslash takes two bytes.
    """
    text = json.dumps(document, ensure_ascii=False)
    size = len(text.encode()) + text.count('"') + text.count("\\")
    if size > MAX_RESPONSE_BYTES:
        detail = (
            f"the report of session {document['session_id']!r} takes {size:,} bytes and a response holds "
            f"{MAX_RESPONSE_BYTES:,}: "
            f"read the objects below {session_prefix(key)}/ in the stack's bucket results_bucket"
        )
        raise ProblemError(413, "report-too-large", "The report is too large for the API", detail)
    return Response(200, document)


def _view(session: SessionItem) -> dict[str, Any]:
    created = datetime.datetime.fromtimestamp(session.created_ms / 1000, datetime.UTC)
    return {
        "session_id": session.session_id,
        "status": str(session.shown_status),
        "created_at": created.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "labels": list(session.labels),
        "tasks": {"total": session.tasks_total, "done": session.done_so_far, "failed": session.tasks_failed},
        "cost_usd": usd(session.spent_so_far),
        "committed_usd": usd(session.committed_nusd),
        "budget_usd": usd(session.budget_nusd),
        "reason": session.reason,
    }
