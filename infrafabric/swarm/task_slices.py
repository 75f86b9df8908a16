"""Task slices: a session too large for one durable execution runs as child executions of the same function."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from aws_durable_execution_sdk_python.config import CompletionConfig, Duration, MapConfig, NestingType
from aws_durable_execution_sdk_python.context import DurableContext

from infrafabric.swarm.assignment import TASKS_PER_EXECUTION, task_id
from infrafabric.swarm.deps import CoordinatorDeps
from infrafabric.swarm.quorum import required_tasks
from infrafabric.swarm.shapes.coordinator_event import CoordinatorEvent, TaskSlice
from infrafabric.swarm.shapes.order import Order

NOT_NEEDED = "not needed: the quorum was reached"
SLICE_BYTES = 150_000  # of a slice's texts as JSON: a checkpoint holds 256 KB
_LONGEST_WAIT_S = 600  # between two counts of the tasks that late agents have done


class SliceRunner:
    """Runs the slices of one large session."""

    def __init__(self, order: Order, context: DurableContext, deps: CoordinatorDeps) -> None:
        self._order, self._context, self._deps = order, context, deps

    def run(self, session_slice: TaskSlice) -> dict[str, str]:
        """Run each slice of the session in a child execution. Returns the reason per task that was given up.

        A slice that fails as a whole gives up only its own tasks.
        """
        slices = slices_of(session_slice)
        children = self._order.model_copy(update={"tasks": ()})  # the slice has the texts

        def run_child(branch: DurableContext, first: int, index: int, _: Sequence[int]) -> dict[str, str]:
            payload = CoordinatorEvent(order=children, task_slice=slices[index]).as_event()
            return branch.invoke(self._deps.self_name, payload, name=f"part-{first}")["given_up"]

        config = MapConfig(completion_config=CompletionConfig.all_completed(), nesting_type=NestingType.FLAT)
        firsts = [task_slice.first for task_slice in slices]
        batch = self._context.map(firsts, run_child, name="parts", config=config)
        given_up: dict[str, str] = {}
        for item in batch.all:
            if item.result is not None:
                given_up.update(item.result)
                continue
            failed = slices[item.index]
            why = item.error.message if item.error else "it did not end"
            reason = f"its part of the session failed: {why}"
            given_up.update({task_id(failed.first + n): reason for n in range(len(failed.texts))})
        self._wait_for_quorum(session_slice.texts, given_up)
        return given_up

    def _wait_for_quorum(self, texts: Sequence[str], given_up: Mapping[str, str]) -> None:
        """Wait for tasks of slices that reached their own quorum, while another slice missed its own."""
        required = required_tasks(self._order.quorum, len(texts))
        running = {name for name, reason in given_up.items() if reason == NOT_NEEDED}
        if not running or len(texts) - len(given_up) >= required:
            return
        counts = 0
        while wait_s := self._context.step(
            lambda _, n=counts: self._wait_s(running, required, n), name=f"look-{counts}"
        ):
            self._context.wait(Duration(wait_s), name=f"wait-{counts}")
            counts += 1

    def _wait_s(self, running: set[str], required: int, counts: int) -> int:
        """Return the seconds until done tasks are counted again; 0 if waiting cannot help."""
        order, store = self._order, self._deps.store
        ended = list(store.tasks(order.session_id))
        left_s = (order.tasks_deadline_ms - self._deps.now_ms()) // 1000
        done = sum(result.done for result in ended)
        session = store.get(order.session_id)
        over = session is None or session.status.final
        if over or done >= required or left_s < 1 or running <= {result.task_id for result in ended}:
            return 0
        return min(2 ** min(counts + 1, 16), _LONGEST_WAIT_S, left_s)


def slices_of(session_slice: TaskSlice) -> list[TaskSlice]:
    """Split a session's tasks into slices that an execution, and a checkpoint, can hold."""
    groups: list[tuple[int, list[str]]] = []
    size_bytes = 0
    for index, text in enumerate(session_slice.texts):
        text_bytes = len(json.dumps(text))
        if not groups or len(groups[-1][1]) == TASKS_PER_EXECUTION or size_bytes + text_bytes > SLICE_BYTES:
            groups.append((index, []))
            size_bytes = 0
        groups[-1][1].append(text)
        size_bytes += text_bytes
    return [session_slice.model_copy(update={"texts": tuple(texts), "first": first}) for first, texts in groups]
