"""Session ids: a client's own id, and the internal id that is unique among all owners.

Clients send and see their own ids; everything inside the platform (items, objects, queues, SQL, executions) uses
internal ids. Two owners may so use the same id.
"""

from __future__ import annotations

import hashlib
import re

CLIENT_ID = re.compile(r"[a-z0-9-]{1,64}")
INTERNAL_ID = re.compile(r"[a-z0-9-]{1,64}\.[0-9a-f]{10}")
_HASH_DIGITS = 10


def internal_id(client_id: str, owner: str) -> str:
    """Return the internal id of an owner's session: the client's id, a dot, and 10 hex digits of the owner's SHA-256.

    Different owners may have equal hashes, so a reader also compares the owner of the session's item.
    """
    return f"{client_id}.{hashlib.sha256(owner.encode()).hexdigest()[:_HASH_DIGITS]}"


def client_id(internal_id: str) -> str:
    """Return the id under which the owner knows a session."""
    return internal_id.partition(".")[0]
