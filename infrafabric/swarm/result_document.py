"""Result document: what an agent stores of an attempt, written by the agent and read with suspicion."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from infrafabric.bus.canonical import loads
from infrafabric.bus.refusal import Refused
from infrafabric.money import nano_usd
from infrafabric.swarm.evidence import evidence_hash
from infrafabric.swarm.limits import MAX_FINDINGS, MAX_FINDINGS_BYTES, MAX_RESULT_BYTES
from infrafabric.swarm.session_key import SessionKey
from infrafabric.swarm.shapes.result import TaskResult
from infrafabric.swarm.status import TaskStatus

SCHEMA = "infrafabric.result/2"
_slug = re.compile(r"[a-z][a-z0-9-]{0,59}").fullmatch
_MODEL_CHARS = 200  # of a model's id: a record of several attempts has at most 4,096 bytes


@dataclass(frozen=True, kw_only=True)
class AttemptId:
    """Identity of an attempt: what a document, an answer and their place must agree on."""

    key: SessionKey
    task_id: str
    agent: str
    attempt: int
    request: str  # message id
    place: str  # S3 key of the document

    @property
    def members(self) -> dict[str, Any]:
        """Members with which every document begins."""
        return {
            "schema": SCHEMA,
            **self.key._asdict(),
            "task_id": self.task_id,
            "agent": self.agent,
            "attempt": self.attempt,
            "request": self.request,
        }


@dataclass(frozen=True)
class StoredResult:
    """Result and findings of a document that has the right form; ``findings`` is empty for a failed attempt."""

    result: TaskResult
    findings: list[dict[str, Any]]
    model: str


def stored_bytes(document: Mapping[str, Any]) -> bytes:
    """Return a document as it is stored."""
    return json.dumps(document, ensure_ascii=False, sort_keys=True).encode()


def read_result(stored: bytes, attempt: AttemptId) -> StoredResult | None:
    """Return the result that an object in an attempt's place holds; None if the object is no result of the attempt.

    An agent may store anything in its own places. The object is read as strictly as a message: half a surrogate pair
    could not be stored again. Believed are at most 1 MiB and findings within their limits, and of a finding only its
    own members.
    """
    try:
        document = loads(stored, max_bytes=MAX_RESULT_BYTES)
    except Refused:
        return None
    members = attempt.members
    if not isinstance(document, dict) or any(document.get(name) != value for name, value in members.items()):
        return None
    model, cost_usd, tokens = document.get("model"), _amount(document.get("cost_usd")), _tokens(document.get("tokens"))
    if not isinstance(model, str) or not is_model(model) or cost_usd is None or tokens is None:
        return None
    done = document.get("status") == TaskStatus.DONE
    findings, reason = _findings(document) if done else [], "" if done else _reason(document)
    if findings is None or reason is None:
        return None
    result = TaskResult(
        task_id=attempt.task_id,
        agent=attempt.agent,
        attempt=attempt.attempt,
        status=TaskStatus.DONE if done else TaskStatus.FAILED,
        s3_key=attempt.place,
        evidence_hash=evidence_hash(stored),
        size_bytes=len(stored),
        tokens_in=tokens[0],
        tokens_out=tokens[1],
        cost_nusd=nano_usd(cost_usd),
        reason=reason,
    )
    return StoredResult(result, findings, model)


def within_limits(findings: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the first findings of a result, as many as the coordinator believes of one result."""
    sizes = accumulate(len(stored_bytes(finding)) for finding in findings)
    kept = sum(size_bytes <= MAX_FINDINGS_BYTES for size_bytes in sizes)
    return list(findings[: min(kept, MAX_FINDINGS)])


def _findings(document: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    findings = document.get("findings")
    if not isinstance(findings, list) or len(findings) > MAX_FINDINGS or not all(map(_is_finding, findings)):
        return None
    read = [{name: finding[name] for name in ("text", "confidence", "sources")} for finding in findings]
    return read if len(within_limits(read)) == len(read) else None


def _is_finding(value: object) -> bool:
    if not isinstance(value, dict) or type(value.get("text")) is not str:
        return False
    confidence, sources = value.get("confidence"), value.get("sources")
    if not (isinstance(sources, list) and all(type(source) is str for source in sources)):
        return False
    return isinstance(confidence, int | float) and type(confidence) is not bool and 0 <= confidence <= 1


def _reason(document: Mapping[str, Any]) -> str | None:
    error = document.get("error")
    reason = error.get("reason") if isinstance(error, dict) else None
    return reason if document.get("status") == TaskStatus.FAILED and is_reason(reason) else None


def is_reason(value: object) -> bool:
    """Tell whether a value is a reason: a short slug, so never blank and never one of the coordinator's sentences."""
    return type(value) is str and _slug(value) is not None


def is_model(value: object) -> bool:
    """Tell whether a value is a model's id: one short line."""
    return type(value) is str and 0 < len(value) <= _MODEL_CHARS and value.isascii() and value.isprintable()


def _amount(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and type(value) is not bool and 0 <= value < 1e6 else None


def _tokens(value: object) -> tuple[int, int] | None:
    """Return input and output tokens."""
    if not isinstance(value, dict):
        return None
    counts = [value.get(name) for name in ("input", "output")]
    given = [count for count in counts if type(count) is int and 0 <= count < 1 << 31]
    return (given[0], given[1]) if len(given) == 2 else None
