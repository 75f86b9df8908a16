"""Session report: findings and results of all tasks, merged by rule; a model only writes the summary."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from infrafabric.money import usd
from infrafabric.swarm.assignment import task_id
from infrafabric.swarm.failure_reasons import NOT_NEEDED
from infrafabric.swarm.session_ids import client_id
from infrafabric.swarm.shapes.order import Order
from infrafabric.swarm.shapes.result import TaskResult
from infrafabric.swarm.shapes.round import RoundPart
from infrafabric.swarm.status import TaskStatus

DIGEST_CHARS = 60_000  # of the findings in the summary's prompt: about 15,000 tokens, whatever the session's size
# Of the findings in a report. Lambda returns 6 MB at most; the rest is room for 1,000 rows with their tasks' texts.
FINDINGS_BYTES = 4 * 1024 * 1024
_LEAST_TEXT_CHARS = 300  # of a finding in the digest, however many tasks there are
_TASK_CHARS = 200  # of a task's text in the digest
_FAILED_TASKS = 20  # that the digest names; it counts the others


def texts_by_id(texts: Sequence[str]) -> dict[str, str]:
    """Return the texts of tasks by task id."""
    return {task_id(index): text for index, text in enumerate(texts)}


def stored_findings(parts: Iterable[RoundPart], get: Callable[[str], bytes]) -> dict[str, list[dict[str, Any]]]:
    """Return the believed findings by attempt, from the objects that the coordinator stored after each round."""
    found: dict[str, Any] = {}
    for part in parts:
        if part.findings_key:
            found.update(json.loads(get(part.findings_key)))
    return found


@dataclass
class SessionReport:
    """Report of one session: ``findings`` by descending confidence, ``results`` in the order of the tasks.

    Together the findings take 4 MiB at most. If they are more, each task has a fair share.
    """

    order: Order
    findings: list[dict[str, Any]]
    results: list[dict[str, Any]]
    findings_left_out: int = 0
    summary: str = ""
    by_task: list[list[dict[str, Any]]] = field(default_factory=list)  # findings of each row of ``results``

    @classmethod
    def of(
        cls,
        order: Order,
        texts: Mapping[str, str],
        results: Iterable[TaskResult],
        findings: Mapping[str, Sequence[Mapping[str, Any]]],
        missing: Mapping[str, str],
    ) -> SessionReport:
        """Return a report with a row per task, also for tasks without a result.

        Args:
            texts: texts of the tasks by task id.
            results: believed results of all attempts, in the order of the attempts.
            findings: believed findings by attempt.
            missing: reason per task that was tried and is not done.
        """
        attempts: dict[str, list[TaskResult]] = defaultdict(list)
        for result in results:
            attempts[result.task_id].append(result)
        all_findings = [_findings(attempts[name], findings) for name in texts]
        by_task = _fair_shares(all_findings, FINDINGS_BYTES)
        flat = sorted((one for found in by_task for one in found), key=_surest_first)
        rows = [_row(text, attempts[name], missing.get(name, "")) for name, text in texts.items()]
        return cls(order, flat, rows, sum(map(len, all_findings)) - len(flat), by_task=by_task)

    @property
    def done(self) -> int:
        return sum(row["status"] == TaskStatus.DONE for row in self.results)

    @property
    def failed(self) -> int:
        return sum(row["status"] == TaskStatus.FAILED for row in self.results)

    def digest(self, chars: int = DIGEST_CHARS) -> str:
        """Return what the summary's prompt lists, as JSON: findings by task, and tasks without an answer.

        Each task has a fair share of ``chars``: the surest finding of every task comes before the second one of
        any, and a long text is cut. JSON keeps a text from imitating another agent's finding.
        """
        with_findings = [number for number, found in enumerate(self.by_task) if found]
        longest = max(_LEAST_TEXT_CHARS, chars // (2 * len(with_findings) or 1))
        listed: dict[int, dict[str, Any]] = {}
        size = kept = 0
        for rank in range(max(map(len, self.by_task), default=0)):
            ranked = [number for number in with_findings if len(self.by_task[number]) > rank]
            for number in sorted(ranked, key=lambda number: _surest_first(self.by_task[number][rank])):
                finding = self.by_task[number][rank]
                short = {"confidence": finding["confidence"], "text": _cut(finding["text"], longest)}
                head = {"task": _cut(self.results[number]["task"], _TASK_CHARS), "agent": finding["agent"]}
                more = len(_json(short)) + (0 if number in listed else len(_json(head)))
                if size + more > chars:
                    continue
                size, kept = size + more, kept + 1
                listed.setdefault(number, {**head, "findings": []})["findings"].append(short)
        without = [row for row in self.results if row["status"] != TaskStatus.DONE]
        document = {
            "tasks": [listed[number] for number in sorted(listed)],
            "findings_left_out": self.findings_left_out + len(self.findings) - kept,
            "tasks_without_answer": len(without),
            "without_answer": [
                {"task": _cut(row["task"], _TASK_CHARS), "status": row["status"], "reason": row.get("reason", "")}
                for row in without[:_FAILED_TASKS]
            ],
        }
        return _json(document)

    def document(self, *, status: str, cost_usd: float, committed_usd: float, model: str) -> dict[str, Any]:
        """Return the response body of ``GET /sessions/{id}/report``."""
        return {
            "session_id": client_id(self.order.session_id),
            "status": str(status),
            "labels": list(self.order.labels),
            "summary": self.summary,
            "findings": self.findings,
            "findings_left_out": self.findings_left_out,
            "results": self.results,
            "cost_usd": cost_usd,
            "committed_usd": committed_usd,
            "model": model,
        }


def _done(attempts: Sequence[TaskResult]) -> TaskResult | None:
    """Return the first attempt that did the task, if any."""
    return next((result for result in attempts if result.done), None)


def _findings(
    attempts: Sequence[TaskResult], findings: Mapping[str, Sequence[Mapping[str, Any]]]
) -> list[dict[str, Any]]:
    """Return the findings of a done task, surest first, each with its agent and evidence."""
    done = _done(attempts)
    if done is None:
        return []
    source = {"agent": done.agent, "evidence_hash": done.evidence_hash}
    return sorted(({**finding, **source} for finding in findings[done.name]), key=_surest_first)


def _fair_shares(by_task: Sequence[list[dict[str, Any]]], room_bytes: int) -> list[list[dict[str, Any]]]:
    """Return the surest findings of each task that fit into its fair share of the room.

    The share is max-min fair: a task with little to say is never cut for one with much.
    """
    sizes = [[_travelling_bytes(finding) for finding in found] for found in by_task]
    kept: list[list[dict[str, Any]]] = [[] for _ in by_task]
    smallest_first = sorted(range(len(by_task)), key=lambda number: sum(sizes[number]))
    for place, number in enumerate(smallest_first):
        share = room_bytes // (len(by_task) - place)
        for finding, size in zip(by_task[number], sizes[number], strict=True):
            if size <= share:
                kept[number].append(finding)
                share -= size
                room_bytes -= size
    return kept


def _travelling_bytes(value: object) -> int:
    """Return the size of a value in a response of Lambda: JSON as a string inside JSON."""
    text = json.dumps(value, ensure_ascii=False)
    return len(text.encode()) + text.count('"') + text.count("\\")


def _surest_first(finding: Mapping[str, Any]) -> float:
    return -finding["confidence"]


def _cut(text: str, chars: int) -> str:
    """Return a text that takes at most ``chars`` characters in JSON, where a control character takes six."""
    if len(_quoted(text)) <= chars:
        return text
    kept = bisect_right(range(min(chars, len(text))), chars - 1, key=lambda length: len(_quoted(text[:length])))
    return f"{text[: max(0, kept - 1)]}…"


def _quoted(text: str) -> str:
    """Return a text as JSON, without its quotation marks."""
    return _json(text)[1:-1]


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _row(text: str, attempts: Sequence[TaskResult], missing: str) -> dict[str, Any]:
    """Return a task's row, of the attempt that did it or failed last; cost and tokens are all attempts' sums."""
    result = _done(attempts) or (attempts[-1] if attempts else None)
    missing = missing or (result.reason if result else "")
    reason = "" if (result and result.done) or missing == NOT_NEEDED else missing
    status = TaskStatus.DONE if result and result.done else TaskStatus.FAILED if reason else TaskStatus.SKIPPED
    return {
        "task": text,
        "agent": result.agent if result else "",
        "status": str(status),
        "s3_key": result.s3_key if result else "",
        "evidence_hash": result.evidence_hash if result else "",
        "tokens": sum(one.tokens_in + one.tokens_out for one in attempts),
        "cost_usd": usd(sum(one.cost_nusd for one in attempts)),
        **({"reason": reason} if reason else {}),
    }
