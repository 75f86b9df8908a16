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
    policy = {"Version": "2012-10-17", "Statement": list(statements)}
    return Output.all(*_outputs(policy)).apply(lambda known: json.dumps(_resolve(policy, iter(known))))


def _outputs(value: Any) -> Iterator[Output[Any]]:
    if isinstance(value, Output):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for member in value.values() if isinstance(value, Mapping) else value:
            yield from _outputs(member)


def _resolve(value: Any, known: Iterator[Any]) -> Any:
    """``part`` with the next of ``known`` for each Output, in their order."""
    if isinstance(value, Output):
        return next(known)
    if isinstance(value, Mapping):
        return {name: _resolve(member, known) for name, member in value.items()}
    return [_resolve(member, known) for member in value] if isinstance(value, list | tuple) else value


def trust_policy(service: str) -> Output[str]:
    """A trust policy: only ``service`` may take the role."""
    return document({"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"})


def deny_without_tls(action: str, *resources: Input[str]) -> Statement:
    """Refuses ``action`` to everybody who comes without TLS, whatever else allows it."""
    return {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": action,
        "Resource": _scalar_or_list(resources),
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def _scalar_or_list(resources: Sequence[Input[str]]) -> Any:
    return resources[0] if len(resources) == 1 else list(resources)
