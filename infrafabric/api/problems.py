"""Errors of the API as RFC 9457 problem documents: found, allowed, what to do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

CONTENT_TYPE = "application/problem+json"
_TYPE = "https://github.com/infrafabric/infrafabric-aws/blob/main/docs/problems.md#{slug}"


@dataclass
class ProblemError(Exception):
    """Error that becomes a problem document. ``errors`` names each field: ``{"field", "detail"}``.

    ``members`` are further members of the document, which RFC 9457 calls extensions.
    """

    status: int
    slug: str
    title: str
    detail: str
    errors: list[dict[str, str]] = field(default_factory=list)
    members: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.title}: {self.detail}"

    def document(self) -> str:
        """Return the problem document as JSON."""
        body: dict[str, Any] = {
            "type": _TYPE.format(slug=self.slug),
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            **self.members,
        }
        if self.errors:
            body["errors"] = self.errors
        return json.dumps(body, ensure_ascii=False)


def bad_request(errors: list[dict[str, str]]) -> ProblemError:
    """Return a 400 with the names of the invalid fields."""
    detail = "; ".join(f"{error['field']}: {error['detail']}" for error in errors)
    return ProblemError(400, "invalid-request", "The request is not valid", detail, errors)


def unknown_session(session_id: str) -> ProblemError:
    """Return a 404 for a session that does not exist."""
    name = session_id if len(session_id) <= 64 else f"{session_id[:61]}..."
    return ProblemError(
        404,
        "unknown-session",
        "There is no such session",
        f"session {name!r} is not known: GET /sessions lists those that are",
        [{"field": "session_id", "detail": "not known"}],
    )


def unknown_path(method: str, path: str) -> ProblemError:
    """Return a 404 for a path, or a method of a path, that the API does not have."""
    detail = f"{method} {path[:80]} is not part of this API"
    return ProblemError(404, "unknown-path", "There is nothing here", detail)


def session_unreadable(error: Exception) -> ProblemError:
    """Return a 500 for a stored item that does not have the shape of a session."""
    detail = f"what is stored of the session cannot be read ({error}): tell the operator of this stack"
    return ProblemError(500, "session-unreadable", "The session cannot be read", detail)


def internal_error(error: Exception) -> ProblemError:
    """Return a 500 for an unexpected error, without its details."""
    detail = f"the request could not be served ({type(error).__name__}); it may be sent again, with the same session_id"
    return ProblemError(500, "internal-error", "Something went wrong on our side", detail)
