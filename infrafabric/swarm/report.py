"""A session's report: findings and results merged by rule, summed up by a model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from infrafabric.swarm.session import TaskResult, result_key, task_id, usd

DIGEST_CHARS = 60_000  # what the summing model reads of the findings: about 15,000 tokens, whatever the session's size

BAD_EVIDENCE = "bad-evidence"  # a row says that a task was done, and its object does not bear that out


def evidence(stored: bytes) -> str:
    """The evidence hash of stored bytes."""
    return f"sha256:{hashlib.sha256(stored).hexdigest()}"


def named(texts: Sequence[str]) -> dict[str, str]:
    """Tasks by their ids."""
    return {task_id(index): text for index, text in enumerate(texts)}


def examined(
    session_id: str, ended: Iterable[TaskResult], find_all: Callable[[Sequence[str]], Sequence[bytes | None]]
) -> tuple[list[TaskResult], dict[str, dict[str, Any]]]:
    """How tasks ended, and by task id what was stored of those that were done, as far as both can be believed.

    Any agent may write a row. What it says was done counts when the object lies where nobody but the row's agent may
    write, has the row's hash, and holds findings. Else the task failed, with reason ``bad-evidence``.
    """
    rows = list(ended)
    done = [result for result in rows if result.status == "DONE" and result.s3_key == _place(session_id, result)]
    stored = find_all([result.s3_key for result in done])
    found = {result.task_id: _document(result, body) for result, body in zip(done, stored, strict=True)}
    documents = {name: document for name, document in found.items() if document is not None}
    believed = [
        result
        if result.status != "DONE" or result.task_id in documents
        else replace(result, status="FAILED", reason=BAD_EVIDENCE)
        for result in rows
    ]
    return believed, documents


def _place(session_id: str, result: TaskResult) -> str:
    return result_key(session_id, result.agent, result.task_id, result.attempt)


def _document(result: TaskResult, stored: bytes | None) -> dict[str, Any] | None:
    if stored is None or evidence(stored) != result.evidence_hash:
        return None
    try:
        document = json.loads(stored)
    except (ValueError, RecursionError):
        return None
    findings = document.get("findings") if isinstance(document, dict) else None
    return document if isinstance(findings, list) and all(map(_is_finding, findings)) else None


def _is_finding(value: object) -> bool:
    if not isinstance(value, dict) or type(value.get("text")) is not str:
        return False
    confidence = value.get("confidence")
    return isinstance(confidence, int | float) and 0 <= confidence <= 1


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
