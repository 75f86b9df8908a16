"""Policy documents: JSON of constants and Outputs, equal to ``Output.json_dumps``."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pulumi import Output

from infra.iam import policies

_TEXT = st.text(max_size=5)
_PARTS = st.recursive(
    st.one_of(_TEXT, st.booleans(), st.tuples(st.just("output"), _TEXT)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_TEXT, inner, max_size=3)),
    max_leaves=12,
)


def declared(part: Any) -> Any:
    """Return ``part`` with an Output for every pair of "output" and value."""
    if isinstance(part, tuple):
        return Output.from_input(part[1])
    if isinstance(part, dict):
        return {name: declared(inner) for name, inner in part.items()}
    return [declared(inner) for inner in part] if isinstance(part, list) else part


@given(st.dictionaries(_TEXT, _PARTS, max_size=4))
def test_a_document_is_what_pulumi_would_write_of_it(statement: dict[str, Any]) -> None:
    async def both() -> tuple[str | None, str | None]:
        whole = {"Version": "2012-10-17", "Statement": [declared(statement)]}
        return await policies.document(declared(statement)).future(), await Output.json_dumps(whole).future()

    ours, theirs = asyncio.run(both())
    assert ours == theirs


def test_a_document_is_secret_when_a_part_of_it_is() -> None:
    async def secrets() -> tuple[bool, bool]:
        hidden, plain = ({"Resource": [part, "*"]} for part in (Output.secret("arn"), Output.from_input("arn")))
        return await policies.document(hidden).is_secret(), await policies.document(plain).is_secret()

    assert asyncio.run(secrets()) == (True, False)
