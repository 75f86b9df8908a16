"""Identity of a request: a digest by which a client's retry is told from another request (idempotency)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

# Members of release 0.1, which put each of them into its digests, defaults included.
_FIRST_MEMBERS = frozenset({"goal", "tasks", "agents", "deadline_s", "budget_usd", "quorum"})


def request_digest(members: Mapping[str, Any], defaults: Mapping[str, Any]) -> str:
    """Return the digest of a request's meaning: a default may be stated or left out.

    A member that a later release adds counts only if its value is not the default. So a client may retry across a
    deployment: the digest of its request stays what the previous release stored.

    Args:
        members: all members of the request but its session id, defaults filled in.
        defaults: default per member.
    """
    meaning = {name: value for name, value in members.items() if name in _FIRST_MEMBERS or value != defaults.get(name)}
    return hashlib.sha256(json.dumps(meaning, sort_keys=True, ensure_ascii=True).encode()).hexdigest()
