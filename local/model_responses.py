"""Responses of the fake Messages API, computed from the request alone; each text says that no model wrote the text."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from local.model_requests import output_schema, prompt_text
from local.model_structured_output import document

LABEL = "[offline stand-in]"
_CHARS_PER_TOKEN = 4
_SECTION = re.compile(r"<(goal|task|findings)>\s*(.*?)\s*</\1>", re.DOTALL)
_TASK_COUNT = re.compile(r"Number of tasks: (\d+)")
_MAX_TASKS = 10_000


def response(body: Mapping[str, Any], fault: str = "") -> dict[str, Any]:
    """Return the Messages API's response to a valid request.

    Args:
        fault: ``refuse``, ``cutoff``, ``garbage`` or ``alter``; "" for a response without a fault.

    Raises:
        ValueError: no document fits the schema of the request.
    """
    prompt = prompt_text(body)
    altered = ["altered"] if fault == "alter" else []
    seed = hashlib.sha256(json.dumps([body["model"], prompt, *altered]).encode()).hexdigest()
    text, stop_reason = _response_text(prompt, seed, output_schema(body)), "end_turn"
    if fault == "refuse":
        text, stop_reason = f"{LABEL} declined on demand", "refusal"
    elif fault == "garbage":
        text = f"{LABEL} this is no JSON"
    limit = body["max_tokens"] * _CHARS_PER_TOKEN
    if fault == "cutoff" or len(text) > limit:
        text, stop_reason = text[: min(limit, max(1, len(text) // 2))], "max_tokens"
    return {
        "id": f"msg_offline_{seed[:20]}",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": [{"type": "text", "text": text}],
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": {
            "input_tokens": tokens(prompt),
            "output_tokens": min(tokens(text), body["max_tokens"]),
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
        },
    }


def tokens(text: str) -> int:
    """Estimate the number of tokens: one per four characters."""
    return max(1, len(text) // _CHARS_PER_TOKEN)


def _response_text(prompt: str, seed: str, schema: Mapping[str, Any] | None) -> str:
    content = _PromptContent(prompt, seed)
    if schema is None:
        return f"{LABEL} No model was asked. The request: {content.topic}"
    return json.dumps(
        document(schema, random_below=content.random_below, text_for=content.text_for, length_for=content.length_for)
    )


class _PromptContent:
    """Texts, list lengths and pseudo-random numbers for a response, all derived from the prompt and its hash."""

    def __init__(self, prompt: str, seed: str) -> None:
        self._sections: dict[str, str] = dict(_SECTION.findall(prompt))
        self.topic = " ".join((self._sections.get("task") or self._sections.get("goal") or prompt).split())[:160]
        task_count = _TASK_COUNT.search(prompt)
        self._tasks = min(int(task_count[1]), _MAX_TASKS) if task_count else 3
        self._seed, self._numbers = seed, 0

    def random_below(self, limit: int) -> int:
        """Return a pseudo-random number from 0 to ``limit - 1``; equal requests get equal numbers."""
        self._numbers += 1
        return int(hashlib.sha256(f"{self._seed}{self._numbers}".encode()).hexdigest()[:8], 16) % limit

    def length_for(self, name: str) -> int:
        """Return the number of entries for the list ``name``."""
        return self._tasks if name == "tasks" else 1 + self.random_below(3)

    def text_for(self, name: str) -> str:
        """Return the text for the property ``name``; entries of a list are named ``tasks.1``, ``tasks.2`` and so on."""
        if name.startswith("sources."):
            return f"offline://source/{self.random_below(1000)}"
        if name.startswith("tasks."):
            return f"{LABEL} part {name.partition('.')[2]}: {self.topic}"
        if name == "summary" and "findings" in self._sections:
            count = sum(len(task["findings"]) for task in json.loads(self._sections["findings"])["tasks"])
            return f"{LABEL} No model read these {count} findings, so there is no summary. Goal: {self.topic}"
        return f"{LABEL} No model was asked. A finding about: {self.topic}"
