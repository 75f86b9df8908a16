"""Evidence hash: SHA-256 of stored bytes, as messages and results cite it."""

from __future__ import annotations

import hashlib


def evidence_hash(stored: bytes) -> str:
    """Return ``sha256:<hex>`` of stored bytes."""
    return f"sha256:{hashlib.sha256(stored).hexdigest()}"
