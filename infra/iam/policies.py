"""Policy documents, and the statements that every store's own policy has in common."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pulumi import Input, Output

Statement = Mapping[str, Any]


def document(*statements: Statement) -> Output[str]:
    """A policy document as JSON; values may be Outputs.

    ``Output.json_dumps`` would do, but makes an Output of every string in it, which is a tenth of the whole program.
    """
    whole = {"Version": "2012-10-17", "Statement": list(statements)}
    return Output.all(*_outputs(whole)).apply(lambda known: json.dumps(_filled(whole, iter(known))))


def _outputs(part: Any) -> Iterator[Output[Any]]:
    if isinstance(part, Output):
        yield part
    elif isinstance(part, Mapping | list | tuple):
        for inner in part.values() if isinstance(part, Mapping) else part:
            yield from _outputs(inner)


def _filled(part: Any, known: Iterator[Any]) -> Any:
    """``part`` with the next of ``known`` for each Output, in their order."""
    if isinstance(part, Output):
        return next(known)
    if isinstance(part, Mapping):
        return {name: _filled(inner, known) for name, inner in part.items()}
    return [_filled(inner, known) for inner in part] if isinstance(part, list | tuple) else part


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
