"""S3 keys of a session's objects."""

from __future__ import annotations

import hashlib

from infrafabric.swarm.session_key import SessionKey


def session_prefix(key: SessionKey) -> str:
    """Return the prefix of a session's objects.

    Two hex digits of a hash spread sessions over S3's partitions (docs/origin.md, section 3.1).
    """
    spread = hashlib.sha256(key.session_id.encode()).hexdigest()[:2]
    return f"sessions/{spread}/{key.session_id}/{key.home}/e{key.epoch}"


def result_key(key: SessionKey, agent: str, task_id: str, attempt: int) -> str:
    """Return the key of an attempt's result, whether the attempt succeeded or failed; only ``agent`` may write it."""
    return f"{session_prefix(key)}/agents/{agent}/{task_id}/{attempt}/result.json"


def findings_key(key: SessionKey, round_number: int, part: int) -> str:
    """Return the key of what the coordinator believed in one part of a round; only the coordinator may write it."""
    return f"{session_prefix(key)}/rounds/{round_number}/{part}.json"


def report_key(key: SessionKey) -> str:
    """Return the key of a session's report."""
    return f"{session_prefix(key)}/report.json"
