"""The report: findings surest first, every task accounted for, a digest that fits the model."""

from __future__ import annotations

from typing import Any

from infrafabric.swarm.report import DIGEST_CHARS, Report, named
from infrafabric.swarm.session import TaskResult

HASH = f"sha256:{'0' * 64}"


def done(number: int, agent: str) -> TaskResult:
    return TaskResult(
        task_id=f"t{number:04}", agent=agent, attempt=0, status="DONE", s3_key=f"k{number}", evidence_hash=HASH,
        tokens_in=3, tokens_out=4, cost_nusd=1_000_000_000,
    )  # fmt: skip


def document(*confidences: float) -> dict[str, Any]:
    return {"findings": [{"text": f"fact {c}", "confidence": c, "sources": ["s"]} for c in confidences]}


def a_report() -> Report:
    failed = TaskResult(task_id="t0002", agent="", attempt=2, status="FAILED", reason="silent")
    documents = {"t0001": document(0.5, 0.9), "t0003": document(0.7)}
    return Report.of("s1", named(["a", "b", "c", "d"]), [done(3, "h03"), failed, done(1, "h01")], documents)


def test_findings_stand_surest_first_with_their_agent_and_evidence() -> None:
    found = [(f["confidence"], f["agent"], f["evidence_hash"]) for f in a_report().findings]
    assert found == [(0.9, "h01", HASH), (0.7, "h03", HASH), (0.5, "h01", HASH)]


def test_every_task_is_accounted_for() -> None:
    rows = a_report().results
    assert [(row["task"], row["status"]) for row in rows] == [
        ("a", "DONE"), ("b", "FAILED"), ("c", "DONE"), ("d", "SKIPPED")
    ]  # fmt: skip
    assert (rows[0]["tokens"], rows[0]["cost_usd"]) == (7, 1.0)
    assert rows[1]["reason"] == "silent"


def test_the_digest_fits_and_says_what_it_leaves_out() -> None:
    many = document(*[0.5] * 1)
    many["findings"] *= 5000
    report = Report.of("s1", named(["a"]), [done(1, "h01")], {"t0001": many})
    digest = report.digest()
    assert len(digest) < DIGEST_CHARS + 100
    kept = digest.count("fact 0.5")
    assert digest.endswith(f"- and {5000 - kept} less sure findings")
