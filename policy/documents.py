"""IAM's documents, as rules read them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from policy.rule import items

# A statement that lets everybody in still asks who they are.
_NARROWING = ("aws:PrincipalAccount", "aws:PrincipalArn", "aws:PrincipalOrgID", "aws:SourceAccount", "aws:SourceArn")


def statements(document: Any, effect: str) -> Iterator[Mapping[str, Any]]:
    """The statements of a policy that allow, or deny."""
    if not isinstance(document, str) or not document.startswith("{"):
        return
    for statement in items(json.loads(document).get("Statement")):
        if statement.get("Effect") == effect:
            yield statement


def everybody(statement: Mapping[str, Any]) -> bool:
    """Whether the principal is anybody at all."""
    principal = statement.get("Principal")
    return "*" in items(principal.get("AWS") if isinstance(principal, Mapping) else principal)


def narrowed(statement: Mapping[str, Any]) -> bool:
    """Whether a condition says whose requests are meant."""
    keys = {key for test in statement.get("Condition", {}).values() for key in test}
    return bool(keys & set(_NARROWING))


def refuses_plain_http(document: Any) -> bool:
    """Whether requests without TLS are denied to everybody."""
    return any(
        everybody(statement) and statement.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport") == "false"
        for statement in statements(document, "Deny")
    )


def called(statement: Mapping[str, Any]) -> str:
    return str(statement.get("Sid", "a statement"))
