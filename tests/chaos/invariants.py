"""Invariants: each is a pure function of the evidence, and returns its violations as sentences."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator

from infrafabric.money import nano_usd
from infrafabric.swarm.shapes.result import TaskResult
from infrafabric.swarm.status import SessionStatus, TaskStatus
from tests.chaos.evidence import AttemptKey, RunEvidence, SessionEvidence

MOST_ANSWERED_PER_TASK = 1.15
_LATE_MS = 2_000  # S3 states the time of an object in whole seconds
_CLASS_PATH = re.compile(r"Traceback|\b[\w.]+(?:Error|Exception)\b|<class ")

_LEAVES_MESSAGES = ("kill", "stop", "clock", "deliver-twice")  # the function is killed for a step of its clock

Violations = Iterator[str]


def named_outcome(session: SessionEvidence) -> Violations:
    """Every session has ended, and says why if it is not complete."""
    item = session.item
    if not item.status.final:
        yield f"status is {item.status}: the session has not ended"
    elif item.status is not SessionStatus.COMPLETE and not item.reason:
        yield f"status is {item.status}, without a reason"
    if _CLASS_PATH.search(item.reason):
        yield f"the reason names code: {item.reason}"
    if item.status.final and session.report is None and session.rounds:
        yield f"status is {item.status}, without a report"


def no_result_lost(session: SessionEvidence) -> Violations:
    """A result that was stored before the last look for results is in the report."""
    done = _done_tasks(session)
    for (task, attempt, agent), document in sorted(session.documents.items()):
        stored_in_time = document.written_ms + _LATE_MS < session.report_began_ms
        if document.status == TaskStatus.DONE and stored_in_time and task not in done:
            yield f"{agent} stored the result of {task}.{attempt}, and the report has none"
    if session.report is not None and len(session.report["results"]) != len(session.texts):
        yield f"the report has {len(session.report['results'])} rows for {len(session.texts)} tasks"


def report_is_evidence(session: SessionEvidence) -> Violations:
    """Each finding of the report is one of the stored object that its evidence hash names."""
    if session.report is None:
        return
    by_hash = {document.evidence_hash: document for document in session.documents.values()}
    for row in session.report["results"]:
        if row["status"] == TaskStatus.DONE and row["evidence_hash"] not in by_hash:
            yield f"no stored object has the evidence hash of the task {row['task']!r}"
    for finding in session.report["findings"]:
        document = by_hash.get(finding["evidence_hash"])
        bare = {name: value for name, value in finding.items() if name not in ("agent", "evidence_hash")}
        if document is None or bare not in document.findings:
            yield f"the finding {finding['text'][:60]!r} of {finding['agent']} is not in its object"


def no_row_twice(session: SessionEvidence) -> Violations:
    """History has one row per attempt and one per session."""
    for key, count in Counter(row.key for row in session.history).items():
        if count > 1:
            yield f"history has {count} rows of the attempt {key}"
    if len(session.history_sessions) > 1:
        yield f"history has {len(session.history_sessions)} rows of the session"


def history_exact(session: SessionEvidence) -> Violations:
    """History has the results that the coordinator believed, no more, and the session's final numbers."""
    believed = {_key(result): result for part in session.rounds for result in part.results}
    rows = {row.key: row for row in session.history}
    for key in sorted(believed.keys() - rows.keys()):
        yield f"history lacks the result {key}"
    for key in sorted(rows.keys() - believed.keys()):
        yield f"history has the result {key}, which nobody believed"
    for key in sorted(rows.keys() & believed.keys()):
        row, result = rows[key], believed[key]
        stated = (row.status, row.evidence_hash, row.cost_nusd)
        if stated != (str(result.status), result.evidence_hash, result.cost_nusd):
            yield f"history has {stated} for {key}, and the round has {result.status}, {result.cost_nusd} nano-USD"
    item = session.item
    final = (str(item.status), item.spent_nusd, item.committed_nusd)
    if session.history_sessions and final not in session.history_sessions:
        yield f"history has {session.history_sessions[0]} for the session, and the session {final}"
    if not session.history_sessions:
        yield "history lacks the session"


def within_budget(session: SessionEvidence) -> Violations:
    """Spent and committed money never exceed the budget together, and the sums are those of the parts."""
    item = session.item
    most = max(session.highest_nusd, item.spent_nusd + item.committed_nusd)
    if most > item.budget_nusd:
        yield f"{most} nano-USD were spent and committed, of {item.budget_nusd}"
    paid = sum(result.cost_nusd for part in session.rounds for result in part.results)
    paid += sum(call.spent_nusd or 0 for call in session.calls)
    if paid != item.spent_nusd:
        yield f"{item.spent_nusd} nano-USD are counted as spent, and results and calls cost {paid}"
    if session.report is not None:
        stated = nano_usd(session.report["cost_usd"]), nano_usd(session.report["committed_usd"])
        if stated != (item.spent_nusd, item.committed_nusd):
            yield f"the report states {stated} nano-USD, and the session {item.spent_nusd}, {item.committed_nusd}"


