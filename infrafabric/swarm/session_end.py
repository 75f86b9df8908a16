"""End of a session: its report is stored, then the session ends and a record of it goes to history.

Two idempotent steps: a paid summary is kept if the second step is interrupted.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from infrafabric.bus.envelope import Citation, compose
from infrafabric.bus.structure import Performative
from infrafabric.bus.uris import COORDINATOR, agent_uri, conversation_uri, new_message_id, session_uri
from infrafabric.models import errors, prompts
from infrafabric.money import usd
from infrafabric.swarm import own_calls
from infrafabric.swarm.deps import CoordinatorDeps, HistoryRecord, ModelPrices
from infrafabric.swarm.evidence import evidence_hash
from infrafabric.swarm.failure_reasons import CANCELLED
from infrafabric.swarm.limits import LEAST_TOKENS
from infrafabric.swarm.lost_sessions import LOST_REASON
from infrafabric.swarm.object_keys import report_key
from infrafabric.swarm.quorum import outcome
from infrafabric.swarm.report import DIGEST_CHARS, SessionReport, stored_findings, texts_by_id
from infrafabric.swarm.result_document import stored_bytes
from infrafabric.swarm.shapes.attempt import Attempt
from infrafabric.swarm.shapes.cancel import Cancel
from infrafabric.swarm.shapes.order import Order
from infrafabric.swarm.shapes.records import RECORD_LIFETIME_MS, SessionRecord
from infrafabric.swarm.shapes.session_item import SessionItem
from infrafabric.swarm.status import SessionStatus

# The record carries the reason, and KMS signs 4,096 bytes at most: the recorder reads no claim checks.
_REASON_CHARS = 500
_WORTH_WAITING_MS = 20_000  # with less time left, findings without a summary are better than a late report
_DIGEST_SIZES = (DIGEST_CHARS, 30_000, 15_000, 8_000, 4_000, 2_000)  # characters; the largest that the money pays


def report_costs(order: Order, prices: ModelPrices, max_tokens: int) -> tuple[int, int]:
    """Return what a summary costs at worst, in nano-USD: the shortest useful one, and one of all findings."""
    least = prompts.report(goal=order.goal or "", findings="x" * _DIGEST_SIZES[-1])
    full = prompts.report(goal=order.goal or "", findings="x" * _DIGEST_SIZES[0])
    return prices.worst_nusd(least, LEAST_TOKENS), prices.worst_nusd(full, max_tokens)


class SessionEnd:
    """Reports on a session and ends the session."""

    def __init__(self, order: Order, deps: CoordinatorDeps) -> None:
        self._order, self._deps = order, deps

    def take_back(self, attempts: Sequence[Attempt]) -> None:
        """Tell each agent with an open request, in one signed message, that no answer is needed any more."""
        order, deps = self._order, self._deps
        now_ms = deps.now_ms()
        if now_ms >= order.tasks_deadline_ms:
            return  # no agent begins a request behind its deadline
        requests: dict[str, list[str]] = defaultdict(list)
        for attempt in attempts:
            requests[attempt.agent].append(attempt.message_id)
        drafts = [
            compose(
                performative=Performative.CANCEL,
                sender=COORDINATOR,
                receiver=agent_uri(agent),
                conversation_id=conversation_uri(order.session_id),
                message_id=new_message_id(),
                timestamp=now_ms,
                content=Cancel(**order.key._asdict(), requests=tuple(message_ids)).write(),
                citation=Citation(session_uri(order.session_id), evidence_hash(b"")),
                reply_by=max(order.tasks_deadline_ms, now_ms + 1),
            )
            for agent, message_ids in sorted(requests.items())
        ]
        for error in deps.publisher.send(drafts):
            if error is not None:
                raise error

    def report(
        self,
        texts: Sequence[str],
        missing: Mapping[str, str],
        stop: str,
        *,
        spent: int,
        committed: int,
        room: int,
        attempt: int,
    ) -> dict[str, Any]:
        """Have the believed results summarized and store the report. Returns how the session ends.

        Args:
            texts: the tasks, in order.
            missing: reason per task that was tried and is not done.
            stop: reason for which the session stopped before its tasks, else "".
            spent: nano-USD, without the report's own calls.
            committed: nano-USD that unanswered attempts may still spend, without the report's own calls.
            room: nano-USD that the report may cost.
            attempt: of the step, which is retried while the model may answer later.

        Raises:
            own_calls.LaterError: the step is retried.
        """
        order, deps = self._order, self._deps
        deps.warm_model()  # for the summary
        parts = deps.store.rounds(order.key)
        findings = stored_findings(parts, deps.objects.get)
        report = SessionReport.of(
            order, texts_by_id(texts), [one for part in parts for one in part.results], findings, missing
        )
        status, reason = self._ending(deps.store.get(order.key), len(texts), report.done)
        if not reason and (status is not SessionStatus.COMPLETE or stop == LOST_REASON):
            reason = short_reason(stop) or _reason_for_missing(len(texts), missing)
        report.summary, model = f"No task was done: {reason}.", deps.model.model_id
        if report.done:
            report.summary, model = self._summary(report, status, room, attempt)
        own_spent, own_committed = own_calls.totals(order, own_calls.REPORT, deps)
        ending = {
            "status": str(status),
            "reason": reason,
            "done": report.done,
            "failed": report.failed,
            "tasks": len(texts),
            "spent": spent + own_spent,
            "committed": committed + own_committed,
        }
        document = report.document(
            status=status, cost_usd=usd(ending["spent"]), committed_usd=usd(ending["committed"]), model=model
        )
        deps.objects.put(report_key(order.key), stored_bytes(document))
        return ending

    def close(self, ending: Mapping[str, Any]) -> dict[str, Any]:
        """End and record the session. A session cancelled meanwhile is so in the report, too."""
        deps, order = self._deps, self._order
        session = deps.store.get(order.key)
        status, reason = SessionStatus(ending["status"]), ending["reason"]
        if session is not None and session.cancelled_ms is not None and not session.status.final:
            status, reason = SessionStatus.CANCELLED, session.cancel_reason
        if session is not None:
            deps.store.end(_ended(session, status, reason, ending, deps.now_ms()))
            session = deps.store.get(order.key) or session
            status, reason = session.status, session.reason
        key = report_key(order.key)
        stored = deps.objects.get(key)
        document = json.loads(stored)
        if document["status"] != status:
            document["status"] = status
            stored = stored_bytes(document)
            deps.objects.put(key, stored)
        self._record(ending, status, reason, model=document["model"], key=key, stored=stored)
        ended = {"status": str(status), "reason": reason, "done": ending["done"], "tasks": ending["tasks"]}
        deps.log.info("session ended", session_id=order.session_id, **ended)
        return ended

    def fail(self, tasks: int, problem: str, *, spent: int, committed: int) -> None:
        """End and record a session without a report: history has every ended session."""
        deps, order = self._deps, self._order
        ending = {"done": 0, "failed": tasks, "tasks": tasks, "spent": spent, "committed": committed}
        session = deps.store.get(order.key)
        status, reason = SessionStatus.FAILED, problem
        if session is not None:
            deps.store.end(_ended(session, status, reason, ending, deps.now_ms()))
            session = deps.store.get(order.key) or session
            status, reason = session.status, session.reason
        self._record(ending, status, reason, model=deps.model.model_id, key="", stored=b"")

    def _ending(self, session: SessionItem | None, tasks: int, done: int) -> tuple[SessionStatus, str]:
        """Return the session's final status if set (lost) or asked for (cancelled), else the outcome of the tasks."""
        if session and session.status.final:
            return session.status, session.reason
        if session and session.cancelled_ms is not None:
            return SessionStatus.CANCELLED, session.cancel_reason
        return outcome(done, tasks, self._order.quorum), ""

    def _summary(self, report: SessionReport, status: SessionStatus, room: int, attempt: int) -> tuple[str, str]:
        """Return the model's summary and name, or the reason for a missing summary: findings are kept without one."""
        order, deps = self._order, self._deps
        why = CANCELLED if status is SessionStatus.CANCELLED else "" if room else "the session had ended"
        if not why:
            try:
                completion = own_calls.ask(
                    order,
                    own_calls.REPORT,
                    self._prompt(report, room),
                    prompts.report_answer(),
                    room_nusd=room,
                    until_ms=order.deadline_ms,
                    deps=deps,
                )
            except (errors.ModelError, own_calls.OverBudgetError) as error:
                if isinstance(error, errors.ModelError):
                    until_ms = order.deadline_ms - _WORTH_WAITING_MS
                    own_calls.raise_later(error, attempt, until_ms=until_ms, deps=deps)
                why = str(error)
            else:
                return completion.value.summary, completion.model_id
        deps.log.warning("no summary", session_id=order.session_id, why=why)
        return f"No summary could be written ({why}). The findings below are complete.", deps.model.model_id

    def _prompt(self, report: SessionReport, room: int) -> prompts.Prompt:
        """Return the prompt with as many findings as the money pays an answer of full length for."""
        goal = self._order.goal or ""
        prompt = prompts.report(goal=goal, findings=report.digest())
        for chars in _DIGEST_SIZES[1:]:
            if self._deps.model.affordable_tokens(prompt, room) >= self._deps.max_tokens:
                break
            prompt = prompts.report(goal=goal, findings=report.digest(chars))
        return prompt

    def _record(
        self, ending: Mapping[str, Any], status: SessionStatus, reason: str, *, model: str, key: str, stored: bytes
    ) -> None:
        order, deps = self._order, self._deps
        now_ms = deps.now_ms()
        record = SessionRecord(
            **order.key._asdict(),
            owner=order.owner,
            status=status,
            reason=reason,
            created_ms=order.created_ms,
            ended_ms=now_ms,
            budget_nusd=order.budget_nusd,
            spent_nusd=ending["spent"],
            committed_nusd=ending["committed"],
            tasks=ending["tasks"],
            model=model,
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
        deps.publisher.record([HistoryRecord(deps.publisher.sign(draft))])


def short_reason(reason: str) -> str:
    """Return a reason cut to the length that a session item and a record hold."""
    return reason if len(reason) <= _REASON_CHARS else f"{reason[: _REASON_CHARS - 3]}..."


def _ended(
    session: SessionItem, status: SessionStatus, reason: str, ending: Mapping[str, Any], now_ms: int
) -> SessionItem:
    """Return the session with its final numbers: the same in item, report and history."""
    numbers = {
        "spent_nusd": ending["spent"],
        "committed_nusd": ending["committed"],
        "tasks_done": ending["done"],
        "tasks_failed": ending["failed"],
        "progress": {},
    }
    return session.model_copy(update={"status": status, "reason": reason, "ended_ms": now_ms, **numbers})


def _reason_for_missing(tasks: int, missing: Mapping[str, str]) -> str:
    """Return the reasons of missing tasks, most frequent first; "" if no task is missing."""
    counts = Counter(reason or "failed" for reason in missing.values())
    return short_reason(", ".join(f"{reason} ({count} of {tasks} tasks)" for reason, count in counts.most_common()))
