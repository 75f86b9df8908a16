"""End of a session: its report is stored, then the session ends and a record of it goes to history.

Two idempotent steps: a paid summary is kept if the second step is interrupted.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from infrafabric.bus.envelope import Citation, compose
from infrafabric.bus.structure import Performative
from infrafabric.bus.uris import COORDINATOR, conversation_uri, new_message_id, session_uri
from infrafabric.models import errors, prompts
from infrafabric.money import nano_usd, usd
from infrafabric.swarm.budgeted_call import ask_within_budget
from infrafabric.swarm.deps import CoordinatorDeps
from infrafabric.swarm.evidence import evidence_hash
from infrafabric.swarm.failure_reasons import BAD_EVIDENCE
from infrafabric.swarm.leases import OverBudgetError, SessionOverError
from infrafabric.swarm.object_keys import report_key
from infrafabric.swarm.quorum import outcome
from infrafabric.swarm.report import SessionReport, believed_results, texts_by_id
from infrafabric.swarm.shapes.order import Order
from infrafabric.swarm.shapes.records import RECORD_LIFETIME_MS, SessionRecord
from infrafabric.swarm.shapes.session_item import SessionItem
from infrafabric.swarm.status import SessionStatus

# The record carries the reason, and KMS signs 4,096 bytes at most: the recorder reads no claim checks. The session item
# holds the reason too, and every lease and every answer writes that item.
_REASON_CHARS = 500
_WORTH_WAITING_MS = 20_000  # with less time left, findings without a summary are better than a late report


class SessionEnd:
    """Reports on a session and ends the session."""

    def __init__(self, order: Order, deps: CoordinatorDeps) -> None:
        self._order, self._deps = order, deps

    def report(self, texts: Sequence[str], given_up: Mapping[str, str], stop: str, *, may_wait: bool) -> dict[str, Any]:
        """Read the results, have them summarized, store the report. Returns status and reason of the session.

        Args:
            texts: the tasks, in order.
            given_up: reason per task that was given up.
            stop: reason for which the session stopped before its tasks, else "".
            may_wait: the step is retried if the model, or money, becomes available a little later.

        Raises:
            errors.Throttled, OverBudgetError: only with ``may_wait``.
        """
        order, deps = self._order, self._deps
        deps.warm_model()  # for the summary
        results, documents = believed_results(
            order.session_id, deps.store.tasks(order.session_id), deps.objects.find_all
        )
        report = SessionReport.of(order, texts_by_id(texts), results, documents)
        session = deps.store.get(order.session_id)
        status, reason = self._ending(session, len(texts), len(documents))
        if status is not SessionStatus.COMPLETE and not reason:
            bad = {result.task_id: result.reason for result in results if result.reason == BAD_EVIDENCE}
            missing = {name: why for name, why in {**given_up, **bad}.items() if name not in documents}
            reason = short_reason(stop) or _reason_for_missing(len(texts), missing)
        report.summary, model = f"No task was done: {reason}.", deps.model.model_id
        if documents:
            report.summary, model = self._summary(report, may_wait)
        session = deps.store.get(order.session_id) or session
        document = report.document(status=status, cost_usd=usd(_spent_nusd(session)), model=model)
        deps.objects.put(report_key(order.session_id), _stored(document))
        return {"status": str(status), "reason": reason, "done": len(documents), "tasks": len(texts)}

    def close(self, outcome: Mapping[str, Any]) -> dict[str, Any]:
        """End and record the session. A session cancelled meanwhile stays cancelled, also in the report."""
        deps, session_id = self._deps, self._order.session_id
        deps.store.end(session_id, SessionStatus(outcome["status"]), reason=outcome["reason"])
        session = deps.store.get(session_id)
        status, reason = (str(session.status), session.reason) if session else (outcome["status"], outcome["reason"])
        key = report_key(session_id)
        stored = deps.objects.get(key)
        document = json.loads(stored)
        if document["status"] != status:
            document["status"] = status
            stored = _stored(document)
            deps.objects.put(key, stored)
        self._record(document, key, stored, reason)
        ended = {**outcome, "status": status, "reason": reason}
        deps.log.info("session ended", session_id=session_id, **ended)
        return ended

    def fail(self, texts: Sequence[str], problem: str) -> None:
        """End and record a session without a report: history has every ended session."""
        deps, session_id = self._deps, self._order.session_id
        deps.store.end(session_id, SessionStatus.FAILED, reason=problem)
        session = deps.store.get(session_id)
        status, reason = (session.status, session.reason) if session else (SessionStatus.FAILED, problem)
        document = {
            "status": str(status),
            "cost_usd": usd(_spent_nusd(session)),
            "results": texts,
            "model": deps.model.model_id,
        }
        self._record(document, "", b"", reason)

    def _ending(self, session: SessionItem | None, tasks: int, done: int) -> tuple[SessionStatus, str]:
        """Return the session's final status if set (cancelled or lost), otherwise the outcome of the tasks."""
        if session and session.status.final:
            return session.status, session.reason
        return outcome(done, tasks, self._order.quorum), ""

    def _summary(self, report: SessionReport, may_wait: bool) -> tuple[str, str]:
        """Return the model's summary and name, or the reason for a missing summary: findings are kept without one."""
        order, deps = self._order, self._deps
        prompt = prompts.report(goal=order.goal or "", findings=report.digest())
        may_wait = may_wait and order.deadline_ms - deps.now_ms() > _WORTH_WAITING_MS
        try:
            completion = ask_within_budget(
                order, prompt, prompts.report_answer(), until_ms=order.deadline_ms, deps=deps
            )
        except (errors.ModelError, OverBudgetError, SessionOverError) as error:
            later = isinstance(error, errors.Throttled) or (isinstance(error, OverBudgetError) and error.later)
            if may_wait and later:
                raise
            deps.log.warning("no summary", session_id=order.session_id, why=str(error))
            return f"No summary could be written ({error}). The findings below are complete.", deps.model.model_id
        return completion.value.summary, completion.model_id

    def _record(self, document: Mapping[str, Any], key: str, stored: bytes, reason: str) -> None:
        order, deps = self._order, self._deps
        now_ms = deps.now_ms()
        record = SessionRecord(
            session_id=order.session_id,
            status=SessionStatus(document["status"]),
            reason=reason,
            created_ms=order.created_ms,
            ended_ms=now_ms,
            budget_nusd=order.budget_nusd,
            spent_nusd=nano_usd(document["cost_usd"]),
            tasks=len(document["results"]),
            model=document["model"],
            s3_key=key,
            labels=order.labels,
        )
        draft = compose(
            performative=Performative.INFORM,
            sender=COORDINATOR,
            receiver=COORDINATOR,
            conversation_id=conversation_uri(order.session_id),
            message_id=new_message_id(),
            timestamp=now_ms,
            content=record.write(),
            citation=Citation(session_uri(order.session_id), evidence_hash(stored)),
            reply_by=now_ms + RECORD_LIFETIME_MS,
        )
        deps.publisher.record(deps.publisher.sign(draft))


def short_reason(reason: str) -> str:
    """Return a reason cut to the length that a session item and a record hold."""
    return reason if len(reason) <= _REASON_CHARS else f"{reason[: _REASON_CHARS - 3]}..."


def _reason_for_missing(tasks: int, given_up: Mapping[str, str]) -> str:
    """Return the reasons of missing tasks, most frequent first; "" if no task is missing."""
    counts = Counter(reason or "failed" for reason in given_up.values())
    return short_reason(", ".join(f"{reason} ({count} of {tasks} tasks)" for reason, count in counts.most_common()))


def _spent_nusd(session: SessionItem | None) -> int:
    return session.spent_nusd if session else 0


def _stored(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, sort_keys=True).encode()
