"""docs/if-bus.vectors.json and docs/if-bus.schema.json say what the code does."""

from __future__ import annotations

import json
import runpy
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from infrafabric.bus.claim_check import check_out
from infrafabric.bus.refusal import Reason, Refused
from infrafabric.bus.registry import Registry
from infrafabric.bus.structure import Performative
from infrafabric.bus.verify import verify

DOCS = Path(__file__).parents[3] / "docs"
PUBLISHED = json.loads((DOCS / "if-bus.vectors.json").read_text(encoding="utf-8"))
SCHEMA = json.loads((DOCS / "if-bus.schema.json").read_text(encoding="utf-8"))
REGISTRY = Registry(PUBLISHED["registry"])


def named(kind: str) -> Any:
    return pytest.mark.parametrize("vector", [pytest.param(v, id=v["name"]) for v in PUBLISHED[kind]])


def raw_of(vector: dict[str, Any]) -> bytes:
    raw = b64decode(vector["message_base64"]) if "message_base64" in vector else vector["message"].encode()
    return raw.ljust(vector.get("pad_to_bytes", 0))


def test_the_published_vectors_are_what_the_command_makes():
    made = runpy.run_path(str(Path(__file__).with_name("make_vectors.py")))["document"]()
    assert made == (DOCS / "if-bus.vectors.json").read_text(encoding="utf-8"), "python -m tests.unit.bus.make_vectors"


def reason_and_signed_form(vector: dict[str, Any]) -> tuple[str, str | None]:
    try:
        envelope = verify(raw_of(vector), registry=REGISTRY, now_ms=vector["at"], receiver=vector["receiver"])
    except Refused as refusal:
        return refusal.reason, None
    return "ok", envelope.signed.decode()


@named("vectors")
def test_a_message_is_judged_as_its_vector_says(vector):
    assert reason_and_signed_form(vector) == (vector["reason"], vector.get("signed"))


@named("vectors")
def test_the_schema_sees_in_a_message_what_a_schema_can_see(vector):
    if vector["schema"] is not None:
        assert Draft202012Validator(SCHEMA).is_valid(json.loads(raw_of(vector))) is vector["schema"]


@named("claim_checks")
def test_content_is_fetched_as_its_vector_says(vector):
    def get(key: str, max_bytes: int) -> bytes:
        assert vector["content"]["s3_uri"] == f"s3://{vector['bucket']}/{key}"
        return vector["object"].encode()[:max_bytes]

    if vector["reason"] == "ok":
        fetched = json.loads(vector["object"]) if vector["object"] else vector["content"]
        assert check_out(vector["content"], get=get, bucket=vector["bucket"]) == fetched
    else:
        with pytest.raises(Refused) as refusal:
            check_out(vector["content"], get=get, bucket=vector["bucket"])
        assert refusal.value.reason == vector["reason"]


def test_every_reason_has_a_vector_and_a_row_in_the_documentation():
    shown = {v["reason"] for kind in ("vectors", "claim_checks") for v in PUBLISHED[kind]}
    assert shown - {"ok"} == set(Reason) - {Reason.REPLAYED}, "a repeat takes a memory to see"
    rows = [line.split("`")[1] for line in (DOCS / "if-bus.md").read_text().splitlines() if line.startswith("| `")]
    assert [row for row in rows if row in set(Reason)] == list(Reason), "the table keeps the order of the checks"


def test_the_schema_is_strict_and_names_what_the_code_names():
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["properties"]["performative"]["enum"] == [act.value for act in Performative]
    for part in (SCHEMA, SCHEMA["properties"]["citation"], SCHEMA["properties"]["signature"]):
        assert part["additionalProperties"] is False
