"""The stand-in's answers: by rule, from the request alone, each saying that no model wrote it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from local.model_faults import request_text

LABEL = "[offline stand-in]"
_CHARS_A_TOKEN = 4
_SECTION = re.compile(r"<(goal|task|findings)>\s*(.*?)\s*</\1>", re.DOTALL)
_WANTED = re.compile(r"Number of tasks: (\d+)")


def answer(body: Mapping[str, Any], fault: str) -> dict[str, Any]:
    """A Messages API response. ``fault`` may be refuse, cutoff or garbage."""
    text = request_text(body)
    seed = hashlib.sha256(json.dumps([body["model"], text], sort_keys=True).encode()).hexdigest()
    schema = ((body.get("output_config") or {}).get("format") or {}).get("schema")
    said = json.dumps(_fill(schema, schema, _Subject(text, seed), "")) if schema else f"{LABEL} {_Subject(text, seed).about}"
    stop = "end_turn"
    if fault == "refuse":
        said, stop = f"{LABEL} declined on demand", "refusal"
    elif fault == "garbage":
        said = f"{LABEL} this is no JSON"
    limit = body["max_tokens"] * _CHARS_A_TOKEN
    if fault == "cutoff" or len(said) > limit:
        said, stop = said[: min(limit, max(1, len(said) // 2))], "max_tokens"
    return {
        "id": f"msg_offline_{seed[:20]}",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": [{"type": "text", "text": said}],
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": {
            "input_tokens": tokens(text),
            "output_tokens": min(tokens(said), body["max_tokens"]),
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
        },
    }


def tokens(text: str) -> int:
    """About four characters a token."""
    return max(1, len(text) // _CHARS_A_TOKEN)


class _Subject:
    """What a request is about, and numbers that depend on nothing else."""

    def __init__(self, text: str, seed: str) -> None:
        sections = dict(_SECTION.findall(text))
        self.sections = sections
        self.about = " ".join((sections.get("task") or sections.get("goal") or text).split())[:160]
        wanted = _WANTED.search(text)
        self.tasks = int(wanted[1]) if wanted else 3
        self._seed, self._drawn = seed, 0

    def draw(self, most: int) -> int:
        """0 … most - 1, the same for the same request."""
        self._drawn += 1
        return int(hashlib.sha256(f"{self._seed}{self._drawn}".encode()).hexdigest()[:8], 16) % most


def _fill(schema: Mapping[str, Any], root: Mapping[str, Any], subject: _Subject, name: str) -> Any:
    """A document that fits ``schema``, built from the schema alone."""
    if "$ref" in schema:
        return _fill(root["$defs"][schema["$ref"].rpartition("/")[2]], root, subject, name)
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type")
    if kind == "object":
        return {key: _fill(inner, root, subject, key) for key, inner in (schema.get("properties") or {}).items()}
    if kind == "array":
        count = subject.tasks if name == "tasks" else 1 + subject.draw(3)
        return [_fill(schema["items"], root, subject, f"{name}.{number + 1}") for number in range(count)]
    if kind == "number":
        return round(0.5 + subject.draw(50) / 100, 2)
    if kind == "integer":
        return subject.draw(100)
    if kind == "boolean":
        return True
    return _text(name, subject)


def _text(name: str, subject: _Subject) -> str:
    if name.startswith("sources"):
        return f"offline://source/{subject.draw(1000)}"
    if name.startswith("tasks."):
        return f"{LABEL} part {name.partition('.')[2]}: {subject.about}"
    if name == "summary" and "findings" in subject.sections:
        count = len(subject.sections["findings"].splitlines())
        return f"{LABEL} No model read these {count} findings; a model's summary would stand here. Goal: {subject.about}"
    return f"{LABEL} No model was asked. A finding about: {subject.about}"
