"""Plan of faults for one session: a pure function of its number, so that a failed run can be repeated."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

STACK = "infrafabric-dev"
AGENTS = 10
RECORDER, RUNNER = f"{STACK}-recorder", "durable runner"
# Processes of the platform that are killed or stopped; the runner is only stopped, as it keeps executions in memory.
PLATFORM_PROCESSES = ("PostgreSQL", "model stand-in", RUNNER)
MOST_STEP_S = 20.0  # of a clock; a message from further in the future is refused (docs/if-bus.md, "Freshness")
HOLD_S = 0.5  # for which a call is held while the process that made it is killed or stopped

# Calls of each function that a fault can strike. Reads of the registry (s3:GET) are cached, so they are rare.
_CALLS = {
    "agent": (
        "dynamodb:UpdateItem",
        "dynamodb:GetItem",
        "kms:Sign",
        "s3:PUT",
        "s3:GET",
        "lambda:DurableExecution.succeed",
    ),
    "coordinator": (
        "dynamodb:TransactWriteItems",
        "dynamodb:PutItem",
        "dynamodb:UpdateItem",
        "dynamodb:Query",
        "dynamodb:GetItem",
        "kms:Sign",
        "lambda:DurableExecution.checkpoint",
        "s3:GET",
        "s3:PUT",
        "sns:PublishBatch",
        "sqs:SendMessageBatch",
    ),
    "api": ("dynamodb:TransactWriteItems", "dynamodb:UpdateItem", "dynamodb:GetItem", "lambda:Invoke"),
}
_KILL_AT = {
    "agent": ("dynamodb:UpdateItem", "s3:PUT", "lambda:DurableExecution.succeed"),
    "coordinator": (
        "dynamodb:PutItem",
        "kms:Sign",
        "lambda:DurableExecution.checkpoint",
        "s3:PUT",
        "sns:PublishBatch",
        "sqs:SendMessageBatch",
        "dynamodb:TransactWriteItems",
    ),
}
_CALLER_KINDS = ("agent", "agent", "coordinator", "coordinator", "api")
_EDGE_KINDS = ("throttle", "error", "error-after", "delay")
_OFTEN = ("throttle", "overload", "error", "cutoff", "garbage", "alter", "delay", "hang")
_MODEL_KINDS = (*_OFTEN, *_OFTEN, "refuse")  # a refusal is final for its task
# Of a function: one attempt and its retries. As many throttles let the function fail, and SQS delivers again.
_SDK_TRIES = 4


@dataclass(frozen=True, kw_only=True)
class EdgeFault:
    """Fault of the calls ``call`` of the function ``caller``, at the emulator's edge."""

    caller: str  # name of a function, or of a queue
    call: str
    kind: str
    skip: int = 0
    times: int = 1
    delay_s: float = 0.0

    @property
    def rule(self) -> dict[str, Any]:
        """The rule as the emulator takes it."""
        match = rf"^{self.caller} {self.call}$"
        return {"match": match, "do": self.kind, "skip": self.skip, "times": self.times, "delay_s": self.delay_s}


@dataclass(frozen=True, kw_only=True)
class ModelFault:
    """Fault of the model stand-in for one agent of a session, or for plan and summary (``agent`` "")."""

    session_id: str
    agent: str
    kind: str
    times: int = 1
    options: tuple[tuple[str, float], ...] = ()

    @property
    def rule(self) -> dict[str, Any]:
        """The rule as the stand-in takes it."""
        who = rf"agent {self.agent} .*" if self.agent else r"^(?!.*You are agent).*"
        match = rf"{who}{self.session_id}\b"
        return {"match": match, "do": self.kind, "times": self.times, **dict(self.options)}


@dataclass(frozen=True, kw_only=True)
class ProcessFault:
    """SIGKILL of a process, or a SIGSTOP of ``stop_s``, while it makes the call of ``hold``.

    Args:
        target: name of a function, or of a process of the platform.
        hold: fault that delays the call during which the signal is sent.
        stop_s: time after which the process continues; 0 for a process that is killed.
    """

    target: str
    hold: EdgeFault
    stop_s: float = 0.0

    @property
    def kind(self) -> str:
        """Name of the fault in the table."""
        return "stop" if self.stop_s else "kill"


@dataclass(frozen=True, kw_only=True)
class ClockStep:
    """Step of the clock of a function's code, ``after_s`` seconds after the function has started."""

    function: str
    step_s: float
    after_s: float


@dataclass(frozen=True, kw_only=True)
class ChaosPlan:
    """A session and the faults that strike it."""

    seed: int
    session_id: str
    request: dict[str, Any]  # body of POST /sessions
    edge: tuple[EdgeFault, ...]
    model: tuple[ModelFault, ...]
    processes: tuple[ProcessFault, ...]
    clock: tuple[ClockStep, ...]


