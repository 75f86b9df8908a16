"""A session's report: findings and results merged by rule, summed up by a model."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from infrafabric.swarm.session import TaskResult, task_id, usd

DIGEST_CHARS = 60_000  # what the summing model reads of the findings: about 15,000 tokens, whatever the session's size


def evidence(stored: bytes) -> str:
    """The evidence hash of stored bytes."""
    return f"sha256:{hashlib.sha256(stored).hexdigest()}"


def named(texts: Sequence[str]) -> dict[str, str]:
    """Tasks by their ids."""
    return {task_id(index): text for index, text in enumerate(texts)}


@dataclass
class Report:
    """``findings`` surest first; ``results`` in the order of the tasks."""

    session_id: str
    findings: list[dict[str, Any]]
    results: list[dict[str, Any]]
    summary: str = ""

    @classmethod
    def of(
        cls,
        session_id: str,
        texts: Mapping[str, str],
        ended: Iterable[TaskResult],
        documents: Mapping[str, Mapping[str, Any]],
    ) -> Report:
        """Every task of ``texts`` has its row, whatever became of it.

        Args:
            texts: what was asked, by task id.
            ended: how tasks ended, in any order.
            documents: the stored results of those that were done, by task id.
        """
        by_id = {result.task_id: result for result in ended}
        found = [
            {**finding, "agent": result.agent, "evidence_hash": result.evidence_hash}
            for result in by_id.values()
            if result.status == "DONE"
            for finding in documents[result.task_id]["findings"]
        ]
        found.sort(key=lambda finding: -finding["confidence"])
        return cls(session_id, found, [_row(text, by_id.get(name)) for name, text in texts.items()])

    def digest(self) -> str:
        """The findings as the summing model reads them, surest first, as many as fit."""
        lines, size = [], 0
        for finding in self.findings:
            line = f"- ({finding['confidence']:.2f}, {finding['agent']}) {finding['text']}"
            size += len(line) + 1
            if size > DIGEST_CHARS:
                break
            lines.append(line)
        left = len(self.findings) - len(lines)
        return "\n".join([*lines, *([f"- and {left} less sure findings"] if left else [])])

    def document(self, *, status: str, cost_usd: float, model: str) -> dict[str, Any]:
        """What ``GET /sessions/{id}/report`` answers."""
        return {
            "session_id": self.session_id,
            "status": str(status),
            "summary": self.summary,
            "findings": self.findings,
            "results": self.results,
            "cost_usd": cost_usd,
            "model": model,
        }


def _row(text: str, result: TaskResult | None) -> dict[str, Any]:
    if result is None:
        nothing = {"agent": "", "s3_key": "", "evidence_hash": "", "tokens": 0, "cost_usd": 0.0}
        return {"task": text, "status": "SKIPPED", **nothing}
    return {
        "task": text,
        "agent": result.agent,
        "status": result.status,
        "s3_key": result.s3_key,
        "evidence_hash": result.evidence_hash,
        "tokens": result.tokens_in + result.tokens_out,
        "cost_usd": usd(result.cost_nusd),
        **({"reason": result.reason} if result.reason else {}),
    }
