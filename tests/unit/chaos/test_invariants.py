"""Each invariant of chaos runs holds for a good session, and names what is broken in a bad one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from infrafabric.swarm.status import SessionStatus
from tests.chaos import invariants
from tests.chaos.evidence import HistoryRow, LeftMessage, RunEvidence, SessionEvidence, StoredDocument
from tests.unit.chaos.evidence_of import DONE_KEY, FINDING, HASH, run_of, session_of, with_item, with_report

SECOND_KEY = ("t0002", 0, "h01")
ROW = HistoryRow(DONE_KEY, "DONE", HASH, 30)
STORED = StoredDocument(HASH, "DONE", [FINDING], 1_100_000)
TWO_ROWS = [{"task": text, "status": "FAILED", "evidence_hash": ""} for text in ("one", "two")]


def test_a_run_in_which_all_went_well_violates_nothing() -> None:
    assert invariants.violations(run_of()) == []


@pytest.mark.parametrize(
    ("invariant", "broken", "text"),
    [
        ("named_outcome", with_item(status=SessionStatus.RUNNING), "has not ended"),
        ("named_outcome", with_item(reason=""), "without a reason"),
        ("named_outcome", with_item(reason="botocore.errorfactory.ThrottlingException: x"), "names code"),
        ("named_outcome", session_of(report=None), "without a report"),
        ("no_result_lost", session_of(documents={DONE_KEY: STORED, SECOND_KEY: STORED}), "t0002"),
        ("no_result_lost", with_report(results=TWO_ROWS), "t0001"),
        ("no_result_lost", with_report(results=TWO_ROWS[:1]), "1 rows for 2 tasks"),
        ("report_is_evidence", session_of(documents={}), "no stored object"),
        (
            "report_is_evidence",
            session_of(documents={DONE_KEY: replace(STORED, findings=[{**FINDING, "confidence": 0.9}])}),
            "is not in its object",
        ),
        ("no_row_twice", session_of(history=(ROW, ROW)), "2 rows of the attempt"),
        ("no_row_twice", session_of(history_sessions=(("PARTIAL", 35, 100),) * 2), "2 rows of the session"),
        ("history_exact", session_of(history=()), "lacks the result"),
        ("history_exact", session_of(history=(ROW, replace(ROW, key=SECOND_KEY))), "nobody believed"),
        ("history_exact", session_of(history=(replace(ROW, cost_nusd=31),)), "31"),
        ("history_exact", session_of(history_sessions=()), "lacks the session"),
        ("history_exact", session_of(history_sessions=(("PARTIAL", 36, 100),)), "36"),
        ("within_budget", session_of(highest_nusd=10**9 + 1), "1000000001 nano-USD were spent and committed"),
        ("within_budget", with_item(spent_nusd=10**9), "were spent and committed"),
        ("within_budget", session_of(calls=()), "results and calls cost 30"),
        ("within_budget", with_report(cost_usd=0.5), "the report states"),
        ("only_unanswered_reserved", with_item(committed_nusd=0), "unanswered attempts may spend 100"),
        ("only_unanswered_reserved", with_item(committed_nusd=101), "101 nano-USD are committed"),
    ],
)
def test_a_broken_session_is_named(invariant: str, broken: SessionEvidence, text: str) -> None:
    found = invariants.violations(run_of(sessions=(broken,)))
    assert any(line.startswith(f"s1: {invariant}: ") and text in line for line in found), found


@pytest.mark.parametrize(
    ("invariant", "broken", "text"),
    [
        ("cap_exact", run_of(cap_nusd=136), "counts 136 nano-USD, and the sessions 135"),
        ("cap_exact", run_of(cap_running_nusd=1), "holds 1 nano-USD for running sessions"),
        ("messages_explained", run_of(messages=(LeftMessage("x-h02-inbox", 1, ""),)), "received 1 times"),
        ("messages_explained", run_of(messages=(LeftMessage("x-h01-inbox", 0, ""),)), "received 0 times"),
        ("messages_explained", run_of(messages=(LeftMessage("x-results.fifo", 1, ""),)), "x-results.fifo"),
        ("messages_explained", run_of(messages=(LeftMessage("x-h01-inbox-dlq", 1, "replayed"),)), "replayed"),
        ("messages_explained", run_of(messages=(LeftMessage("x-h01-inbox-dlq", 1, "", "y"),)), "no reason: y"),
        ("few_model_calls", run_of(answered_tasks=3), "3 model calls were answered for 2 tasks"),
        ("something_struck", run_of(struck={"throttle api dynamodb:GetItem": 0}), "no fault struck"),
    ],
)
def test_a_broken_run_is_named(invariant: str, broken: RunEvidence, text: str) -> None:
    found = invariants.violations(broken)
    assert any(line.startswith(f"{invariant}: ") and text in line for line in found), found


def test_a_result_that_was_stored_after_the_last_look_is_not_lost() -> None:
    late = replace(STORED, written_ms=1_199_000)
    assert not list(invariants.no_result_lost(session_of(documents={DONE_KEY: STORED, SECOND_KEY: late})))


@pytest.mark.parametrize(
    ("fault", "left"),
    [
        ("kill h01", LeftMessage("infrafabric-dev-h01-inbox", 1, "")),
        ("kill recorder", LeftMessage("infrafabric-dev-results.fifo", 1, "")),
        ("deliver-twice h01-inbox sqs:Deliver", LeftMessage("infrafabric-dev-h01-inbox", 2, "")),
        (
            "error-after coordinator sns:PublishBatch",
            LeftMessage("infrafabric-dev-h01-inbox-dlq", 1, "replayed"),
        ),
    ],
)
def test_a_message_is_explained_by_its_fault_alone(fault: str, left: LeftMessage) -> None:
    assert not list(invariants.messages_explained(run_of(messages=(left,), struck={fault: 1})))
    assert list(invariants.messages_explained(run_of(messages=(left,), struck={fault: 0, "kill h09": 1})))
