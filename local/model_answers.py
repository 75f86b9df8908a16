"""The stand-in's answers: by rule, from the request alone, each saying that no model wrote it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from local.model_documents import document
from local.model_requests import schema_of, text_of

LABEL = "[offline stand-in]"
_CHARS_A_TOKEN = 4
_SECTION = re.compile(r"<(goal|task|findings)>\s*(.*?)\s*</\1>", re.DOTALL)
_WANTED = re.compile(r"Number of tasks: (\d+)")
_MOST_TASKS = 10_000


def answer(body: Mapping[str, Any], fault: str = "") -> dict[str, Any]:
    """A Messages API response to a request without a problem. ``fault`` may be refuse, cutoff or garbage.

    Raises:
        ValueError: no document can fit the schema of the request.
    """
    text = text_of(body)
    seed = hashlib.sha256(json.dumps([body["model"], text]).encode()).hexdigest()
    said, stop = _said(text, seed, schema_of(body)), "end_turn"
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


def _said(text: str, seed: str, schema: Mapping[str, Any] | None) -> str:
    subject = _Subject(text, seed)
    if schema is None:
        return f"{LABEL} No model was asked. The request: {subject.about}"
    return json.dumps(document(schema, draw=subject.draw, write=subject.write, length=subject.length))


class _Subject:
    """What a request is about, and numbers that depend on nothing else."""

    def __init__(self, text: str, seed: str) -> None:
        self._sections: dict[str, str] = dict(_SECTION.findall(text))
        self.about = " ".join((self._sections.get("task") or self._sections.get("goal") or text).split())[:160]
        wanted = _WANTED.search(text)
        self._tasks = min(int(wanted[1]), _MOST_TASKS) if wanted else 3
        self._seed, self._drawn = seed, 0

    def draw(self, most: int) -> int:
        """0 … most - 1, the same for the same request."""
        self._drawn += 1
        return int(hashlib.sha256(f"{self._seed}{self._drawn}".encode()).hexdigest()[:8], 16) % most

    def length(self, name: str) -> int:
        """How many entries the list called ``name`` gets."""
        return self._tasks if name == "tasks" else 1 + self.draw(3)

    def write(self, name: str) -> str:
        """The text called ``name``; entries of a list are called ``tasks.1`` and so on."""
        if name.startswith("sources."):
            return f"offline://source/{self.draw(1000)}"
        if name.startswith("tasks."):
            return f"{LABEL} part {name.partition('.')[2]}: {self.about}"
        if name == "summary" and "findings" in self._sections:
            count = len(self._sections["findings"].splitlines())
            return f"{LABEL} No model read these {count} findings, so there is no summary. Goal: {self.about}"
        return f"{LABEL} No model was asked. A finding about: {self.about}"
