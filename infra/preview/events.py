"""Previews as Pulumi's engine reports them: ``pulumi preview --json``, streamed or as one document.

Streamed (``PULUMI_ENABLE_STREAMING_JSON_PREVIEW=true``), the output has one engine event per line, with the violations
of policy packs. The single document has no violations. Source: the types ``EngineEvent`` and ``PreviewDigest`` of
https://github.com/pulumi/pulumi (sdk/go/common/apitype/events.go, pkg/backend/display/json.go).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

_OF_ONE = {
    "create": "create",
    "update": "update",
    "delete": "delete",
    "replace": "replace",
    "create-replacement": "replace",
    "delete-replaced": "replace",
    "import": "import",
    "import-replacement": "replace",
    "discard": "delete",
    "discard-replaced": "replace",
    "remove-pending-replace": "replace",
    "read": "read",
    "read-replacement": "read",
    "read-discard": "read",
    "refresh": "same",
    "same": "same",
}


class BadPreviewError(Exception):
    """A file is not the output of ``pulumi preview --json``. The text says what to do."""


class Operation(StrEnum):
    """What an update would do with a resource. A replacement's two or three steps are one operation."""

    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    DELETE = "delete"
    IMPORT = "import"
    READ = "read"
    SAME = "same"


@dataclass(frozen=True, kw_only=True)
class Change:
    """Planned operation on one resource."""

    operation: Operation
    urn: str
    changed: tuple[str, ...] = ()  # inputs that differ
    replacing: tuple[str, ...] = ()  # those of them that AWS cannot change in place
    old: Mapping[str, Any] = field(default_factory=dict)  # inputs before
    retained: bool = False  # leaves the stack, and stays in AWS

    @property
    def name(self) -> str:
        return self.urn.rpartition("::")[2]

    @property
    def type(self) -> str:
        """Type token without its parents, such as ``aws:sqs/queue:Queue``."""
        return self.urn.split("::")[2].rpartition("$")[2]


@dataclass(frozen=True)
class Violation:
    """Violation of a policy rule."""

    rule: str
    mandatory: bool
    resource: str  # logical name
    text: str


@dataclass(frozen=True, kw_only=True)
class Preview:
    """Preview of one stack."""

    stack: str
    changes: tuple[Change, ...]  # without resources that stay as they are
    same: int
    errors: tuple[str, ...]
    violations: tuple[Violation, ...] | None  # None: the output does not say
    succeeded: bool

    def count(self, operation: Operation) -> int:
        """Return the number of changes with this operation."""
        return sum(change.operation is operation for change in self.changes)


def parse(text: str, source: str) -> Preview:
    """Return the preview that ``text`` holds.

    Args:
        source: name of the file, for errors.

    Raises:
        BadPreviewError: the text is not a preview, or belongs to another command.
    """
    try:
        events = [json.loads(line) for line in text.splitlines() if line.strip()]
    except ValueError:
        events = []
    if not events:
        events = _one_document(text, source)
    if not all(isinstance(event, dict) for event in events):
        raise _bad(source)
    try:
        return _of_document(events[0], source) if "steps" in events[0] else _of_events(events, source)
    except (KeyError, TypeError, AttributeError, IndexError, ValueError):
        raise _bad(source) from None


def _one_document(text: str, source: str) -> list[dict[str, Any]]:
    try:
        return [json.loads(text)]
    except ValueError:
        raise _bad(source) from None


def _bad(source: str) -> BadPreviewError:
    return BadPreviewError(f"{source}: is not a preview: pass the file that pulumi preview --json > {source} wrote")


def _of_events(events: list[dict[str, Any]], source: str) -> Preview:
    end = next((event["summaryEvent"] for event in reversed(events) if "summaryEvent" in event), None)
    if end is None:
        raise BadPreviewError(f"{source}: ends before its summary: run pulumi preview again, to its end")
    if not end.get("isPreview"):
        raise BadPreviewError(f"{source}: is an update, not a preview: pass the output of pulumi preview --json")
    steps = [event["resourcePreEvent"]["metadata"] for event in events if "resourcePreEvent" in event]
    violations = [_violation(event["policyEvent"]) for event in events if "policyEvent" in event]
    diagnostics = (event["diagnosticEvent"] for event in events if "diagnosticEvent" in event)
    return _preview(
        steps,
        list(_errors(diagnostics)),
        violations if end.get("PolicyPacks") else None,
        succeeded=end.get("result") != "failed",
    )


def _of_document(document: Mapping[str, Any], source: str) -> Preview:
    steps = [
        {
            "op": step["op"],
            "urn": step["urn"],
            "old": step.get("oldState"),
            "keys": step.get("replaceReasons"),
            "diffs": step.get("diffReasons"),
        }
        for step in document["steps"]
    ]
    if not steps:
        raise BadPreviewError(f"{source}: has no steps: run pulumi preview --json again, without --suppress-outputs")
    diagnostics = document.get("diagnostics") or []
    # Also a violated rule: the document says only that the preview failed.
    failed = any(diagnostic.get("severity") == "error" for diagnostic in diagnostics)
    return _preview(steps, list(_errors(diagnostics)), None, succeeded=not failed)


def _preview(
    steps: Iterable[Mapping[str, Any]], errors: list[str], violations: list[Violation] | None, *, succeeded: bool
) -> Preview:
    changes: dict[str, Change] = {}
    for step in steps:
        change = _change(step)
        before = changes.get(change.urn)
        changes[change.urn] = change if before is None else _merged(before, change)
    if not changes:
        raise ValueError("no steps")
    stack = next(iter(changes)).split("::")[0].removeprefix("urn:pulumi:")
    quiet = (Operation.SAME, Operation.READ)
    return Preview(
        stack=stack,
        changes=tuple(change for change in changes.values() if change.operation not in quiet),
        same=sum(change.operation is Operation.SAME for change in changes.values()),
        errors=tuple(errors),
        violations=None if violations is None else tuple(violations),
        succeeded=succeeded,
    )


def _change(step: Mapping[str, Any]) -> Change:
    if not step["urn"].startswith("urn:pulumi:") or step["urn"].count("::") < 3:
        raise ValueError("not a URN")
    old = step.get("old") or {}
    return Change(
        operation=Operation(_OF_ONE[step["op"]]),
        urn=step["urn"],
        changed=tuple(step.get("diffs") or step.get("keys") or ()),
        replacing=tuple(step.get("keys") or ()),
        old=old.get("inputs") or {},
        retained=bool(old.get("retainOnDelete")),
    )


def _merged(before: Change, now: Change) -> Change:
    """Return one change for two steps of the same resource: a replacement has a creation, a deletion and itself."""
    operation = Operation.REPLACE if Operation.REPLACE in (before.operation, now.operation) else now.operation
    return Change(
        operation=operation,
        urn=now.urn,
        changed=tuple(dict.fromkeys(before.changed + now.changed)),
        replacing=tuple(dict.fromkeys(before.replacing + now.replacing)),
        old=before.old or now.old,
        retained=before.retained or now.retained,
    )


def _violation(event: Mapping[str, Any]) -> Violation:
    return Violation(
        rule=event["policyName"],
        mandatory=event["enforcementLevel"] == "mandatory",
        resource=event.get("resourceUrn", "").rpartition("::")[2],
        text=event["message"].strip(),
    )


def _errors(diagnostics: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the errors, without the engine's own sentence that there was one."""
    for diagnostic in diagnostics:
        text = diagnostic["message"].removeprefix("error: ").strip()
        if diagnostic.get("severity") == "error" and text not in ("preview failed", "update failed"):
            yield text
