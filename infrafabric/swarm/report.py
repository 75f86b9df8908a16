"""Session report: findings and results of all tasks, merged by rule; a model only writes the summary."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from infrafabric.money import usd
from infrafabric.swarm.assignment import task_id
from infrafabric.swarm.evidence import evidence_hash
from infrafabric.swarm.failure_reasons import BAD_EVIDENCE
from infrafabric.swarm.object_keys import result_key
from infrafabric.swarm.shapes.order import Order
from infrafabric.swarm.shapes.result import TaskResult
from infrafabric.swarm.status import TaskStatus

DIGEST_CHARS = 60_000  # of the findings in the summary's prompt: about 15,000 tokens, whatever the session's size


def texts_by_id(texts: Sequence[str]) -> dict[str, str]:
    """Return the texts of tasks by task id."""
    return {task_id(index): text for index, text in enumerate(texts)}


def believed_results(
    session_id: str, results: Iterable[TaskResult], find_all: Callable[[Sequence[str]], Sequence[bytes | None]]
) -> tuple[list[TaskResult], dict[str, dict[str, Any]]]:
    """Return the results of tasks, and per done task the stored document, as far as both can be believed.

    Any agent may write a row. A row's done task counts if the object lies where only the row's agent may write, has the
    row's hash and holds findings. Otherwise the task failed with reason ``bad-evidence``.
    """
    rows = list(results)
    done = [result for result in rows if result.done and result.s3_key == _expected_key(session_id, result)]
    bodies = find_all([result.s3_key for result in done])
    parsed = {result.task_id: _document(result, body) for result, body in zip(done, bodies, strict=True)}
    documents = {name: document for name, document in parsed.items() if document is not None}
    failed = {"status": TaskStatus.FAILED, "reason": BAD_EVIDENCE}
    believed = [
        result if not result.done or result.task_id in documents else result.model_copy(update=failed)
        for result in rows
    ]
    return believed, documents


def _expected_key(session_id: str, result: TaskResult) -> str:
    return result_key(session_id, result.agent, result.task_id, result.attempt)


def _document(result: TaskResult, stored: bytes | None) -> dict[str, Any] | None:
    if stored is None or evidence_hash(stored) != result.evidence_hash:
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
class SessionReport:
    """Report of one session: ``findings`` by descending confidence, ``results`` in the order of the tasks."""

    order: Order
    findings: list[dict[str, Any]]
    results: list[dict[str, Any]]
    summary: str = ""

    @classmethod
    def of(
        cls,
        order: Order,
        texts: Mapping[str, str],
        results: Iterable[TaskResult],
        documents: Mapping[str, Mapping[str, Any]],
    ) -> SessionReport:
        """Return a report with a row per task, also for tasks without a result.

        Args:
            texts: texts of the tasks by task id.
            results: results of the tasks that ended, in any order.
            documents: stored documents of done tasks by task id.
        """
        by_id = {result.task_id: result for result in results}
        findings = [
            {**finding, "agent": result.agent, "evidence_hash": result.evidence_hash}
            for result in by_id.values()
            if result.done
            for finding in documents[result.task_id]["findings"]
        ]
        findings.sort(key=lambda finding: -finding["confidence"])
        return cls(order, findings, [_row(text, by_id.get(name)) for name, text in texts.items()])

    def digest(self) -> str:
        """Return the findings as the summary's prompt lists them: by descending confidence, as many as fit."""
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
        """Return the response body of ``GET /sessions/{id}/report``."""
        return {
            "session_id": self.order.session_id,
            "status": str(status),
            "labels": list(self.order.labels),
            "summary": self.summary,
            "findings": self.findings,
            "results": self.results,
            "cost_usd": cost_usd,
            "model": model,
        }


def _row(text: str, result: TaskResult | None) -> dict[str, Any]:
    if result is None:
        nothing = {"agent": "", "s3_key": "", "evidence_hash": "", "tokens": 0, "cost_usd": 0.0}
        return {"task": text, "status": str(TaskStatus.SKIPPED), **nothing}
    return {
        "task": text,
        "agent": result.agent,
        "status": str(result.status),
        "s3_key": result.s3_key,
        "evidence_hash": result.evidence_hash,
        "tokens": result.tokens_in + result.tokens_out,
        "cost_usd": usd(result.cost_nusd),
        **({"reason": result.reason} if result.reason else {}),
    }
