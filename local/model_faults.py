"""What the stand-in does wrong on demand: marks in a task, and rules set from outside."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

KINDS = ("throttle", "overload", "error", "hang", "refuse", "cutoff", "garbage", "delay")
_MARK = re.compile(r"\[\[offline:([^\]]*)\]\]")
_TASK = re.compile(r"<task>(.*)</task>", re.DOTALL)
_OPTIONS = {"times", "retry-after", "agent"}
_RULE_KEYS = {"match", "do", "times", "delay_s", "retry_after_s", "status"}
_LONGEST_S = 3600.0


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing that goes wrong.

    ``delay_s`` is how long a ``delay`` or a ``hang`` takes: a hang without one lasts until the client leaves, one with
    it ends by dropping the connection. ``status`` is what an ``error`` answers with.
    """

    kind: str
    times: int | None = None  # None: always
    delay_s: float | None = None
    retry_after_s: float = 0.0
    status: int = 500
    agent: str = ""  # only when the request is this agent's

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"do is one of {', '.join(KINDS)}")
        if self.times is not None and (not isinstance(self.times, int) or self.times < 1):
            raise ValueError("times is a whole number from 1")
        for name, value in (("delay_s", self.delay_s or 0.0), ("retry_after_s", self.retry_after_s)):
            if not isinstance(value, int | float) or not 0 <= value <= _LONGEST_S:
                raise ValueError(f"{name} is a number from 0 to {_LONGEST_S:.0f}")
        if not isinstance(self.status, int) or not 400 <= self.status <= 599:
            raise ValueError("status is a number from 400 to 599")


@dataclass
class Rule:
    """A fault for the requests that a pattern fits, and how many it has fitted."""

    pattern: re.Pattern[str]
    fault: Fault
    fitted: int = 0


@dataclass
class Faults:
    """Rules set from outside, and how often each fault has struck."""

    _rules: list[Rule] = field(default_factory=list)
    _struck: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, rules: Any) -> None:
        """Rules, as docs/models.md gives them: all of them or, when one is wrong, none.

        Raises:
            ValueError: says what a rule is.
        """
        made = [_rule(given) for given in (rules if isinstance(rules, list) else [rules])]
        with self._lock:
            self._rules += made

    def rules(self) -> list[dict[str, Any]]:
        with self._lock:
            return [{"match": r.pattern.pattern, "do": r.fault.kind, "fitted": r.fitted} for r in self._rules]

    def clear(self) -> None:
        with self._lock:
            self._rules.clear()
            self._struck.clear()

    def due(self, text: str) -> Fault | None:
        """The fault that a request meets, if any: a mark in its task first, then the first rule that fits."""
        task = _TASK.search(text)
        for mark in _MARK.findall(task[1]) if task else []:
            fault = parse(mark)
            if fault and (not fault.agent or f"agent {fault.agent} " in text) and self._strikes(fault, mark + text):
                return fault
        with self._lock:
            for rule in self._rules:
                if rule.pattern.search(text):
                    rule.fitted += 1
                    if rule.fault.times is None or rule.fitted <= rule.fault.times:
                        return rule.fault
        return None

    def _strikes(self, fault: Fault, key: str) -> bool:
        if fault.times is None:
            return True
        with self._lock:
            self._struck[key] += 1
            return self._struck[key] <= fault.times


def parse(mark: str) -> Fault | None:
    """``throttle=2,retry-after=1,agent=h03`` as a fault; None for what is none, which is then ordinary text."""
    head, *rest = [part.strip() for part in mark.split(",")]
    kind, _, amount = head.partition("=")
    options = {name: value for name, _, value in (part.partition("=") for part in rest)}
    if not options.keys() <= _OPTIONS:
        return None
    times, delay, status = options.get("times", ""), "", ""
    if kind in ("delay", "hang"):
        delay = amount
    elif kind == "error":
        status = amount
    else:
        times = amount or times
    try:
        return Fault(
            kind=kind,
            times=int(times) if times else None,
            delay_s=float(delay) if delay else None,
            retry_after_s=float(options.get("retry-after") or 0),
            status=int(status or 500),
            agent=options.get("agent", ""),
        )
    except ValueError:
        return None


def _rule(given: Any) -> Rule:
    if not isinstance(given, Mapping) or not given.keys() <= _RULE_KEYS or not isinstance(given.get("match"), str):
        raise ValueError(f"a rule has match (a regular expression), do, and of {', '.join(sorted(_RULE_KEYS))} any")
    options = {name: value for name, value in given.items() if name not in ("match", "do")}
    try:
        return Rule(re.compile(given["match"], re.DOTALL), Fault(kind=given.get("do", ""), **options))
    except re.error as error:
        raise ValueError(f"match = {given['match']!r} is no regular expression: {error}") from None
