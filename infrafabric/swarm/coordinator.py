"""Coordinator: plan, rounds of attempts, quorum or deadline or budget, report, as one durable execution.

Every side effect happens in a step whose result is checkpointed: after a crash the execution replays the finished steps
from their results and continues behind them. What is decided between steps is plain code over those results, so that a
replay decides the same. A replay is quadratic in an execution's operations, so a round of more than
``TASKS_PER_EXECUTION`` attempts runs in child executions of the same function.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aws_durable_execution_sdk_python.config import (
    CompletionConfig,
    Duration,
    MapConfig,
    NestingType,
)
from aws_durable_execution_sdk_python.context import DurableContext
from aws_durable_execution_sdk_python.exceptions import DurableOperationError

from infrafabric.models import errors, prompts
from infrafabric.swarm import own_calls
from infrafabric.swarm.assignment import SECOND_EXECUTION
from infrafabric.swarm.deps import CoordinatorDeps
from infrafabric.swarm.failure_reasons import BUDGET, CANCELLED, DEADLINE, NOT_NEEDED, SILENT
from infrafabric.swarm.ledger import Ledger
from infrafabric.swarm.lost_sessions import LOST_REASON, is_lost
from infrafabric.swarm.quorum import required_tasks
from infrafabric.swarm.recovery import Recovery
from infrafabric.swarm.round_plan import next_attempts, report_reserve, round_orders
from infrafabric.swarm.round_run import RoundRun
from infrafabric.swarm.round_settlement import RoundOutcome
from infrafabric.swarm.session_end import SessionEnd, report_costs, short_reason
from infrafabric.swarm.shapes.attempt import Attempt
from infrafabric.swarm.shapes.coordinator_event import CoordinatorEvent, ExecutionMode, RoundOrder
from infrafabric.swarm.status import SessionStatus
from infrafabric.swarm.task_board import TaskBoard

_MAX_ATTEMPTS = 4  # of the steps that call a model
_DEADLINE_MARGIN_MS = 1_000  # no agent does a task in less
_BREAKER_LOOK_S = 15  # between two looks at the agents' breakers
_WAIT = "wait"
_API_AWAY = f"{errors.Unreachable.slug}: the model API did not answer the agents until the deadline"
_LONGEST_LOOK_S = 60  # between two looks for the results of agents that still work
_USUAL_TASK = "x" * 200  # text of a task, before the plan is made


class SessionExecution:
    """One durable execution: a session, one part of a large round, or a session whose first execution ended."""

    def __init__(self, event: Mapping[str, Any], context: DurableContext, deps: CoordinatorDeps) -> None:
        """Read the event.

        Raises:
            BadShapeError: the event is not one of this release's shapes.
        """
        parsed = CoordinatorEvent.from_event(event)
        self._order, self._mode, self._round_order = parsed.order, parsed.mode, parsed.round_order
        self._context, self._deps = context, deps
        self._end = SessionEnd(parsed.order, deps)
        self._recovery = Recovery(parsed.order, deps)
        self._ledger = Ledger(parsed.order.budget_nusd)
        self._open: dict[str, Attempt] = {}  # attempts without a believed answer, by message id

    def run(self) -> dict[str, Any]:
        """Run the execution. Returns its outcome, small enough for a checkpoint."""
        if self._round_order is not None:
            return RoundRun(self._order, self._round_order, self._deps).run(self._context).write()
        if self._mode is ExecutionMode.WRAP_UP:
            return self._wrap_up()
        return self._run_session()

    def _run_session(self) -> dict[str, Any]:
        order, context = self._order, self._context
        texts, stop, board = list(order.tasks), "", None
        if not context.is_replaying():  # a resumed execution calls no model before its report, which warms by itself
            self._deps.warm_model()
        try:
            before = self._recover() if self._mode is ExecutionMode.RESUME else None
            plan = self._planned(list(before["texts"]) if before else [])
            texts, stop = texts or plan["tasks"], plan["stop"]
            board = self._board(texts, before)
            if not stop:
                stop = self._run_rounds(board, plan["secret"], first=before["rounds"] if before else 0)
        except DurableOperationError as error:
            stop = _problem(error)  # the report still covers the tasks that were done
        return self._conclude(board or self._board(texts, None), stop)

    @property
    def _max_tokens(self) -> int:
        """Length of an agent's answer, in tokens."""
        return self._order.max_tokens or self._deps.agent_max_tokens

    def _wrap_up(self) -> dict[str, Any]:
        """End and report on a lost session."""
        order, context = self._order, self._context
        if not context.step(lambda _: self._is_lost(), name="lost"):
            return {"status": "not lost"}
        before = self._recover()
        self._book(before["plan_calls"], own_calls.PLAN)
        board = self._board(order.tasks or before["texts"], before)
        return self._conclude(board, LOST_REASON, may_pay=False)

    def _is_lost(self) -> bool:
        """Tell whether the session is lost, and not reported on yet."""
        session = self._deps.store.get(self._order.key)
        if session is None:
            return False
        return is_lost(session, now_ms=self._deps.now_ms()) or session.reason == LOST_REASON

    # -- an earlier execution ------------------------------------------------------------------------------------------

    def _recover(self) -> dict[str, Any]:
        """Take over what an earlier execution did, spent and committed. Its plan's calls are not in these sums."""
        before = self._context.step(lambda _: self._recovery.run(), name="recover")
        attempts = [Attempt.read(attempt) for attempt in before["open"]]
        self._open = {attempt.message_id: attempt for attempt in attempts}
        committed = {attempt.message_id: attempt.allowance_nusd for attempt in attempts}
        self._ledger.book(spent=before["spent"], committed=committed)
        return before

    def _board(self, texts: Sequence[str], before: Mapping[str, Any] | None) -> TaskBoard:
        most, first = self._deps.reassignments + 1, SECOND_EXECUTION if before is not None else 0
        board = TaskBoard(texts, self._order.agents, most, first)
        for index, tries in enumerate(before["tries"] if before else []):
            board.states[index].tries = tries
        for index in before["done"] if before else []:
            board.ended(index, done=True)
        return board

    # -- plan ----------------------------------------------------------------------------------------------------------

    def _planned(self, known: list[str]) -> dict[str, Any]:
        """Plan the tasks and set the session RUNNING. Returns tasks, secret, and the reason to stop here, if any."""
        room = self._plan_room()
        try:
            plan = self._context.step(
                lambda step: self._plan(known, room, step.attempt), name="plan", config=own_calls.STEP
            )
        except DurableOperationError:
            self._book(self._context.step(lambda _: self._calls(own_calls.PLAN), name="plan-cost"), own_calls.PLAN)
            raise
        self._book(plan["calls"], own_calls.PLAN)
        return plan

    def _plan_room(self) -> int:
        """Return the money that the plan may cost: tasks and report need some, too."""
        least, _ = report_costs(self._order, self._deps.model, self._deps.max_tokens)
        rest = least + self._usual_allowance()
        free = self._ledger.free
        return free - rest if free > 2 * rest else free

    def _usual_allowance(self) -> int:
        order = self._order
        return self._deps.allowances.full(
            agent="h01",
            session_id=order.session_id,
            goal=order.goal or "",
            text=_USUAL_TASK,
            max_tokens=self._max_tokens,
        )

    def _plan(self, known: list[str], room: int, attempt: int) -> dict[str, Any]:
        """Plan the tasks if the order has none and set the session RUNNING, or return why the session stops here.

        Explicit tasks are not returned: the event has them, and a checkpoint is limited in size.

        Raises:
            own_calls.LaterError: the step is retried.
        """
        order, store = self._order, self._deps.store
        planned, stop = known, ""
        if not order.tasks and not known:
            planned, stop = self._ask_for_tasks(room, attempt)
        count = len(order.tasks) or len(planned)
        if not stop and not count:
            stop = "the plan has no tasks: say more about the goal, or give tasks"
        if not stop and not store.begin(order.key, tasks=count, planned=() if known else planned):
            stop = CANCELLED
        if not stop:
            self._deps.log.info("session planned", session_id=order.session_id, tasks=count)
        calls = [0, 0] if order.tasks else self._calls(own_calls.PLAN)
        return {"tasks": planned, "stop": stop, "secret": self._deps.new_secret(), "calls": calls}

    def _ask_for_tasks(self, room: int, attempt: int) -> tuple[list[str], str]:
        order = self._order
        prompt = prompts.plan(goal=order.goal or "", tasks=order.agents)
        try:
            completion = own_calls.ask(
                order,
                own_calls.PLAN,
                prompt,
                prompts.plan_answer(),
                room_nusd=room,
                until_ms=order.tasks_deadline_ms,
                deps=self._deps,
            )
        except own_calls.OverBudgetError as error:
            return [], f"{BUDGET}: {error}"
        except errors.ModelError as error:
            own_calls.raise_later(error, attempt, until_ms=order.tasks_deadline_ms, deps=self._deps)
            return [], f"{error.slug}: the plan could not be made: {error}"
        return [text for text in completion.value.tasks if text.strip()][: order.agents], ""

    def _calls(self, name: str) -> list[int]:
        return list(own_calls.totals(self._order, name, self._deps))

    def _book(self, calls: Sequence[int], name: str) -> None:
        spent, committed = calls
        self._ledger.book(spent=spent, committed={name: committed} if committed else {})

    # -- rounds --------------------------------------------------------------------------------------------------------

    def _run_rounds(self, board: TaskBoard, secret: str, *, first: int) -> str:
        """Run rounds until the quorum is reached or nothing more can be tried. Returns the reason to stop, if any."""
        order, deps = self._order, self._deps
        required = required_tasks(order.quorum, len(board.texts))
        least, full = report_costs(order, deps.model, deps.max_tokens)
        reserve = report_reserve(self._ledger.free, least=least, full=full, one_task=self._usual_allowance())
        number = first
        while board.done < required and board.open():
            free = self._ledger.free - reserve
            attempts = next_attempts(
                board, order, deps.allowances, free=free, secret=secret, max_tokens=self._max_tokens
            )
            if not attempts:
                return BUDGET
            for attempt in attempts:
                self._ledger.allow(attempt.message_id, attempt.allowance_nusd)
            why = self._advance(board, number)
            if why:
                self._unsent(attempts)
                return why
            orders = round_orders(
                number,
                attempts,
                board.texts,
                missing=required - board.done,
                heartbeat_timeout_s=deps.heartbeat_timeout_s,
                agents=order.agents,
                tasks_at_once=deps.tasks_at_once,
            )
            running = False
            for round_order, outcome in zip(orders, self._run_parts(orders), strict=True):
                self._take(board, round_order.attempts, outcome)
                running = running or NOT_NEEDED in outcome.unheard.values()
            if running and board.done < required:
                self._wait_for_running(board, required, number, orders[0].silence_s)
            number += 1
        return ""

    def _advance(self, board: TaskBoard, number: int) -> str:
        """Store where the session stands. Returns why no round is sent, if so."""
        order, deps, ledger = self._order, self._deps, self._ledger
        numbers = {"spent": ledger.spent, "committed": ledger.committed, "done": board.done, "failed": board.failed}

        def advance(waited: int) -> str:
            if deps.now_ms() >= order.tasks_deadline_ms - _DEADLINE_MARGIN_MS:
                return _API_AWAY if waited else DEADLINE
            if not deps.store.advance(order.key, number, **numbers):
                return CANCELLED
            return _WAIT if self._api_is_away() else ""

        waited = 0
        while True:
            name = f"round-{number}.{waited}" if waited else f"round-{number}"
            why = self._context.step(lambda _, waited=waited: advance(waited), name=name)
            if why != _WAIT:
                return why
            self._context.wait(Duration(_BREAKER_LOOK_S), name=f"breaker-{number}.{waited}")
            waited += 1

    def _api_is_away(self) -> bool:
        """Tell whether two agents, or the only one, have an open breaker: a single agent may lie about its own."""
        agents = [f"h{number:02}" for number in range(1, self._order.agents + 1)]
        try:
            away = self._deps.breakers.open(agents) >= min(2, len(agents))
        except Exception as error:  # noqa: BLE001  a breaker saves calls, and must not cost a session
            self._deps.log.warning("breakers not read", error=type(error).__name__)
            return False
        if away:
            self._deps.log.info("model API away", session_id=self._order.session_id)
        return away

    def _run_parts(self, orders: Sequence[RoundOrder]) -> list[RoundOutcome]:
        """Run the parts of a round: a single part in this execution, several in child executions."""
        if len(orders) == 1:
            return [RoundRun(self._order, orders[0], self._deps).run(self._context)]
        children = self._order.model_copy(update={"tasks": ()})  # a part has its texts

        def run_child(branch: DurableContext, part: int, _index: int, _parts: Sequence[int]) -> dict[str, Any]:
            payload = CoordinatorEvent(order=children, round_order=orders[part]).as_event()
            return branch.invoke(self._deps.self_name, payload, name=f"part-{orders[part].number}.{part}")

        config = MapConfig(completion_config=CompletionConfig.all_completed(), nesting_type=NestingType.FLAT)
        batch = self._context.map(range(len(orders)), run_child, name=f"parts-{orders[0].number}", config=config)
        outcomes = []
        for item in batch.all:
            if item.result is not None:
                outcomes.append(RoundOutcome.read(item.result))
                continue
            why = item.error.message if item.error else "it did not end"
            reason = f"its part of the session failed: {why}"
            unheard = {attempt.name: reason for attempt in orders[item.index].attempts}
            outcomes.append(RoundOutcome(unheard=unheard))
        return outcomes

    def _take(self, board: TaskBoard, attempts: Sequence[Attempt], outcome: RoundOutcome) -> None:
        """Take the outcome of a part over into board and ledger."""
        if not outcome.sent:
            self._unsent(attempts)
            return
        for attempt in attempts:
            name, index = attempt.name, attempt.index
            if attempt.message_id not in self._open:
                board.tried(index)
                self._open[attempt.message_id] = attempt
            if name in outcome.done or name in outcome.failed:
                reason, cost = outcome.failed.get(name, ("", outcome.done.get(name, 0)))
                self._ledger.pay(attempt.message_id, cost)
                del self._open[attempt.message_id]
                board.ended(index, done=name in outcome.done, reason=reason)
            else:
                reason = outcome.unheard.get(name, SILENT)
                board.ended(index, done=False, reason=reason, late=reason == DEADLINE)

    def _unsent(self, attempts: Sequence[Attempt]) -> None:
        for attempt in attempts:
            self._ledger.pay(attempt.message_id, 0)

    def _wait_for_running(self, board: TaskBoard, required: int, number: int, silence_s: int) -> None:
        """Wait for attempts of parts that reached their own share of the quorum, while another part missed its own."""
        waited_s = looks = 0
        why = ""
        while board.done < required and self._open and not why:
            why = self._look(board, f"look-{number}.{looks}")
            if why or board.done >= required:
                break
            wait_s = min(2**looks, _LONGEST_LOOK_S)
            self._context.wait(Duration(wait_s), name=f"wait-{number}.{looks}")
            waited_s, looks = waited_s + wait_s, looks + 1
            why = SILENT if waited_s >= silence_s else ""
        for index, state in enumerate(board.states):
            if state.reason == NOT_NEEDED and why not in ("", CANCELLED):
                board.ended(index, done=False, reason=why, late=why == DEADLINE)

    def _look(self, board: TaskBoard, name: str) -> str:
        """Look into the places of all attempts without a believed answer. Returns why waiting cannot help, if so."""
        found = self._context.step(lambda _: self._recovery.look(), name=name)
        outcome = RoundOutcome.read(found["outcome"])
        answered = {*outcome.done, *outcome.failed}
        self._take(board, [attempt for attempt in self._open.values() if attempt.name in answered], outcome)
        return found["over"]

    # -- end -----------------------------------------------------------------------------------------------------------

    def _conclude(self, board: TaskBoard, stop: str, *, may_pay: bool = True) -> dict[str, Any]:
        """Report and end the session. Returns the outcome."""
        context = self._context
        try:
            if self._open:
                self._look(board, "last-look")
            if self._open:
                open_attempts = list(self._open.values())
                context.step(lambda _: self._end.take_back(open_attempts), name="take-back")
            missing = {} if board.done == len(board.texts) else board.missing()
            ledger = self._ledger
            room = ledger.free if may_pay else 0
            outcome = context.step(
                lambda step: self._end.report(
                    board.texts,
                    missing,
                    stop,
                    spent=ledger.spent,
                    committed=ledger.committed,
                    room=room,
                    attempt=step.attempt,
                ),
                name="report",
                config=own_calls.STEP,
            )
            return context.step(lambda _: self._end.close(outcome), name="end")
        except DurableOperationError as error:
            problem = short_reason(_problem(error))
            ledger = self._ledger
            context.step(
                lambda _: self._end.fail(len(board.texts), problem, spent=ledger.spent, committed=ledger.committed),
                name="failed",
            )
            self._deps.log.warning("session failed", session_id=self._order.session_id, reason=problem)
            return {"status": str(SessionStatus.FAILED), "reason": problem}


def _problem(error: DurableOperationError) -> str:
    """Return what failed, without the path of a Python class."""
    return f"{(error.error_type or type(error).__name__).rpartition('.')[2]}: {error.message}"
