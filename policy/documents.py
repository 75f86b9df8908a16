"""IAM policy documents: statements, principals and conditions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from policy.rule import as_list

# Condition keys that restrict a statement with principal "*" to known callers.
_SOURCE_KEYS = ("aws:PrincipalAccount", "aws:PrincipalArn", "aws:PrincipalOrgID", "aws:SourceAccount", "aws:SourceArn")


def statements(document: Any, effect: str) -> Iterator[Mapping[str, Any]]:
    """Yield the statements of a JSON policy with ``effect`` "Allow" or "Deny"; none if the document is unknown."""
    if not isinstance(document, str) or not document.startswith("{"):
        return
    for statement in as_list(json.loads(document).get("Statement")):
        if statement.get("Effect") == effect:
            yield statement


def allows_everyone(statement: Mapping[str, Any]) -> bool:
    """Return whether a statement's principal is "*"."""
    principal = statement.get("Principal")
    return "*" in as_list(principal.get("AWS") if isinstance(principal, Mapping) else principal)


def has_source_condition(statement: Mapping[str, Any]) -> bool:
    """Return whether a condition restricts the caller by principal, organisation, account or source ARN."""
    keys = {key for test in statement.get("Condition", {}).values() for key in test}
    return bool(keys & set(_SOURCE_KEYS))


def refuses_plain_http(document: Any) -> bool:
    """Return whether a policy denies all requests without TLS."""
    return any(
        allows_everyone(statement)
        and statement.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport") == "false"
        for statement in statements(document, "Deny")
    )


def statement_label(statement: Mapping[str, Any]) -> str:
    """Return a statement's Sid for a violation's text, or "a statement"."""
    return str(statement.get("Sid", "a statement"))