def plan(seed: int, tasks: int, *, kill_runner: bool = False) -> ChaosPlan:
    """Return the plan of a session.

    Args:
        seed: equal seeds give equal plans.
        tasks: tasks of the session. More tasks get more faults.
        kill_runner: kill the runner of durable executions, which loses all executions. The session then ends as a lost
            one, five minutes after its deadline.
    """
    session_id = f"chaos-{seed}-{tasks}"
    scale = max(1, tasks // 20)
    agents = [f"h{number:02}" for number in range(1, min(AGENTS, tasks) + 1)]
    edge, model = _chance(seed, "edge"), _chance(seed, "model")
    request = _request(_chance(seed, "request"), session_id, tasks)
    return ChaosPlan(
        seed=seed,
        session_id=session_id,
        request={**request, "deadline_s": 30} if kill_runner else request,
        edge=tuple(_edge_fault(edge, agents, tasks) for _ in range(8 * scale)) + _deliveries(edge, agents, scale),
        model=tuple(_model_fault(model, session_id, agents) for _ in range(3 * scale)),
        processes=tuple(_process_faults(_chance(seed, "processes"), agents, tasks, kill_runner)),
        clock=_clock_steps(_chance(seed, "clock"), agents),
    )


def _chance(seed: int, subject: str) -> random.Random:
    """Return the chance of one subject: more faults of one leave those of the others as they are."""
    return random.Random(f"{seed} {subject}")


def _request(chance: random.Random, session_id: str, tasks: int) -> dict[str, Any]:
    body: dict[str, Any] = {"session_id": session_id, "budget_usd": 0.02 * tasks, "deadline_s": 600}
    if tasks <= AGENTS and chance.random() < 0.3:
        return {**body, "goal": f"Know what {session_id} needs", "agents": tasks}
    if chance.random() < 0.2:
        body["budget_usd"] = round(0.0016 * tasks, 4)  # too little for all tasks at once: several rounds
    return {**body, "tasks": [f"Describe part {number} of {session_id}" for number in range(1, tasks + 1)]}


def _function(chance: random.Random, kind: str, agents: list[str]) -> str:
    return f"{STACK}-{chance.choice(agents) if kind == 'agent' else kind}"


def _edge_fault(chance: random.Random, agents: list[str], tasks: int) -> EdgeFault:
    caller, kind = chance.choice(_CALLER_KINDS), chance.choice(_EDGE_KINDS)
    return EdgeFault(
        caller=_function(chance, caller, agents),
        call=chance.choice(_CALLS[caller]),
        kind=kind,
        skip=chance.randrange(max(1, tasks // AGENTS)),
        times=_SDK_TRIES if kind == "throttle" and chance.random() < 0.15 else chance.randint(1, 2),
        delay_s=round(chance.uniform(0.05, 0.8), 2) if kind == "delay" else 0.0,
    )


def _deliveries(chance: random.Random, agents: list[str], scale: int) -> tuple[EdgeFault, ...]:
    queues = [f"{STACK}-{chance.choice(agents)}-inbox" for _ in range(2 * scale)]
    return tuple(
        EdgeFault(caller=queue, call="sqs:Deliver", kind=kind, times=scale)
        for queue in queues
        for kind in ("deliver-twice", "reorder")
    )


def _model_fault(chance: random.Random, session_id: str, agents: list[str]) -> ModelFault:
    kind = chance.choice(_MODEL_KINDS)
    options: dict[str, float] = {}
    if kind in ("delay", "hang"):
        options["delay_s"] = round(chance.uniform(0.2, 2.0), 2)
    if kind == "error":
        options["status"] = chance.choice((500, 502, 504, 408, 409))
    if kind == "throttle" and chance.random() < 0.5:
        options["retry_after_s"] = 1
    agent = chance.choice([*agents, ""])
    return ModelFault(
        session_id=session_id, agent=agent, kind=kind, times=chance.randint(1, 2), options=tuple(options.items())
    )


def _process_faults(chance: random.Random, agents: list[str], tasks: int, kill_runner: bool) -> list[ProcessFault]:
    faults = []
    # A killed function loses up to two batches of ten, which are asked again.
    for kind in ("agent", chance.choice(("agent", "coordinator", "coordinator"))) * max(1, tasks // 500):
        function = _function(chance, kind, agents)
        faults.append(_held(chance, function, function, chance.choice(_KILL_AT[kind]), tasks, _stop_s(chance)))
    coordinator = f"{STACK}-coordinator"
    target = chance.choice((*PLATFORM_PROCESSES, RECORDER))
    if target == RECORDER:  # it makes no calls that could be held, but reads what the coordinator sends
        sent = EdgeFault(caller=coordinator, call="sqs:SendMessageBatch", kind="delay-after", delay_s=HOLD_S)
        faults.append(ProcessFault(target=target, hold=sent, stop_s=_stop_s(chance)))
    else:
        stop_s = _stop_s(chance, 1.0 if target == RUNNER else 0.5)
        faults.append(_held(chance, target, coordinator, chance.choice(_KILL_AT["coordinator"]), tasks, stop_s))
    if kill_runner:
        faults.append(_held(chance, RUNNER, coordinator, "sns:PublishBatch", tasks, 0.0))
    return faults


def _stop_s(chance: random.Random, probability: float = 0.25) -> float:
    """Return for how long a process is stopped; 0 if it is killed."""
    return round(chance.uniform(0.5, 3.0), 2) if chance.random() < probability else 0.0


def _clock_steps(chance: random.Random, agents: list[str]) -> tuple[ClockStep, ...]:
    """Return a step of one clock for every third session: its function must start anew, which takes seconds."""
    if chance.random() > 1 / 3:
        return ()
    function = _function(chance, chance.choice(("agent", "coordinator")), agents)
    step_s = round(chance.uniform(-MOST_STEP_S, MOST_STEP_S), 1)
    return (ClockStep(function=function, step_s=step_s, after_s=round(chance.uniform(0, 5), 1)),)


def _held(chance: random.Random, target: str, caller: str, call: str, tasks: int, stop_s: float) -> ProcessFault:
    kind = chance.choice(("delay", "delay-after"))  # the signal comes before the action, or after it
    skip = chance.randrange(max(1, tasks // AGENTS))
    return ProcessFault(
        target=target, hold=EdgeFault(caller=caller, call=call, kind=kind, skip=skip, delay_s=HOLD_S), stop_s=stop_s
    )
