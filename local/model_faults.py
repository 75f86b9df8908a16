"""Fault injection for the fake Messages API: by marks in a task, or by rules that a client sets."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

KINDS = ("throttle", "overload", "error", "hang", "refuse", "cutoff", "garbage", "alter", "delay")
_MARK = re.compile(r"\[\[offline:([^\]]*)\]\]")
_TASK = re.compile(r"<task>(.*)</task>", re.DOTALL)
_OPTIONS = {"times", "retry-after", "agent"}
_RULE_KEYS = {"match", "do", "times", "delay_s", "retry_after_s", "status"}
_MAX_S = 3600.0


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Fault to inject into a response: one of ``KINDS`` with its parameters.

    ``delay_s`` is the duration of a ``delay`` or ``hang``. A hang without ``delay_s`` lasts until the client
    disconnects; a hang with ``delay_s`` ends with a dropped connection. ``status`` is the HTTP status of an ``error``.

    Raises:
        ValueError: a parameter is out of range.
    """

    kind: str
    times: int | None = None  # number of requests with the fault; None: all
    delay_s: float | None = None
    retry_after_s: float = 0.0
    status: int = 500
    agent: str = ""  # short name of the only agent with the fault; "": all agents

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"do = {self.kind!r}; allowed are {', '.join(KINDS)}")
        if self.times is not None and (not isinstance(self.times, int) or self.times < 1):
            raise ValueError(f"times = {self.times!r}; allowed are whole numbers from 1")
        for name, value in (("delay_s", self.delay_s or 0.0), ("retry_after_s", self.retry_after_s)):
            if not isinstance(value, int | float) or not 0 <= value <= _MAX_S:
                raise ValueError(f"{name} = {value!r}; allowed are numbers from 0 to {_MAX_S:.0f}")
        if not isinstance(self.status, int) or not 400 <= self.status <= 599:
            raise ValueError(f"status = {self.status!r}; allowed are numbers from 400 to 599")


@dataclass
class FaultRule:
    """Fault for all requests that match a pattern, with the count of matching requests."""

    pattern: re.Pattern[str]
    fault: Fault
    fitted: int = 0


@dataclass
class Faults:
    """Fault rules of a server, with the number of injections per fault. Safe for use by several threads."""

    _rules: list[FaultRule] = field(default_factory=list)
    _injections: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, rules: Any) -> None:
        """Add one rule or a list of rules (see docs/models.md, "Faults"). An invalid rule rejects the whole list.

        Raises:
            ValueError: a rule is invalid; the message names the allowed keys or values.
        """
        new_rules = [_rule(rule) for rule in (rules if isinstance(rules, list) else [rules])]
        with self._lock:
            self._rules += new_rules

    def rules(self) -> list[dict[str, Any]]:
        """Return the rules as ``{"match", "do", "fitted"}``; ``fitted`` counts the requests that matched."""
        with self._lock:
            return [{"match": r.pattern.pattern, "do": r.fault.kind, "fitted": r.fitted} for r in self._rules]

    def clear(self) -> None:
        """Remove all rules and counts."""
        with self._lock:
            self._rules.clear()
            self._injections.clear()

    def due(self, text: str) -> Fault | None:
        """Return the fault for a request, or None: marks in the request's task come first, then rules in order."""
        task = _TASK.search(text)
        for mark in _MARK.findall(task[1]) if task else []:
            fault = parse(mark)
            if (
                fault
                and (not fault.agent or f"agent {fault.agent} " in text)
                and self._is_within_times(fault, mark + text)
            ):
                return fault
        with self._lock:
            for rule in self._rules:
                if rule.pattern.search(text):
                    rule.fitted += 1
                    if rule.fault.times is None or rule.fitted <= rule.fault.times:
                        return rule.fault
        return None

    def _is_within_times(self, fault: Fault, key: str) -> bool:
        """Count an injection of the fault, and return whether ``fault.times`` allows the injection."""
        if fault.times is None:
            return True
        with self._lock:
            self._injections[key] += 1
            return self._injections[key] <= fault.times


def parse(mark: str) -> Fault | None:
    """Parse a mark such as ``throttle=2,retry-after=1,agent=h03``. Return None for an invalid mark (plain text)."""
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


def _rule(value: Any) -> FaultRule:
    if not isinstance(value, Mapping) or not value.keys() <= _RULE_KEYS or not isinstance(value.get("match"), str):
        optional = ", ".join(sorted(_RULE_KEYS - {"match", "do"}))
        raise ValueError(f"a rule is an object with match (a regular expression), do, and optionally {optional}")
    options = {name: option for name, option in value.items() if name not in ("match", "do")}
    try:
        return FaultRule(re.compile(value["match"], re.DOTALL), Fault(kind=value.get("do", ""), **options))
    except re.error as error:
        raise ValueError(f"match = {value['match']!r} is not a regular expression: {error}") from None