def unanswered_nusd(session: SessionEvidence) -> int:
    """Return what unanswered attempts and calls of unknown cost may still spend, in nano-USD."""
    attempts = sum(attempt.allowance_nusd for part in session.rounds for attempt in part.unanswered())
    return attempts + sum(call.committed_nusd for call in session.calls)


def only_unanswered_reserved(session: SessionEvidence) -> Violations:
    """An ended session holds exactly the money that its unanswered attempts and calls may still spend."""
    may_spend = unanswered_nusd(session)
    if session.item.status.final and session.item.committed_nusd != may_spend:
        yield f"{session.item.committed_nusd} nano-USD are committed, and unanswered attempts may spend {may_spend}"


def cap_exact(run: RunEvidence) -> Violations:
    """The daily cap of the owner has what the sessions spent and may still spend, and nothing for running ones."""
    items = [session.item for session in run.sessions]
    total = sum(item.spent_nusd + item.committed_nusd for item in items if item.status.final)
    running = sum(item.budget_nusd for item in items if not item.status.final)
    if run.cap_nusd != total + running:
        yield f"the daily cap counts {run.cap_nusd} nano-USD, and the sessions {total + running}"
    if run.cap_running_nusd != running:
        yield f"the daily cap holds {run.cap_running_nusd} nano-USD for running sessions, which hold {running}"


def messages_explained(run: RunEvidence) -> Violations:
    """A message that is left has a fault that explains it.

    A message that a killed function received comes again when its visibility timeout ends; one that was delivered
    twice at the same time, when the lease of the other delivery ends. A request that was published twice, byte for
    byte, because the SDK got an error after the first time, is dead-lettered as replayed.
    """
    struck = [fault.split() for fault, count in run.struck.items() if count]
    received = {words[1].removesuffix("-inbox") for words in struck if words[0] in _LEAVES_MESSAGES}
    published_twice = run.struck.get("error-after coordinator sns:PublishBatch", 0)
    for message in run.messages:
        if "-dlq" in message.queue:
            if not (message.reason == "replayed" and published_twice):
                yield f"{message.queue} has a message with {message.reason or 'no reason'}: {message.detail}"
        elif not message.receives or _consumer(message.queue) not in received:
            yield f"{message.queue} has a message that was received {message.receives} times and not deleted"


def few_model_calls(run: RunEvidence) -> Violations:
    """Faults cost few answered model calls."""
    tasks = sum(len(session.texts) for session in run.sessions)
    if run.answered_tasks > MOST_ANSWERED_PER_TASK * tasks:
        yield f"{run.answered_tasks} model calls were answered for {tasks} tasks"


def something_struck(run: RunEvidence) -> Violations:
    """A run in which no fault struck proves nothing."""
    if not any(run.struck.values()):
        yield "no fault struck"


SESSION_INVARIANTS: tuple[Callable[[SessionEvidence], Violations], ...] = (
    named_outcome,
    no_result_lost,
    report_is_evidence,
    no_row_twice,
    history_exact,
    within_budget,
    only_unanswered_reserved,
)
RUN_INVARIANTS: tuple[Callable[[RunEvidence], Violations], ...] = (
    cap_exact,
    messages_explained,
    few_model_calls,
    something_struck,
)


def violations(run: RunEvidence) -> list[str]:
    """Return the violations of all invariants, each with the session that it is about."""
    found = [
        f"{session.item.session_id}: {invariant.__name__}: {text}"
        for session in run.sessions
        for invariant in SESSION_INVARIANTS
        for text in invariant(session)
    ]
    return found + [f"{invariant.__name__}: {text}" for invariant in RUN_INVARIANTS for text in invariant(run)]


def _consumer(queue: str) -> str:
    """Return the short name of the function that reads a queue, such as h03."""
    agent = re.search(r"-(h\d\d)-inbox$", queue)
    return agent[1] if agent else "recorder"


def _key(result: TaskResult) -> AttemptKey:
    return result.task_id, result.attempt, result.agent


def _done_tasks(session: SessionEvidence) -> set[str]:
    rows = session.report["results"] if session.report else []
    return {f"t{number:04}" for number, row in enumerate(rows, start=1) if row["status"] == TaskStatus.DONE}
