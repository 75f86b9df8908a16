"""Policy documents, and the statements that every store's own policy has in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pulumi import Input, Output

Statement = Mapping[str, Any]


def document(*statements: Statement) -> Output[str]:
    """A policy document as JSON; values may be Outputs."""
    return Output.json_dumps({"Version": "2012-10-17", "Statement": list(statements)})


def assumed_by(service: str) -> Output[str]:
    """A trust policy: only ``service`` may take the role."""
    return document({"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"})


def tls_only(action: str, *resources: Input[str]) -> Statement:
    """Refuses ``action`` to everybody who comes without TLS, whatever else allows it."""
    return {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": action,
        "Resource": _one_or_all(resources),
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def _one_or_all(resources: Sequence[Input[str]]) -> Any:
    return resources[0] if len(resources) == 1 else list(resources)
