"""Structured output of the fake model server: every document fits its JSON schema."""

from __future__ import annotations

import json
from typing import Annotated, Any

import anthropic
import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from local.model_structured_output import document
from tests.unit.local.conftest import ASK, Send

NAMES = st.sampled_from(["text", "tasks", "sources", "summary", "boat"])
LEAVES = st.one_of(
    st.just({"type": "boolean"}),
    st.just({"type": "null"}),
    st.just({}),
    st.builds(lambda value: {"const": value}, st.one_of(st.integers(), st.text(max_size=5), st.none())),
    st.builds(lambda values: {"enum": values}, st.lists(st.integers(), min_size=1, max_size=3)),
    st.builds(
        lambda kind, edge, low, wide: {"type": kind, edge: low, "maximum": low + wide},
        st.sampled_from(["integer", "number"]),
        st.sampled_from(["minimum", "exclusiveMinimum"]),
        st.integers(-1000, 1000),
        st.integers(1, 500),
    ),
    st.builds(lambda high: {"type": "number", "exclusiveMaximum": high}, st.integers(-1000, 1000)),
    st.builds(lambda step: {"type": "number", "multipleOf": step}, st.integers(1, 9)),
    st.builds(
        lambda least, more: {"type": "string", "minLength": least, "maxLength": least + more},
        st.integers(0, 300),
        st.integers(0, 30),
    ),
    st.builds(lambda kind: {"type": "string", "format": kind}, st.sampled_from(["date", "uuid", "email", "date-time"])),
)


def _branches(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    properties = st.dictionaries(NAMES, inner, max_size=3)
    return st.one_of(
        st.builds(lambda p: {"type": "object", "properties": p, "required": list(p)}, properties),
        st.builds(lambda p: {"type": "object", "properties": p}, properties),
        st.builds(lambda i, n: {"type": "array", "items": i, "minItems": n}, inner, st.integers(0, 2)),
        st.builds(lambda i, n: {"type": "array", "items": i, "maxItems": n}, inner, st.integers(0, 2)),
        st.builds(lambda options: {"anyOf": options}, st.lists(inner, min_size=1, max_size=2)),
        st.builds(lambda p: {"allOf": [{"type": "object", "properties": p, "required": list(p)}]}, properties),
    )


SCHEMAS = st.recursive(LEAVES, _branches, max_leaves=8)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(SCHEMAS, st.sampled_from([0.0, 0.5, 0.999]))
def test_a_document_fits_whatever_schema_it_was_built_from(schema: dict[str, Any], share: float) -> None:
    instance = document(
        schema,
        random_below=lambda n: int(share * n),
        text_for=lambda name: f"text of {name}",
        length_for=lambda _: 2,
    )
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    jsonschema.Draft202012Validator(schema, format_checker=checker).validate(instance)


def test_bounds_that_the_sdk_moved_into_a_description_are_kept(client: anthropic.Anthropic) -> None:
    class Boat(BaseModel):
        masts: int = Field(ge=1, le=4)
        draught_m: float = Field(gt=0.5, lt=0.6, description="Below the waterline")
        crew: list[Annotated[str, Field(max_length=9)]] = Field(min_length=5, max_length=6)
        owner: str | None

    answer = client.messages.parse(
        model="m", max_tokens=500, messages=[{"role": "user", "content": "A boat"}], output_format=Boat
    )
    assert answer.parsed_output
    assert 1 <= answer.parsed_output.masts <= 4


def test_a_schema_that_holds_itself_is_answered(send: Send) -> None:
    tree = {
        "$defs": {
            "Tree": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "children": {"type": "array", "items": {"$ref": "#/$defs/Tree"}},
                },
                "required": ["name", "children"],
            }
        },
        "$ref": "#/$defs/Tree",
    }
    status, answer = send("POST", "/v1/messages", structured(tree))
    assert status == 200
    jsonschema.validate(json.loads(answer["content"][0]["text"]), tree)


@pytest.mark.parametrize(
    "schema",
    [
        {
            "$defs": {"a": {"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}, "required": ["a"]}},
            "$ref": "#/$defs/a",
        },
        {"$ref": "#"},
        {"type": "integer", "minimum": 3, "maximum": 2},
        {"type": "boat"},
        {"type": "integer", "minimum": "low"},
        {"type": "object", "properties": {"a": 3}},
    ],
)
def test_a_schema_that_nothing_fits_is_a_bad_request(send: Send, schema: dict[str, Any]) -> None:
    status, answer = send("POST", "/v1/messages", structured(schema))
    assert (status, answer["error"]["type"]) == (400, "invalid_request_error")


def structured(schema: Any) -> dict[str, Any]:
    return {**ASK, "max_tokens": 100_000, "output_config": {"format": {"type": "json_schema", "schema": schema}}}
