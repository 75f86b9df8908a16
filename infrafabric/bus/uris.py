"""IF.bus URIs of principals, conversations and messages, built in one place."""

from __future__ import annotations

import uuid

AGENT_URI_PREFIX = "if://agent/"


def agent_uri(name: str) -> str:
    """Return the URI of a principal, such as ``if://agent/h01``."""
    return f"{AGENT_URI_PREFIX}{name}"


COORDINATOR = agent_uri("coordinator")


def new_message_id() -> str:
    """Return a random message id: ``if://message/`` and a UUID version 4."""
    return message_uri(uuid.uuid4())


def message_uri(number: uuid.UUID) -> str:
    """Return the message id of a UUID version 4."""
    return f"if://message/{number}"


def conversation_uri(session_id: str) -> str:
    """Return the conversation of a session's messages.

    A name on the bus starts with a letter or a digit, and a session id may start with a hyphen.
    """
    return f"if://conversation/{'s~' if session_id.startswith('-') else ''}{session_id}"


def session_uri(session_id: str) -> str:
    """Return the URI that a citation names a session by."""
    return f"if://session/{session_id}"


def task_uri(session_id: str, task_id: str) -> str:
    """Return the URI that a citation names a task by."""
    return f"if://task/{session_id}/{task_id}"


def last_segment(uri: str) -> str:
    """Return the part of a URI behind its last slash."""
    return uri.rsplit("/", 1)[-1]
