"""IAM policy documents, and statements that several resource policies share."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pulumi import Input, Output

Statement = Mapping[str, Any]


def document(*statements: Statement) -> Output[str]:
    """Return a policy document as JSON; values may be Outputs.

    ``Output.json_dumps`` gives the same text but makes an Output of every string, which takes a tenth of the program's
    time.
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
    """Return ``value`` with every Output replaced by the next of ``known``; the order is that of ``_outputs``."""
    if isinstance(value, Output):
        return next(known)
    if isinstance(value, Mapping):
        return {name: _resolve(member, known) for name, member in value.items()}
    return [_resolve(member, known) for member in value] if isinstance(value, list | tuple) else value


def trust_policy(service: str) -> Output[str]:
    """Return a trust policy that lets only ``service`` assume the role."""
    return document({"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"})


def deny_without_tls(action: str, *resources: Input[str]) -> Statement:
    """Return a statement that denies ``action`` to every principal without TLS, independent of other statements."""
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
