"""Session report: findings and results of all tasks, merged by rule; a model only writes the summary."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from infrafabric.money import usd
from infrafabric.swarm.assignment import task_id
from infrafabric.swarm.evidence import evidence_hash
from infrafabric.swarm.failure_reasons import BAD_EVIDENCE
from infrafabric.swarm.limits import MAX_FINDINGS
from infrafabric.swarm.object_keys import result_key
from infrafabric.swarm.shapes.order import Order
from infrafabric.swarm.shapes.result import TaskResult
from infrafabric.swarm.status import TaskStatus

DIGEST_CHARS = 60_000  # of the findings in the summary's prompt: about 15,000 tokens, whatever the session's size
_LEAST_TEXT_CHARS = 300  # of a finding in the digest, however many tasks there are
_TASK_CHARS = 200  # of a task's text in the digest
_FAILED_TASKS = 20  # that the digest names; it counts the others


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
    if not isinstance(findings, list) or len(findings) > MAX_FINDINGS:
        return None
    return document if all(map(_is_finding, findings)) else None


def _is_finding(value: object) -> bool:
    if not isinstance(value, dict) or type(value.get("text")) is not str:
        return False
    confidence, sources = value.get("confidence"), value.get("sources")
    if not (isinstance(sources, list) and all(type(source) is str for source in sources)):
        return False
    return isinstance(confidence, int | float) and 0 <= confidence <= 1


@dataclass
class SessionReport:
    """Report of one session: ``findings`` by descending confidence, ``results`` in the order of the tasks."""

    order: Order
    findings: list[dict[str, Any]]
    results: list[dict[str, Any]]
    summary: str = ""
    by_task: list[list[dict[str, Any]]] = field(default_factory=list)  # findings of each row of ``results``

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
        by_task = [_findings(by_id.get(name), documents) for name in texts]
        findings = sorted((one for found in by_task for one in found), key=_surest_first)
        return cls(order, findings, [_row(text, by_id.get(name)) for name, text in texts.items()], by_task=by_task)

    def digest(self) -> str:
        """Return what the summary's prompt lists, as JSON: findings by task, and tasks without an answer.

        Each task has a fair share of ``DIGEST_CHARS``: the surest finding of every task comes before the second one of
        any, and a long text is cut. JSON keeps a text from imitating another agent's finding.
        """
        with_findings = [number for number, found in enumerate(self.by_task) if found]
        longest = max(_LEAST_TEXT_CHARS, DIGEST_CHARS // (2 * len(with_findings) or 1))
        listed: dict[int, dict[str, Any]] = {}
        size = kept = 0
        for rank in range(max(map(len, self.by_task), default=0)):
            ranked = [number for number in with_findings if len(self.by_task[number]) > rank]
            for number in sorted(ranked, key=lambda number: _surest_first(self.by_task[number][rank])):
                finding = self.by_task[number][rank]
                short = {"confidence": finding["confidence"], "text": _cut(finding["text"], longest)}
                head = {"task": _cut(self.results[number]["task"], _TASK_CHARS), "agent": finding["agent"]}
                more = len(_json(short)) + (0 if number in listed else len(_json(head)))
                if size + more > DIGEST_CHARS:
                    continue
                size, kept = size + more, kept + 1
                listed.setdefault(number, {**head, "findings": []})["findings"].append(short)
        without = [row for row in self.results if row["status"] != TaskStatus.DONE]
        document = {
            "tasks": [listed[number] for number in sorted(listed)],
            "findings_left_out": len(self.findings) - kept,
            "tasks_without_answer": len(without),
            "without_answer": [
                {"task": _cut(row["task"], _TASK_CHARS), "status": row["status"], "reason": row.get("reason", "")}
                for row in without[:_FAILED_TASKS]
            ],
        }
        return _json(document)

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


def _findings(result: TaskResult | None, documents: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the findings of a done task, surest first, with the members of a finding and no others."""
    if result is None or not result.done:
        return []
    found = [
        {
            "text": finding["text"],
            "confidence": finding["confidence"],
            "sources": finding["sources"],
            "agent": result.agent,
            "evidence_hash": result.evidence_hash,
        }
        for finding in documents[result.task_id]["findings"]
    ]
    return sorted(found, key=_surest_first)


def _surest_first(finding: Mapping[str, Any]) -> float:
    return -finding["confidence"]


def _cut(text: str, chars: int) -> str:
    return text if len(text) <= chars else f"{text[: chars - 1]}…"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


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
