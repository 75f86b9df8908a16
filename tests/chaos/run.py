"""One run: sessions under faults, one after another, and what remains of them."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from infrafabric.money import nano_usd
from tests.chaos import collect, processes
from tests.chaos.evidence import RunEvidence, SessionEvidence
from tests.chaos.invariants import history_exact
from tests.chaos.plan import STACK, ChaosPlan, ProcessFault
from tests.e2e.conftest import FINAL, Stage

HISTORY_S = 60.0  # in which history is complete after the end of a session
SESSION_S = 900.0
_POLL_S = 0.05
_OWNER = "default"
_ANSWERS = ("answered", "alter")
Progress = Callable[[str], None]


@dataclass
class ChaosRun:
    """Sessions on one platform. :meth:`session` runs one, :meth:`evidence` waits for history and collects the rest."""

    stage: Stage
    progress: Progress = lambda _: None
    restart: Callable[[Any, str], None] = lambda _platform, _name: None
    struck: Counter[str] = field(default_factory=Counter)
    _sessions: dict[str, int] = field(default_factory=dict)  # highest sum of money by session id
    _answered: int = 0
    _cap: tuple[int, int] = (0, 0)
    _before: list[tuple[str, str]] = field(default_factory=list)  # queue and body of messages that lay there before

    def __post_init__(self) -> None:
        self._before = [(message["queue"], message["body"]) for message in self._queued()]
        self._cap = collect.daily_cap(self.stage, _OWNER)

    def session(self, plan: ChaosPlan) -> dict[str, Any]:
        """Run one session under its faults, until it has ended. Returns the session as clients see it."""
        stage, pending = self.stage, list(plan.processes)
        stage.model("DELETE", "/_fabric/requests")
        self.edge("DELETE")
        # Rules in order: what holds a call for a signal comes first, so that no other fault hides it.
        rules = [fault.hold.rule for fault in plan.processes] + [fault.rule for fault in plan.edge]
        self.edge("POST", rules)
        stage.model("POST", "/_fabric/rules", [fault.rule for fault in plan.model])
        try:
            self._call("POST", "/sessions", plan.request)
            session = self._until_ended(plan, pending)
        finally:
            self._count(plan)
            stage.model("DELETE", "/_fabric/rules")
            self.edge("DELETE")
        return session

    def edge(self, method: str, rules: Any = None) -> Any:
        """Call the emulator's control of faults."""
        return self._control(method, "/_fabric/faults", rules)

    def evidence(self) -> RunEvidence:
        """Wait until history is complete, at most a minute, and return what remains of all sessions.

        Messages that lay in a queue before the run are left out.
        """
        deadline = time.monotonic() + HISTORY_S
        sessions = self._collect()
        while any(list(history_exact(session)) for session in sessions) and time.monotonic() < deadline:
            time.sleep(1)
            sessions = self._collect()
        while (left := self._messages()) and time.monotonic() < deadline:
            if all(message["receives"] for message in left):
                break
            time.sleep(1)
        total, running = collect.daily_cap(self.stage, _OWNER)
        return RunEvidence(
            sessions=tuple(sessions),
            struck=dict(self.struck),
            answered_tasks=self._answered,
            messages=collect.left_messages(self._messages()),
            cap_nusd=total - self._cap[0],
            cap_running_nusd=running - self._cap[1],
        )

    def _collect(self) -> list[SessionEvidence]:
        return [
            collect.session_evidence(self.stage, name, highest_nusd=highest) for name, highest in self._sessions.items()
        ]

    def _until_ended(self, plan: ChaosPlan, pending: list[ProcessFault]) -> dict[str, Any]:
        deadline, highest = time.monotonic() + SESSION_S, 0
        while True:
            if pending:
                self._strike_processes(plan, pending)
            session = self._call("GET", f"/sessions/{plan.session_id}")
            highest = max(highest, nano_usd(session["cost_usd"]) + nano_usd(session["committed_usd"]))
            self._sessions[plan.session_id] = highest
            if session["status"] in FINAL or time.monotonic() > deadline:
                return session
            time.sleep(_POLL_S)

    def _strike_processes(self, plan: ChaosPlan, pending: list[ProcessFault]) -> None:
        """Send the signals of the faults whose call is held now."""
        rules = self.edge("GET")
        for index, fault in enumerate(plan.processes):
            if fault in pending and rules[index]["struck"]:
                pending.remove(fault)
                self.struck[f"{fault.kind} {short(fault.target)}"] += self._signal(fault)

    def _signal(self, fault: ProcessFault) -> int:
        platform = self.stage.platform
        if fault.target.startswith(STACK):
            if fault.stop_s:
                return processes.stop_for(processes.workers(platform, fault.target), fault.stop_s)
            return processes.kill_workers(platform, fault.target)
        if fault.stop_s:
            return processes.stop_for(processes.platform_process(platform, fault.target), fault.stop_s)
        return processes.kill_and_restart(platform, fault.target, self.restart)

    def _count(self, plan: ChaosPlan) -> None:
        rules = self.edge("GET")
        for fault, rule in zip(plan.edge, rules[len(plan.processes) :], strict=False):
            self.struck[f"{fault.kind} {short(fault.caller)} {fault.call}"] += rule["struck"]
        for row in self.stage.model("GET", "/_fabric/requests"):
            if row["outcome"] != "answered":
                self.struck[f"model {row['outcome']}"] += row["count"]
            if row["outcome"] in _ANSWERS and "haiku" in row["model"]:
                self._answered += row["count"]

    def _messages(self) -> list[dict[str, Any]]:
        return [message for message in self._queued() if (message["queue"], message["body"]) not in self._before]

    def _queued(self) -> list[dict[str, Any]]:
        return self._control("GET", "/_fabric/messages")

    def _control(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.stage.platform.endpoint_url + path, data, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def _call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """Send a request as a patient client does: an error of the server is met with the same request again."""
        deadline = time.monotonic() + 60
        while True:
            try:
                status, _, document = self.stage.call(method, path, body)
            except (urllib.error.URLError, ConnectionError, TimeoutError) as error:
                status, document = 599, {"detail": str(error)}
            if status < 500 and status != 429:
                assert status < 300, document
                return document
            assert time.monotonic() < deadline, document
            time.sleep(_POLL_S)


def short(name: str) -> str:
    """Return the name of a function or queue without the stack's."""
    return name.removeprefix(f"{STACK}-")
