"""Round plan: which tasks are tried next, by what the session's free money pays."""

from __future__ import annotations

import math
from collections.abc import Sequence

from infrafabric.backoff import silence_timeout_s
from infrafabric.swarm.allowances import Allowances
from infrafabric.swarm.ledger import affordable
from infrafabric.swarm.shapes.attempt import Attempt
from infrafabric.swarm.shapes.coordinator_event import RoundOrder
from infrafabric.swarm.shapes.order import Order
from infrafabric.swarm.task_board import TaskBoard, parts_of


def next_attempts(
    board: TaskBoard, order: Order, allowances: Allowances, *, free: int, secret: str, max_tokens: int
) -> list[Attempt]:
    """Return the attempts that ``free`` nano-USD pays at worst; none if it pays not even one.

    An answer has ``max_tokens`` at most, and twice as many where the last answer was cut off.
    Answers are as long as possible. Only if the money does not pay a single one, one attempt gets a shorter answer.
    """
    indexes = board.open()
    goal, session_id = order.goal or "", order.session_id

    def tokens(index: int) -> int:
        return board.tokens_of_next(index, max_tokens)

    def full(index: int) -> int:
        agent = board.agent_of_next(index)
        return allowances.full(
            agent=agent, session_id=session_id, goal=goal, text=board.texts[index], max_tokens=tokens(index)
        )

    costs = [full(index) for index in indexes]
    count = affordable(costs, free)
    chosen = list(zip(indexes[:count], costs[:count], strict=True))
    if not chosen and indexes:
        first = indexes[0]
        cut = allowances.within(
            free,
            agent=board.agent_of_next(first),
            session_id=session_id,
            goal=goal,
            text=board.texts[first],
            max_tokens=tokens(first),
        )
        chosen = [] if cut is None else [(first, cut)]
    return [board.next_attempt(index, cost, order.key, secret, max_tokens=tokens(index)) for index, cost in chosen]


def round_orders(
    number: int,
    attempts: Sequence[Attempt],
    texts: Sequence[str],
    *,
    missing: int,
    heartbeat_timeout_s: int,
    agents: int,
    tasks_at_once: int,
) -> list[RoundOrder]:
    """Split a round into parts, each for one execution.

    Args:
        missing: done tasks that the session's quorum still lacks; each part waits for its share.
    """
    silence_s = silence_timeout_s(heartbeat_timeout_s, tasks=len(attempts), agents=agents, tasks_at_once=tasks_at_once)
    return [
        RoundOrder(
            number=number,
            part=part,
            attempts=tuple(group),
            texts=tuple(texts[attempt.index] for attempt in group),
            required=min(len(group), max(1, math.ceil(missing * len(group) / len(attempts)))),
            silence_s=silence_s,
        )
        for part, group in enumerate(parts_of(attempts, texts))
    ]


def report_reserve(free: int, *, least: int, full: int, one_task: int) -> int:
    """Return the nano-USD of ``free`` that tasks may not spend, so that the report gets its summary.

    Args:
        least: cost at worst of the shortest useful summary.
        full: cost at worst of a summary of all that a prompt holds.
        one_task: cost at worst of one attempt at a task; without a task there is nothing to summarize.
    """
    if free < least + one_task:
        return 0
    return max(least, min(full, free // 4, free - one_task))
