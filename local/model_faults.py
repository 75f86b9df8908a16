"""What the stand-in does wrong on demand."""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

KINDS = ("throttle", "overload", "error", "hang", "refuse", "cutoff", "garbage", "delay")
_MARK = re.compile(r"\[\[offline:([^\]]*)\]\]")
_TASK = re.compile(r"<task>(.*)</task>", re.DOTALL)


@dataclass(frozen=True)
class Fault:
    kind: str
    delay_s: float = 0.0
    retry_after_s: float = 0.0
    times: int | None = None  # None: always
    agent: str = ""  # only when the request names this agent


@dataclass
class Faults:
    """Rules set from outside, and how often each fault has struck."""

    _rules: list[tuple[re.Pattern[str], Fault]] = field(default_factory=list)
    _struck: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, rules: Any) -> None:
        """``[{"match": regex, "do": kind, "times": n, "delay_s": s, "retry_after_s": s}]``. Raises ``ValueError``."""
        made = []
        for rule in rules if isinstance(rules, list) else [rules]:
            if not isinstance(rule, Mapping) or rule.get("do") not in KINDS or not isinstance(rule.get("match"), str):
                raise ValueError(f"a rule needs match (a regular expression) and do (one of {', '.join(KINDS)})")
            try:
                pattern = re.compile(rule["match"], re.DOTALL)
            except re.error as error:
                raise ValueError(f"match = {rule['match']!r}: {error}") from None
            delay, after = float(rule.get("delay_s") or 0), float(rule.get("retry_after_s") or 0)
            made.append((pattern, Fault(rule["do"], delay, after, rule.get("times"))))
        with self._lock:
            self._rules += made

    def clear(self) -> None:
        with self._lock:
            self._rules.clear()
            self._struck.clear()

    def due(self, body: Mapping[str, Any]) -> Fault | None:
        """The fault that this request meets, if any: a mark in its task first, then the first rule that fits."""
        text = request_text(body)
        found = _TASK.search(text)
        for mark in _MARK.findall(found[1]) if found else []:
            fault = parse(mark)
            if fault and (not fault.agent or f"agent {fault.agent} " in text) and self._counts(fault, mark + text):
                return fault
        with self._lock:
            rules = list(self._rules)
        for number, (pattern, fault) in enumerate(rules):
            if pattern.search(text) and self._counts(fault, f"rule {number}"):
                return fault
        return None

    def _counts(self, fault: Fault, key: str) -> bool:
        if fault.times is None:
            return True
        with self._lock:
            self._struck[key] += 1
            return self._struck[key] <= fault.times


def parse(mark: str) -> Fault | None:
    """``throttle=2,retry-after=1,agent=h03`` as a fault; None for what is none, which is then ordinary text."""
    head, *rest = [part.strip() for part in mark.split(",")]
    kind, _, amount = head.partition("=")
    options = dict(part.partition("=")[::2] for part in rest)
    if kind not in KINDS:
        return None
    try:
        times = int(amount) if amount and kind != "delay" else None
        delay = float(amount) if kind == "delay" else 0.0
        return Fault(kind, delay, float(options.get("retry-after") or 0), times, options.get("agent", ""))
    except ValueError:
        return None


def request_text(body: Mapping[str, Any]) -> str:
    """System and messages as one text."""
    system = body.get("system") or ""
    parts = [system] if isinstance(system, str) else [block.get("text", "") for block in system]
    for message in body.get("messages") or []:
        content = message.get("content", "")
        parts += [content] if isinstance(content, str) else [block.get("text", "") for block in content]
    return "\n".join(part if isinstance(part, str) else json.dumps(part) for part in parts)
