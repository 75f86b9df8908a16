"""One run: sessions under faults, one after another, and what remains of them."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

from infrafabric.money import nano_usd
from tests.chaos import collect, processes
from tests.chaos.evidence import RunEvidence, SessionEvidence
from tests.chaos.invariants import history_exact
from tests.chaos.plan import STACK, ChaosPlan, ProcessFault
from tests.e2e.conftest import FINAL, Stage

HISTORY_S = 60.0  # in which history is complete after the end of a session
REDELIVERY_S = 400.0  # after which SQS has delivered again what a killed recorder received: six of its timeouts
SESSION_S = 900.0
_POLL_S = 0.05
MODEL = "model stand-in"
_OWNER = "default"
_ANSWERS = ("answered", "alter")


@dataclass
class ChaosRun:
    """Sessions on one platform. :meth:`session` runs one, :meth:`evidence` waits for history and collects the rest."""

    stage: Stage
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
        self.stage.model("DELETE", "/_fabric/requests")
        self.edge("DELETE")
        # What holds a call for a signal comes first, so that no other fault hides it.
        self.edge("POST", [fault.hold.rule for fault in plan.processes] + [fault.rule for fault in plan.edge])
        self._set_model_rules(plan)
        self._step_clocks(plan)
        over = threading.Event()
        with ThreadPoolExecutor(1) as pool:  # no slow answer of the API may delay a signal
            signals = pool.submit(self._strike_processes, plan, over)
            try:
                self._call("POST", "/sessions", plan.request)
                session = self._until_ended(plan)
            finally:
                over.set()
            signals.result()
        self._count(plan)
        self.stage.model("DELETE", "/_fabric/rules")
        self.edge("DELETE")
        self._control("DELETE", "/_fabric/clock")
        self._restart_stepped(plan)
        return session

    def edge(self, method: str, rules: Any = None) -> Any:
        """Call the emulator's control of faults."""
        return self._control(method, "/_fabric/faults", rules)

    def evidence(self) -> RunEvidence:
        """Wait until history is complete, at most a minute, and return what remains of all sessions.

        Messages that lay in a queue before the run are left out.
        """
        killed = any(self.struck[f"{kind} recorder"] for kind in ("kill", "stop"))
        deadline = time.monotonic() + (REDELIVERY_S if killed else HISTORY_S)
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

    def _until_ended(self, plan: ChaosPlan) -> dict[str, Any]:
        deadline, highest = time.monotonic() + SESSION_S, 0
        while True:
            session = self._call("GET", f"/sessions/{plan.session_id}")
            highest = max(highest, nano_usd(session["cost_usd"]) + nano_usd(session["committed_usd"]))
            self._sessions[plan.session_id] = highest
            if session["status"] in FINAL or time.monotonic() > deadline:
                return session
            time.sleep(_POLL_S)

    def _strike_processes(self, plan: ChaosPlan, over: threading.Event) -> None:
        """Send each signal while its call is held, until all are sent or the session is over."""
        pending = dict(enumerate(plan.processes))
        while pending and not over.wait(_POLL_S):
            rules = self.edge("GET")
            for index, fault in list(pending.items()):
                if rules[index]["struck"]:
                    del pending[index]
                    self.struck[f"{fault.kind} {short(fault.target)}"] += self._signal(plan, fault)

    def _signal(self, plan: ChaosPlan, fault: ProcessFault) -> int:
        platform = self.stage.platform
        of_function = fault.target.startswith(STACK)
        if fault.stop_s:
            find = processes.workers if of_function else processes.platform_process
            return processes.stop_for(find(platform, fault.target), fault.stop_s)
        if of_function:
            return processes.kill_workers(platform, fault.target)
        if fault.target != MODEL:
            return processes.kill_and_restart(platform, fault.target)
        self._count_model()  # it counts in memory
        killed = processes.kill_and_restart(platform, fault.target)
        self._set_model_rules(plan)
        return killed

    def _step_clocks(self, plan: ChaosPlan) -> None:
        """Set the steps of clocks, and end the workers without them."""
        self._control("POST", "/_fabric/clock", [asdict(step) for step in plan.clock])
        self._restart_stepped(plan)

    def _restart_stepped(self, plan: ChaosPlan) -> None:
        for step in plan.clock:
            processes.kill_workers(self.stage.platform, step.function)

    def _set_model_rules(self, plan: ChaosPlan) -> None:
        self.stage.model("POST", "/_fabric/rules", [fault.rule for fault in plan.model])

    def _count(self, plan: ChaosPlan) -> None:
        rules = self.edge("GET")
        for fault, rule in zip(plan.edge, rules[len(plan.processes) :], strict=True):
            self.struck[f"{fault.kind} {short(fault.caller)} {fault.call}"] += rule["struck"]
        self._count_model()
        for step in plan.clock:
            count = processes.running_for(self.stage.platform, step.function, step.after_s)
            self.struck[f"clock {short(step.function)}"] += count

    def _count_model(self) -> None:
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
