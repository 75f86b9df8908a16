"""The stack that the words of a Pulumi command name: its provider is chosen by it."""

from __future__ import annotations

import pytest

from local.engine.rehearsal import stack_in


@pytest.mark.parametrize(
    ("words", "stack"),
    [
        ("preview", None),
        ("preview --suppress-outputs", None),
        ("preview --stack prod", "prod"),
        ("preview --stack=prod", "prod"),
        ("preview -s prod", "prod"),
        ("preview -sprod --diff", "prod"),
        ("preview -s=prod", "prod"),
    ],
)
def test_a_command_names_its_stack_in_every_form_that_pulumi_takes(words: str, stack: str | None) -> None:
    assert stack_in(words.split()) == stack
