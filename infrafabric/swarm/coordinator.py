"""Coordinator: plan, dispatch, quorum or deadline or budget, report, as one durable execution.

Every side effect happens in a step whose result is checkpointed: after a crash the execution replays the finished steps
from their results and continues behind them. A replay is quadratic in an execution's operations, so a session of more
than ``TASKS_PER_EXECUTION`` tasks is split into child executions of the same function (task_slices.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aws_durable_execution_sdk_python.config import Duration, StepConfig
from aws_durable_execution_sdk_python.context import DurableContext
from aws_durable_execution_sdk_python.exceptions import DurableOperationError
from aws_durable_execution_sdk_python.retries import RetryStrategyConfig, create_retry_strategy

from infrafabric.models import errors, prompts
from infrafabric.swarm.assignment import TASKS_PER_EXECUTION
from infrafabric.swarm.budgeted_call import ask_within_budget
from infrafabric.swarm.deps import CoordinatorDeps
from infrafabric.swarm.failure_reasons import BUDGET, CANCELLED
from infrafabric.swarm.leases import OverBudgetError, SessionOverError
from infrafabric.swarm.lost_sessions import LOST_REASON, end_lost, is_lost
from infrafabric.swarm.session_end import SessionEnd, short_reason
from infrafabric.swarm.shapes.coordinator_event import CoordinatorEvent, ExecutionMode, TaskSlice
from infrafabric.swarm.status import SessionStatus
from infrafabric.swarm.task_dispatch import TaskDispatcher
from infrafabric.swarm.task_slices import SliceRunner

_MAX_ATTEMPTS = 4  # of the steps that call a model
_RETRY = StepConfig(
    retry_strategy=create_retry_strategy(
        RetryStrategyConfig(max_attempts=_MAX_ATTEMPTS, initial_delay=Duration(2), max_delay=Duration(30))
    )
)


class SessionExecution:
    """One durable execution: a session, one slice of a large session, or a session whose first execution ended."""

    def __init__(self, event: Mapping[str, Any], context: DurableContext, deps: CoordinatorDeps) -> None:
        """Read the event.

        Raises:
            BadShapeError: the event is not one of this release's shapes.
        """
        parsed = CoordinatorEvent.from_event(event)
        self._order, self._mode, self._task_slice = parsed.order, parsed.mode, parsed.task_slice
        self._context, self._deps = context, deps
        self._end = SessionEnd(parsed.order, deps)

    def run(self) -> dict[str, Any]:
        """Run the execution. Returns its outcome, small enough for a checkpoint."""
        if self._task_slice is not None:
            return {"given_up": TaskDispatcher(self._order, self._task_slice, self._deps).run(self._context)}
        if self._mode is ExecutionMode.WRAP_UP:
            return self._wrap_up()
        return self._run_session()

    def _run_session(self) -> dict[str, Any]:
        order, context = self._order, self._context
        texts, given_up, stop = list(order.tasks), {}, ""
        if not context.is_replaying():  # a resumed execution calls no model before its report, which warms by itself
            self._deps.warm_model()
        try:
            plan = context.step(lambda _: self._plan(), name="plan", config=_RETRY)
            texts, stop = texts or plan["tasks"], plan["stop"]
            if not stop:
                given_up = self._run_tasks(texts)
        except DurableOperationError as error:
            stop = f"{error.error_type}: {error.message}"  # the report still covers the tasks that were done
        return self._conclude(texts, given_up, stop)

    def _wrap_up(self) -> dict[str, Any]:
        """End and report on a lost session."""
        order, context = self._order, self._context
        if not context.step(lambda _: self._is_lost(), name="lost"):
            return {"status": "not lost"}
        planned = [] if order.tasks else context.step(lambda _: self._deps.store.task_texts(order), name="planned")
        return self._conclude(order.tasks or planned, {}, "")

    def _is_lost(self) -> bool:
        """Tell whether the session is lost; end a lost session that is still live."""
        store, session_id = self._deps.store, self._order.session_id
        session = store.get(session_id)
        if session is None:
            return False
        if is_lost(session, now_ms=self._deps.now_ms()):
            end_lost(session, store)
            session = store.get(session_id) or session
        return session.reason == LOST_REASON

    def _run_tasks(self, texts: Sequence[str]) -> dict[str, str]:
        """Run all tasks. Returns the reason per task that was given up."""
        again = self._mode is ExecutionMode.RESUME
        session_slice = TaskSlice(texts=tuple(texts), of=len(texts), again=again)
        if len(texts) <= TASKS_PER_EXECUTION:
            return TaskDispatcher(self._order, session_slice, self._deps).run(self._context)
        return SliceRunner(self._order, self._context, self._deps).run(session_slice)

    def _conclude(self, texts: Sequence[str], given_up: Mapping[str, str], stop: str) -> dict[str, Any]:
        """Report and end the session. Returns the outcome."""
        context = self._context
        try:
            outcome = context.step(
                lambda step: self._end.report(texts, given_up, stop, may_wait=step.attempt < _MAX_ATTEMPTS),
                name="report",
                config=_RETRY,
            )
            return context.step(lambda _: self._end.close(outcome), name="end")
        except DurableOperationError as error:
            problem = short_reason(f"{error.error_type}: {error.message}")
            context.step(lambda _: self._end.fail(texts, problem), name="failed")
            self._deps.log.warning("session failed", session_id=self._order.session_id, reason=problem)
            return {"status": str(SessionStatus.FAILED), "reason": problem}

    # -- plan ----------------------------------------------------------------------------------------------------------

    def _plan(self) -> dict[str, Any]:
        """Plan the tasks if the order has none and set the session RUNNING, or return why the session stops here.

        Explicit tasks are not returned: the event has them, and a checkpoint is limited in size.

        Raises:
            errors.Throttled: the step is retried.
        """
        order, store = self._order, self._deps.store
        try:
            planned = self._planned_tasks()
        except OverBudgetError as error:
            return {"tasks": [], "stop": f"{BUDGET}: {error}"}
        except SessionOverError:
            return {"tasks": [], "stop": CANCELLED}
        except errors.Throttled:
            raise
        except errors.ModelError as error:
            return {"tasks": [], "stop": f"{error.slug}: the plan could not be made: {error}"}
        count = len(order.tasks) or len(planned)
        if not count:
            return {"tasks": [], "stop": "the plan has no tasks: say more about the goal, or give tasks"}
        if not store.begin(order.session_id, tasks=count, planned=planned):
            return {"tasks": planned, "stop": CANCELLED}
        self._deps.log.info("session planned", session_id=order.session_id, tasks=count)
        return {"tasks": planned, "stop": ""}

    def _planned_tasks(self) -> list[str]:
        order = self._order
        if order.tasks:
            return []
        if self._mode is ExecutionMode.RESUME and (planned := self._deps.store.task_texts(order)):
            return planned
        prompt = prompts.plan(goal=order.goal or "", tasks=order.agents)
        completion = ask_within_budget(
            order, prompt, prompts.plan_answer(), until_ms=order.tasks_deadline_ms, deps=self._deps
        )
        return [text for text in completion.value.tasks if text.strip()][: order.agents]
