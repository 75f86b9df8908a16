"""Evidence of a session in which nothing went wrong, and changes to it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from infrafabric.swarm.shapes.attempt import Attempt
from infrafabric.swarm.shapes.model_call import ModelCall
from infrafabric.swarm.shapes.result import TaskResult
from infrafabric.swarm.shapes.round import RoundPart
from infrafabric.swarm.shapes.session_item import SessionItem
from infrafabric.swarm.status import SessionStatus, TaskStatus
from tests.chaos.evidence import HistoryRow, RunEvidence, SessionEvidence, StoredDocument
from tests.unit.swarm.orders import an_order

HASH = "sha256:" + "ab" * 32
DONE_KEY = ("t0001", 0, "h01")
FINDING = {"text": "a claim", "confidence": 0.5, "sources": ["reasoning"]}


def attempt(index: int, **changes: Any) -> Attempt:
    """Return an attempt at a task by agent h01, with an allowance of 100 nano-USD."""
    members = {"index": index, "number": 0, "agent": "h01", "allowance_nusd": 100, "message_id": f"m{index}"}
    return Attempt(**{**members, **changes})


def session_of(**changes: Any) -> SessionEvidence:
    """Return a session of two tasks: the first is done for 30 nano-USD, the second was never answered."""
    order = an_order(tasks=("one", "two"))
    result = TaskResult(
        task_id="t0001", agent="h01", attempt=0, status=TaskStatus.DONE, evidence_hash=HASH, cost_nusd=30
    )
    numbers = {"spent_nusd": 35, "committed_nusd": 100, "tasks_done": 1, "tasks_failed": 1}
    item = SessionItem.of(order, digest="d", model="m").model_copy(
        update={"status": SessionStatus.PARTIAL, "reason": "silent", "ended_ms": 1_300_000, **numbers}
    )
    report = {
        "cost_usd": 35e-9,
        "committed_usd": 100e-9,
        "results": [
            {"task": "one", "status": "DONE", "evidence_hash": HASH},
            {"task": "two", "status": "FAILED", "evidence_hash": ""},
        ],
        "findings": [{**FINDING, "agent": "h01", "evidence_hash": HASH}],
    }
    evidence = SessionEvidence(
        item=item,
        texts=("one", "two"),
        rounds=(RoundPart(number=0, part=0, attempts=(attempt(0), attempt(1)), settled=True, results=(result,)),),
        calls=(ModelCall(name="report", number=0, reserved_nusd=9, spent_nusd=5),),
        report=report,
        report_began_ms=1_200_000,
        documents={DONE_KEY: StoredDocument(HASH, "DONE", [FINDING], 1_100_000)},
        history=(HistoryRow(DONE_KEY, "DONE", HASH, 30),),
        history_sessions=(("PARTIAL", 35, 100),),
        highest_nusd=200,
    )
    return replace(evidence, **changes)


def with_item(**changes: Any) -> SessionEvidence:
    """Return the session with these members of its item changed."""
    session = session_of()
    return replace(session, item=session.item.model_copy(update=changes))


def with_report(**changes: Any) -> SessionEvidence:
    """Return the session with these members of its report changed."""
    session = session_of()
    return replace(session, report={**(session.report or {}), **changes})


def run_of(**changes: Any) -> RunEvidence:
    """Return a run of that session in which agent h01 was killed once."""
    run = RunEvidence(
        sessions=(session_of(),),
        struck={"kill h01": 1, "throttle api dynamodb:GetItem": 0},
        answered_tasks=2,
        messages=(),
        cap_nusd=135,
        cap_running_nusd=0,
    )
    return replace(run, **changes)
