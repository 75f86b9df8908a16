"""Faults at the emulator's edge: throttles, errors before and after an action, delays, and a second or late delivery.

A client sets rules (``POST /_fabric/faults``), reads what struck (``GET``) and removes the rules (``DELETE``). Without
rules nothing changes. A rule is matched against ``<caller> <service>:<Operation>``, such as
``infrafabric-dev-agent-h01 dynamodb:UpdateItem``. Calls by the account's root match no rule. A delivery of a queue to a
function is matched as ``<queue> sqs:Deliver``.

This module imports nothing of the emulator, so that tests read it with the project's own interpreter.
"""

from __future__ import annotations

import copy
import json
import re
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

DELIVER = "sqs:Deliver"
CALL_KINDS = ("throttle", "error", "error-after", "delay", "delay-after")
DELIVERY_KINDS = ("deliver-twice", "reorder")
KINDS = CALL_KINDS + DELIVERY_KINDS
_MAX_DELAY_S = 60.0
_RULE_KEYS = {"match", "do", "skip", "times", "delay_s"}

Send = Callable[[dict[str, Any]], Awaitable[None]]
HttpResponse = tuple[int, dict[str, str], bytes]


@dataclass
class EdgeRule:
    """Fault for the calls that match a pattern, with the counts of matching calls and of strikes.

    Raises:
        ValueError: a member is out of range.
    """

    pattern: re.Pattern[str]
    kind: str
    skip: int = 0  # matching calls that are left alone first
    times: int = 1  # calls that are struck after those
    delay_s: float = 0.0
    matched: int = 0
    struck: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"do = {self.kind!r}; allowed are {', '.join(KINDS)}")
        for name, value, least in (("skip", self.skip, 0), ("times", self.times, 1)):
            if not isinstance(value, int) or value < least:
                raise ValueError(f"{name} = {value!r}; allowed are whole numbers from {least}")
        if not isinstance(self.delay_s, int | float) or not 0 <= self.delay_s <= _MAX_DELAY_S:
            raise ValueError(f"delay_s = {self.delay_s!r}; allowed are numbers from 0 to {_MAX_DELAY_S:.0f}")


@dataclass
class EdgeFaults:
    """Rules of the edge. Safe for use by several threads: queues are polled by a thread of the emulator."""

    _rules: list[EdgeRule] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, rules: Any) -> None:
        """Add a list of rules, or one. An invalid rule rejects the whole list.

        Raises:
            ValueError: a rule is invalid; the message names the allowed members or values.
        """
        new_rules = [_rule(rule) for rule in (rules if isinstance(rules, list) else [rules])]
        with self._lock:
            self._rules += new_rules

    def clear(self) -> None:
        """Remove all rules and counts."""
        with self._lock:
            self._rules.clear()

    def rules(self) -> list[dict[str, Any]]:
        """Return the rules as ``{"match", "do", "matched", "struck"}``, in the order in which they were set."""
        with self._lock:
            return [
                {"match": r.pattern.pattern, "do": r.kind, "matched": r.matched, "struck": r.struck}
                for r in self._rules
            ]

    def due(self, call: str, kinds: tuple[str, ...] = CALL_KINDS) -> EdgeRule | None:
        """Count a call, and return the first rule of ``kinds`` that strikes the call, or None.

        Only an ``error-after`` is not counted as a strike here: see :meth:`count_strike`.
        """
        with self._lock:
            for rule in self._rules:
                if rule.kind in kinds and rule.pattern.search(call):
                    rule.matched += 1
                    if rule.skip < rule.matched <= rule.skip + rule.times:
                        rule.struck += rule.kind != "error-after"
                        return rule
        return None

    def count_strike(self, rule: EdgeRule) -> None:
        """Count an ``error-after``, once the action has succeeded: without an action there is nothing to hide."""
        with self._lock:
            rule.struck += 1


def _rule(value: Any) -> EdgeRule:
    if not isinstance(value, Mapping) or not value.keys() <= _RULE_KEYS or not isinstance(value.get("match"), str):
        optional = ", ".join(sorted(_RULE_KEYS - {"match", "do"}))
        raise ValueError(f"a rule is an object with match (a regular expression), do, and optionally {optional}")
    options = {name: option for name, option in value.items() if name not in ("match", "do")}
    try:
        return EdgeRule(re.compile(value["match"]), str(value.get("do", "")), **options)
    except re.error as error:
        raise ValueError(f"match = {value['match']!r} is not a regular expression: {error}") from None


class ResponseBuffer:
    """ASGI send that keeps a response instead of sending it, so that another response can take its place."""

    def __init__(self) -> None:
        self._messages: list[dict[str, Any]] = []

    async def send(self, message: dict[str, Any]) -> None:
        """Keep a part of the response."""
        self._messages.append(message)

    @property
    def succeeded(self) -> bool:
        """Whether the status of the response is below 300."""
        return bool(self._messages) and self._messages[0].get("status", 500) < 300

    async def release(self, send: Send) -> None:
        """Send the response."""
        for message in self._messages:
            await send(message)


def error_response(service: str, kind: str) -> HttpResponse:
    """Return a throttle (``kind`` "throttle") or an internal error in the protocol of the service.

    The codes are those for which the AWS SDKs try again (AWS SDKs and Tools Reference Guide, "Retry behavior").
    """
    throttle = kind == "throttle"
    text = "A throttle on demand" if throttle else "An internal error on demand"
    if service == "s3":
        code, status = ("SlowDown", 503) if throttle else ("InternalError", 500)
        xml = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{text}</Message></Error>"
        return status, {"content-type": "application/xml"}, xml.encode()
    if service in ("sns", "sts", "iam"):
        code, fault, status = ("Throttling", "Sender", 400) if throttle else ("InternalFailure", "Receiver", 500)
        error = f"<Error><Type>{fault}</Type><Code>{code}</Code><Message>{text}</Message></Error>"
        return status, {"content-type": "text/xml"}, f"<ErrorResponse>{error}</ErrorResponse>".encode()
    if service == "lambda":
        code, status = ("TooManyRequestsException", 429) if throttle else ("ServiceException", 500)
        headers = {"content-type": "application/json", "x-amzn-errortype": code}
        return status, headers, json.dumps({"Type": "User" if throttle else "Service", "message": text}).encode()
    code, status = ("ThrottlingException", 400) if throttle else ("InternalServerError", 500)
    headers = {"content-type": "application/x-amz-json-1.0", "x-amzn-errortype": code}
    return status, headers, json.dumps({"__type": code, "message": text}).encode()


def deliver_with_faults(receive: Callable[[str, int], list[dict[str, Any]]], queues: Any, faults: EdgeFaults) -> Any:
    """Return ``receive`` of a queue for a function, with second and reordered deliveries of standard queues.

    A message that is delivered twice stays visible, and each delivery has a receipt handle of its own. A FIFO queue
    does neither, so its deliveries match no rule.
    """

    def receive_with_faults(queue_url: str, most: int) -> list[dict[str, Any]]:
        queue, call = queues.get(queue_url), f"{queue_url.rpartition('/')[2]} {DELIVER}"
        if queue is None or queue["is_fifo"] or not queue["messages"]:
            return receive(queue_url, most)
        if len(queue["messages"]) > 1 and faults.due(call, ("reorder",)):
            queue["messages"].reverse()
        batch = receive(queue_url, most)
        if not batch or not faults.due(call, ("deliver-twice",)):
            return batch
        first = copy.deepcopy(batch)
        for message in batch:
            message["visible_at"] = 0
        return first

    return receive_with_faults
