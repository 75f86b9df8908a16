"""Collection of the evidence of a session from the tables, objects and rows that remain of it."""

from __future__ import annotations

import json
from typing import Any

import psycopg

from infrafabric.money import nano_usd
from infrafabric.swarm.evidence import evidence_hash
from infrafabric.swarm.object_keys import report_key
from infrafabric.swarm.own_calls import PLAN, REPORT
from infrafabric.swarm.table_keys import CAP, call_sort_key
from tests.chaos.evidence import AttemptKey, HistoryRow, LeftMessage, SessionEvidence, StoredDocument
from tests.chaos.plan import MOST_STEP_S
from tests.e2e.conftest import Stage

_TASKS = """
SELECT task_id, attempt, agent, status, evidence_hash, cost_usd FROM task_results WHERE session_id = %s ORDER BY 1, 2
"""
_SESSIONS = "SELECT status, cost_usd, committed_usd FROM sessions WHERE session_id = %s"


def session_evidence(stage: Stage, session_id: str, *, highest_nusd: int) -> SessionEvidence:
    """Read all that remains of a session of this stack's client.

    Args:
        highest_nusd: of spent and committed money together, as clients saw them while the session ran.
    """
    store, key = stage.store(), stage.key(session_id)
    item = store.get(key)
    assert item is not None, f"{session_id} has no item"
    rounds = tuple(store.rounds(key))
    report, written_ms = _report(stage, session_id)
    noted_ms = _report_call_ms(stage, key.partition)
    # The coordinator's clock may have been stepped; S3's was not.
    began_ms = written_ms if noted_ms is None else min(written_ms, noted_ms) - round(1000 * MOST_STEP_S)
    rows, session_rows = _history(stage, item.session_id)
    return SessionEvidence(
        item=item,
        texts=tuple(store.task_texts(store.order(key))),
        rounds=rounds,
        calls=tuple(call for name in (PLAN, REPORT) for call in store.calls(key, name)),
        report=report,
        report_began_ms=began_ms,
        documents=_documents(stage, session_id, rounds),
        history=rows,
        history_sessions=session_rows,
        highest_nusd=highest_nusd,
    )


def _report(stage: Stage, session_id: str) -> tuple[dict[str, Any] | None, int]:
    s3 = stage.platform.client("s3")
    try:
        found = s3.get_object(Bucket=stage.outputs["results_bucket"], Key=report_key(stage.key(session_id)))
    except s3.exceptions.NoSuchKey:
        return None, 0
    return json.loads(found["Body"].read()), round(found["LastModified"].timestamp() * 1000)


def _report_call_ms(stage: Stage, partition: str) -> int | None:
    """Return when the first call for a summary was noted: the last look for results was over by then."""
    name = {"pk": {"S": partition}, "sk": {"S": call_sort_key(REPORT, 0)}}
    found = stage.platform.client("dynamodb").get_item(TableName=stage.outputs["sessions_table"], Key=name)
    return int(found["Item"]["at_ms"]["N"]) if "at_ms" in found.get("Item", {}) else None


def _documents(stage: Stage, session_id: str, rounds: tuple[Any, ...]) -> dict[AttemptKey, StoredDocument]:
    s3, found = stage.platform.client("s3"), {}
    for attempt in (attempt for part in rounds for attempt in part.attempts):
        place = attempt.place(stage.key(session_id))
        try:
            stored = s3.get_object(Bucket=stage.outputs["results_bucket"], Key=place)
        except s3.exceptions.NoSuchKey:
            continue
        raw = stored["Body"].read()
        document = json.loads(raw)
        found[attempt.task_id, attempt.number, attempt.agent] = StoredDocument(
            evidence_hash=evidence_hash(raw),
            status=document["status"],
            findings=document.get("findings", []),
            written_ms=round(stored["LastModified"].timestamp() * 1000),
        )
    return found


def _history(stage: Stage, internal_id: str) -> tuple[tuple[HistoryRow, ...], tuple[tuple[str, int, int], ...]]:
    assert stage.platform.database_url
    with psycopg.connect(stage.platform.database_url) as connection:
        tasks = connection.execute(_TASKS.encode(), (internal_id,)).fetchall()
        sessions = connection.execute(_SESSIONS.encode(), (internal_id,)).fetchall()
    rows = tuple(HistoryRow((t, n, a), status, digest, nano_usd(cost)) for t, n, a, status, digest, cost in tasks)
    return rows, tuple((status, nano_usd(cost), nano_usd(committed)) for status, cost, committed in sessions)


def left_messages(queued: list[dict[str, Any]]) -> tuple[LeftMessage, ...]:
    """Return the messages of all queues, from the emulator's list of them."""
    return tuple(
        LeftMessage(
            queue=message["queue"],
            receives=message["receives"],
            reason=message["attributes"].get("reason") or "",
            detail=message["attributes"].get("detail") or "",
        )
        for message in queued
    )


def daily_cap(stage: Stage, owner: str) -> tuple[int, int]:
    """Return the total of an owner's daily caps, and the part that running sessions hold, in nano-USD."""
    dynamodb, total, running = stage.platform.client("dynamodb"), 0, 0
    for page in dynamodb.get_paginator("scan").paginate(TableName=stage.outputs["sessions_table"]):
        for item in page["Items"]:
            if item["sk"]["S"] == CAP and item["pk"]["S"].startswith(f"cap#{owner}#"):
                total += int(item["total_nusd"]["N"])
                running += int(item["running_nusd"]["N"])
    return total, running
