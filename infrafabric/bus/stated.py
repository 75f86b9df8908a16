"""Sender and key that a message states about itself, read before any check."""

from __future__ import annotations

import json


def stated_sender(body: str) -> tuple[str, str]:
    """Return the stated sender and public key of a message, "" if missing.

    Proves nothing: callers only decide by it whether a cached registry is fresh enough for ``verify``.
    """
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        return "", ""
    return _text(message, "sender"), _text(_member(message, "signature"), "public_key")


def _member(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, dict) else None


def _text(value: object, name: str) -> str:
    member = _member(value, name)
    return member if isinstance(member, str) else ""
