"""What a refresh and an import make of a found resource: properties that hold for every type."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local import wire
from local.engine import drift
from local.types import FoundResource

NAMES = st.sampled_from(["delay", "policy", "rules", "enabled"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab{", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xy"), inner, max_size=2),
    max_leaves=6,
)
PROPERTIES = st.dictionaries(NAMES, VALUES, max_size=4)


@given(inputs=PROPERTIES, reads=PROPERTIES)
def test_what_is_found_as_it_was_set_changes_nothing(inputs: dict[str, Any], reads: dict[str, Any]) -> None:
    outputs = {**inputs, "arn": "arn:aws:a"}
    found = FoundResource({**{name: value for name, value in reads.items() if value is not None}, **inputs})

    assert drift.refreshed(inputs, outputs, found, reads) == (inputs, outputs)


@given(inputs=PROPERTIES, found=PROPERTIES, reads=PROPERTIES)
def test_a_second_refresh_changes_nothing(inputs: dict[str, Any], found: dict[str, Any], reads: dict[str, Any]) -> None:
    once = drift.refreshed(inputs, inputs, FoundResource(found), reads)

    assert drift.refreshed(*once, FoundResource(found), reads) == once


@given(found=PROPERTIES, reads=PROPERTIES)
def test_a_refresh_of_what_was_imported_changes_nothing(found: dict[str, Any], reads: dict[str, Any]) -> None:
    inputs, outputs = drift.imported(FoundResource(found, {"arn": "arn:aws:a"}), reads)

    assert drift.refreshed(inputs, outputs, FoundResource(found), reads) == (inputs, outputs)


def test_what_was_taken_away_by_hand_leaves_inputs_and_outputs() -> None:
    state = {"retention": 14, "name": "logs"}

    after = drift.refreshed(state, state, FoundResource({"name": "logs"}), {"retention": 0})

    assert after == ({"name": "logs"}, {"name": "logs"})


def test_what_nobody_set_and_aws_gives_no_value_is_no_change() -> None:
    assert drift.refreshed({}, {}, FoundResource({"scope": "chosen"}), {"scope": None}) == ({}, {})


def test_a_changed_secret_stays_a_secret() -> None:
    inputs, _ = drift.refreshed({"value": wire.secret("old")}, {}, FoundResource({"value": "new"}), {"value": None})

    assert inputs == {"value": wire.secret("new")}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"a": [1, 2]}', json.dumps({"a": [2, 1]}, indent=2)),
        ([{"days": 1.0}], [{"days": 1, "marker": False}]),
        ({"mode": "x", "tags": {}}, {"mode": "x"}),
    ],
)
def test_one_setting_in_two_spellings_is_the_same(one: Any, other: Any) -> None:
    assert drift.same(one, other)


@pytest.mark.parametrize(("one", "other"), [("{", "{}"), ("1", 1), ([1], [1, 1]), ({"a": True}, {})])
def test_two_settings_are_not_the_same(one: Any, other: Any) -> None:
    assert not drift.same(one, other)
