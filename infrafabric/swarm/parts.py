"""A session that is too big for one durable execution: parts of it, as child executions of the same function."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from aws_durable_execution_sdk_python.config import CompletionConfig, Duration, MapConfig, NestingType
from aws_durable_execution_sdk_python.context import DurableContext

from infrafabric.swarm.session import TASKS_AN_EXECUTION, Order, Status, needed, task_id
from infrafabric.swarm.world import CoordinatorDeps

NOT_NEEDED = "not needed: the quorum was reached"
SHARE_BYTES = 150_000  # of the texts of a part, as JSON: a checkpoint takes 256 KB
_LONGEST_LOOK_S = 600  # between two looks at what late agents have done


@dataclass(frozen=True, kw_only=True)
class Share:
    """What one execution hands out of a session's tasks."""

    texts: Sequence[str]
    first: int = 0  # index of the first one
    of: int  # tasks of the whole session
    again: bool = False  # some may be done: another execution began with them


def dispatch(order: Order, whole: Share, context: DurableContext, deps: CoordinatorDeps) -> dict[str, str]:
    """Child executions, each with its share of the tasks. A part that fails as a whole takes only its tasks along."""
    shares = shared_out(whole.texts)

    def part(branch: DurableContext, first: int, index: int, _: Sequence[int]) -> dict[str, str]:
        share = replace(whole, texts=shares[index][1], first=first)
        payload = {**order.as_event(), "tasks": [], "part": asdict(share)}
        return branch.invoke(deps.self_name, payload, name=f"part-{first}")["given_up"]

    config = MapConfig(completion_config=CompletionConfig.all_completed(), nesting_type=NestingType.FLAT)
    batch = context.map([first for first, _ in shares], part, name="parts", config=config)
    given_up: dict[str, str] = {}
    for item in batch.all:
        if item.result is not None:
            given_up.update(item.result)
        else:
            first, share = shares[item.index]
            why = item.error.message if item.error else "it did not end"
            given_up.update({task_id(first + n): f"its part of the session failed: {why}" for n in range(len(share))})
    return given_up


def shared_out(texts: Sequence[str]) -> list[tuple[int, list[str]]]:
    """The tasks in parts that an execution, and a checkpoint, can hold: the first one's index and the texts."""
    shares: list[tuple[int, list[str]]] = []
    size = 0
    for index, text in enumerate(texts):
        bytes_ = len(json.dumps(text))
        if not shares or len(shares[-1][1]) == TASKS_AN_EXECUTION or size + bytes_ > SHARE_BYTES:
            shares.append((index, []))
            size = 0
        shares[-1][1].append(text)
        size += bytes_
    return shares


def wait_for_quorum(
    order: Order, texts: Sequence[str], given_up: Mapping[str, str], context: DurableContext, deps: CoordinatorDeps
) -> None:
    """When a part missed its share of the quorum, tasks that other parts did not wait for may still make up for it."""
    goal = needed(order.quorum, len(texts))
    running = {name for name, reason in given_up.items() if reason == NOT_NEEDED}
    if not running or len(texts) - len(given_up) >= goal:
        return
    looks = 0
    while wait_s := context.step(lambda _, n=looks: _look(order, running, goal, n, deps), name=f"look-{looks}"):
        context.wait(Duration(wait_s), name=f"wait-{looks}")
        looks += 1


def _look(order: Order, running: set[str], goal: int, looks: int, deps: CoordinatorDeps) -> int:
    """Seconds until the next look at what was done; 0 when there is nothing to wait for."""
    ended = list(deps.store.tasks(order.session_id))
    left_s = (order.tasks_by_ms - deps.now_ms()) // 1000
    done = sum(result.status == "DONE" for result in ended)
    session = deps.store.get(order.session_id)
    over = session is None or Status(session["status"]).final
    if over or done >= goal or left_s < 1 or running <= {result.task_id for result in ended}:
        return 0
    return min(2 ** min(looks + 1, 16), _LONGEST_LOOK_S, left_s)
