"""S3 keys of a session's objects."""

from __future__ import annotations

import hashlib


def session_prefix(session_id: str) -> str:
    """Return the prefix of a session's objects.

    Two hex digits of a hash spread sessions over S3's partitions (docs/origin.md, section 3.1).
    """
    return f"sessions/{hashlib.sha256(session_id.encode()).hexdigest()[:2]}/{session_id}"


def result_key(session_id: str, agent: str, task: str, attempt: int, *, failed: bool = False) -> str:
    """Return the key of an attempt's result, or of its error document."""
    name = "error" if failed else "result"
    return f"{session_prefix(session_id)}/agents/{agent}/{task}/{attempt}/{name}.json"


def report_key(session_id: str) -> str:
    """Return the key of a session's report."""
    return f"{session_prefix(session_id)}/report.json"
