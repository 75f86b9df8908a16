"""A session's end: its results are summed up and stored as the report, then the session ends and the archive hears it.

Two steps, so that what was paid for is kept when the second is interrupted. Both may run again without harm.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from infrafabric.bus.envelope import Citation, compose, new_message_id
from infrafabric.bus.structure import Performative
from infrafabric.models import errors, prompts
from infrafabric.swarm import paid
from infrafabric.swarm.ledger import OverBudgetError, SessionOverError
from infrafabric.swarm.report import BAD_EVIDENCE, Report, evidence, examined, named
from infrafabric.swarm.session import COORDINATOR, Order, Status, conversation, outcome, report_key, usd
from infrafabric.swarm.task import ARCHIVED_MS
from infrafabric.swarm.world import CoordinatorDeps

# A reason travels in a message, which KMS signs up to 4,096 bytes: the recorder reads no claim checks. It also stands
# in the session's item, which each claim and each answer writes anew.
_REASON_CHARS = 500
_WORTH_WAITING_MS = 20_000  # with less left, findings without a summary are better than a late report


def sum_up(
    order: Order, texts: Sequence[str], given_up: Mapping[str, str], stop: str, *, may_wait: bool, deps: CoordinatorDeps
) -> dict[str, Any]:
    """Read the results, have them summed up, store the report. Returns the session's status and reason.

    Args:
        given_up: why, for each task that was given up.
        stop: why the session stopped before its tasks; "" when it did not.
        may_wait: whether this is tried again when the model, or money, is to be had a little later.

    Raises:
        errors.Throttled, OverBudgetError: only when ``may_wait``.
    """
    deps.prepare()  # for the summary
    ended, documents = examined(order.session_id, deps.store.tasks(order.session_id), deps.find_all)
    report = Report.of(order.session_id, named(texts), ended, documents)
    session = deps.store.get(order.session_id) or {}
    status, reason = _ending(session, order, texts, len(documents))
    if status is not Status.COMPLETE and not reason:
        why = {**given_up, **{result.task_id: result.reason for result in ended if result.reason == BAD_EVIDENCE}}
        reason = brief(stop) or _missing(texts, {name: said for name, said in why.items() if name not in documents})
    report.summary, model = f"No task was done: {reason}.", deps.model.model_id
    if documents:
        report.summary, model = _summary(order, report, may_wait, deps)
    session = deps.store.get(order.session_id) or session
    document = report.document(status=status, cost_usd=usd(int(session.get("spent", 0))), model=model)
    deps.put(report_key(order.session_id), _stored(document))
    return {"status": str(status), "reason": reason, "done": len(documents), "tasks": len(texts)}


def close(order: Order, summed_up: Mapping[str, Any], deps: CoordinatorDeps) -> dict[str, Any]:
    """End the session and tell the archive. A session that was cancelled meanwhile stays so, also in its report."""
    deps.store.end(order.session_id, Status(summed_up["status"]), reason=summed_up["reason"])
    session = deps.store.get(order.session_id) or summed_up
    key = report_key(order.session_id)
    stored = deps.get(key)
    document = json.loads(stored)
    if document["status"] != session["status"]:
        document["status"] = session["status"]
        stored = _stored(document)
        deps.put(key, stored)
    _tell_archive(order, document, key, stored, session["reason"], deps)
    ended = {**summed_up, "status": session["status"], "reason": session["reason"]}
    deps.log.info("session ended", session_id=order.session_id, **ended)
    return ended


def give_up(order: Order, texts: Sequence[str], problem: str, deps: CoordinatorDeps) -> None:
    """End a session whose report could not be made, and tell the archive so: history lacks none that ended."""
    deps.store.end(order.session_id, Status.FAILED, reason=problem)
    session = deps.store.get(order.session_id) or {"status": str(Status.FAILED), "reason": problem}
    document = {
        "status": session["status"],
        "cost_usd": usd(int(session.get("spent", 0))),
        "results": texts,
        "model": deps.model.model_id,
    }
    _tell_archive(order, document, "", b"", session["reason"], deps)


def _ending(session: Mapping[str, Any], order: Order, texts: Sequence[str], done: int) -> tuple[Status, str]:
    """The session's own end when it has one (it was cancelled, or given up for lost), else what the results say."""
    if session and Status(session["status"]).final:
        return Status(session["status"]), session["reason"]
    return outcome(done, len(texts), order.quorum), ""


def _missing(texts: Sequence[str], given_up: Mapping[str, str]) -> str:
    """Why tasks are missing, most frequent reason first; "" when none is."""
    counts = Counter(reason or "failed" for reason in given_up.values())
    said = ", ".join(f"{reason} ({count} of {len(texts)} tasks)" for reason, count in counts.most_common())
    return brief(said)


def brief(reason: str) -> str:
    """A reason as long as a session's may be."""
    return reason if len(reason) <= _REASON_CHARS else f"{reason[: _REASON_CHARS - 3]}..."


def _summary(order: Order, report: Report, may_wait: bool, deps: CoordinatorDeps) -> tuple[str, str]:
    """The model's summary and its name, or why there is none: findings are never lost for want of it."""
    prompt = prompts.report(goal=order.goal or "", findings=report.digest())
    may_wait = may_wait and order.deadline_ms - deps.now_ms() > _WORTH_WAITING_MS
    try:
        answer = paid.ask(order, prompt, prompts.report_answer(), until_ms=order.deadline_ms, deps=deps)
    except (errors.ModelError, OverBudgetError, SessionOverError) as error:
        later = isinstance(error, errors.Throttled) or (isinstance(error, OverBudgetError) and error.later)
        if may_wait and later:
            raise
        deps.log.warning("no summary", session_id=order.session_id, why=str(error))
        return f"No summary could be written ({error}). The findings below are complete.", deps.model.model_id
    return answer.value.summary, answer.model_id


def _stored(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, sort_keys=True).encode()


def _tell_archive(
    order: Order, document: Mapping[str, Any], key: str, stored: bytes, reason: str, deps: CoordinatorDeps
) -> None:
    now = deps.now_ms()
    content = {
        "kind": "session",
        "session_id": order.session_id,
        "status": document["status"],
        "reason": reason,
        "created_ms": order.created_ms,
        "ended_ms": now,
        "budget_nusd": order.budget_nusd,
        "spent_nusd": round(document["cost_usd"] * 1e9),
        "tasks": len(document["results"]),
        "model": document["model"],
        "s3_key": key,
    }
    deps.archive(
        compose(
            performative=Performative.INFORM,
            sender=COORDINATOR,
            receiver=COORDINATOR,
            conversation_id=conversation(order.session_id),
            message_id=new_message_id(),
            timestamp=now,
            content=content,
            citation=Citation(f"if://session/{order.session_id}", evidence(stored)),
            reply_by=now + ARCHIVED_MS,
        )
    )
