"""Operations of the API, independent of HTTP: each returns status, headers and body of its response."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from infrafabric.api import caps, requests
from infrafabric.api.owners import Caller, Operator, Owner
from infrafabric.api.paths import OPERATOR_PATH
from infrafabric.api.problems import ProblemError, unknown_path, unknown_session
from infrafabric.money import usd
from infrafabric.swarm.daily_cap import OverDailyCapError
from infrafabric.swarm.deps import Log
from infrafabric.swarm.lost_sessions import LOST_REASON, is_lost
from infrafabric.swarm.object_keys import report_key
from infrafabric.swarm.report import SessionReport, stored_findings, texts_by_id
from infrafabric.swarm.session_errors import NoOrderError, SessionExistsError
from infrafabric.swarm.session_key import SessionKey
from infrafabric.swarm.shapes.order import Order
from infrafabric.swarm.shapes.round import RoundPart
from infrafabric.swarm.shapes.session_item import SessionItem
from infrafabric.swarm.shapes.shape import BadShapeError, OnUnreadable
from infrafabric.swarm.status import SessionStatus


class ApiStore(Protocol):
    """Sessions as the API reads and writes them."""

    def create(self, order: Order, *, digest: str, model: str, cap_nusd: int) -> SessionItem: ...
    def get(self, key: SessionKey) -> SessionItem | None: ...
    def order(self, key: SessionKey) -> Order: ...
    def cancel(self, key: SessionKey, *, reason: str) -> bool: ...
    def list_sessions(
        self,
        *,
        limit: int,
        after: dict[str, Any] | None,
        unreadable: OnUnreadable,
        owner: str | None,
        label: str | None = None,
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
    homes: Sequence[str]  # regions whose sessions are served: the own one, where sessions are created, comes first
    log: Log


@dataclass(frozen=True)
class Response:
    """Response to a client: HTTP status, JSON body, headers."""

    status: int
    document: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


class SessionService:
    """Operations on the sessions that a caller may see; each raises ``ProblemError`` for a refused request."""

    def __init__(self, deps: ApiDeps) -> None:
        self._deps = deps

    def create(self, caller: Caller, body: str) -> Response:
        """Handle ``POST /sessions``. The session id is the owner's idempotency key."""
        deps = self._deps
        if isinstance(caller, Operator):  # API Gateway has no such method
            raise unknown_path("POST", f"{OPERATOR_PATH}/sessions")
        request = requests.new_session(body)
        order = request.order(now_ms=deps.now_ms(), fleet=deps.fleet, owner=caller.name, home=deps.homes[0])
        own_id = caller.shown_id(order.session_id)
        missing_key = deps.missing_key()
        if missing_key:
            raise ProblemError(503, "model-not-configured", "No model can be asked", missing_key)
        try:
            session, status = self._admit(caller, order, request.digest()), 202
        except SessionExistsError as error:
            session, status = error.session, 200
            if session.digest != request.digest() or not caller.may_see(session):
                raise ProblemError(
                    409,
                    "session-exists",
                    "The session id is taken",
                    f"session {own_id!r} was started with another request: choose another session_id",
                    [{"field": "session_id", "detail": "is taken by another request"}],
                ) from None
            order = deps.store.order(session.key)  # its deadline counts from the first request
        if session.status is SessionStatus.PENDING and not session.execution_arn:
            # Also after a first request that wrote the session but could not start it.
            deps.store.note_execution(order.key, deps.executions.start(order))
        location = {"Location": f"sessions/{own_id}"}  # relative: stage and domain stay the client's
        return Response(status, {"session_id": own_id, "status": str(session.shown_status)}, location)

    def list(self, caller: Caller, query: Mapping[str, str]) -> Response:
        """Handle ``GET /sessions``: newest first.

        Ending a whole page of lost sessions, each by an execution, is left to the watchdog and to requests for a single
        session. A session whose item cannot be read is left out and logged.
        """
        parsed = requests.list_query(query)

        def note_unreadable(session_id: str, error: BadShapeError) -> None:
            self._deps.log.warning("session not readable", session_id=session_id, why=str(error))

        sessions, last = self._deps.store.list_sessions(
            limit=parsed.limit, after=parsed.after, unreadable=note_unreadable, owner=caller.name, label=parsed.label
        )
        views = [_view(caller, self._with_lost_reason(session)) for session in sessions]
        return Response(200, {"sessions": views, "cursor": requests.cursor_of(last)})

    def read(self, caller: Caller, session_id: str) -> Response:
        """Handle ``GET /sessions/{id}``."""
        return Response(200, _view(caller, self._session(caller, session_id)))

    def report(self, caller: Caller, session_id: str) -> Response:
        """Handle ``GET /sessions/{id}/report``."""
        session = self._session(caller, session_id)
        if not session.status.final:
            detail = (
                f"session {session_id!r} is {session.shown_status}: "
                f"ask again when GET /sessions/{session_id} says that it has ended"
            )
            raise ProblemError(409, "session-running", "The session still runs", detail, headers={"Retry-After": "5"})
        stored = self._deps.objects.find(report_key(session.key))
        document = self._interim_report(session) if stored is None else json.loads(stored)
        return Response(200, {**document, "session_id": session_id})

    def cancel(self, caller: Caller, session_id: str) -> Response:
        """Handle ``DELETE /sessions/{id}``: the coordinator sends no further request, reports what was done and ends.

        Its executions wait for answers, so each is woken.
        """
        deps = self._deps
        reason = "cancelled by an operator" if isinstance(caller, Operator) else "cancelled by a client"
        try:
            session = self._session(caller, session_id)
            key = session.key
        except BadShapeError:  # also a session that cannot be read can be kept from spending more
            session, key = None, SessionKey(_internal_id(caller, session_id), deps.homes[0])
        if deps.store.cancel(key, reason=reason):
            deps.executions.wake([part.wake_id for part in deps.store.rounds(key) if part.wake_id and not part.settled])
        status = SessionStatus.CANCELLING
        if session is not None:
            status = (deps.store.get(key) or session).shown_status
        return Response(202, {"session_id": session_id, "status": str(status)})

    def _admit(self, caller: Owner, order: Order, digest: str) -> SessionItem:
        """Write a session that its owner may pay.

        Raises:
            SessionExistsError: also for a session that was admitted before the owner's limits were lowered.
            ProblemError: 403 or 429, the session would cost too much.
        """
        deps, limits = self._deps, caller.limits
        too_large = order.budget_nusd > caps.max_budget_nusd(limits)
        # In the own region the transaction that writes the session tells whether it exists.
        homes = deps.homes if too_large else deps.homes[1:]
        if (existing := self._find(order.session_id, homes)) is not None:
            raise SessionExistsError(existing)
        if too_large:
            raise caps.budget_too_large(order.budget_nusd, limits)
        try:
            return deps.store.create(order, digest=digest, model=deps.model, cap_nusd=caps.daily_cap_nusd(limits))
        except OverDailyCapError as error:
            problem = caps.daily_cap_reached(order.budget_nusd, limits, error.use, now_ms=order.created_ms)
            raise problem from None

    def _find(self, internal_id: str, homes: Sequence[str]) -> SessionItem | None:
        """Return the session with an internal id, looked up in one region after the other; None if none has it."""
        found = (self._deps.store.get(SessionKey(internal_id, home)) for home in homes)
        return next((session for session in found if session is not None), None)

    def _session(self, caller: Caller, text: str) -> SessionItem:
        """Return a session. A lost session is reported on and ended by a second execution, which is started here.

        Raises:
            BadShapeError: the session's item cannot be read.
            ProblemError: 404, also for a session that the caller may not see.
        """
        session = self._find(_internal_id(caller, text), self._deps.homes)
        if session is None or not caller.may_see(session):
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


def _internal_id(caller: Caller, text: str) -> str:
    """Return the internal id of the session that a caller names.

    Raises:
        ProblemError: 404, no session can have this id.
    """
    session_id = caller.internal_id(text)
    if session_id is None:
        raise unknown_session(text)
    return session_id


def _view(caller: Caller, session: SessionItem) -> dict[str, Any]:
    created = datetime.datetime.fromtimestamp(session.created_ms / 1000, datetime.UTC)
    return {
        "session_id": caller.shown_id(session.session_id),
        **({"owner": session.owner} if isinstance(caller, Operator) else {}),
        "status": str(session.shown_status),
        "created_at": created.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "labels": list(session.labels),
        "tasks": {"total": session.tasks_total, "done": session.done_so_far, "failed": session.tasks_failed},
        "cost_usd": usd(session.spent_so_far),
        "committed_usd": usd(session.committed_so_far),
        "budget_usd": usd(session.budget_nusd),
        "reason": session.cancel_reason if session.shown_status is SessionStatus.CANCELLING else session.reason,
    }
