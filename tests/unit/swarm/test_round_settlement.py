"""Settlement of a round: what is believed is stored and recorded once, however often the step is repeated."""

from __future__ import annotations

import json

import pytest

from infrafabric.bus.registry import Registry
from infrafabric.bus.structure import Performative
from infrafabric.bus.uris import new_message_id
from infrafabric.swarm.failure_reasons import BAD_EVIDENCE, DEADLINE, NOT_NEEDED, SILENT
from infrafabric.swarm.limits import MAX_ANSWER_CHARS
from infrafabric.swarm.object_keys import findings_key
from infrafabric.swarm.round_settlement import RoundOutcome, RoundSettlement
from infrafabric.swarm.shapes.attempt import Attempt
from infrafabric.swarm.shapes.round import RoundPart
from infrafabric.swarm.status import TaskStatus
from tests.unit.swarm.coordination import COST, REGISTRY, WORST, Asked, World, silent
from tests.unit.swarm.orders import KEY, an_order


def a_part(tasks: int) -> RoundPart:
    attempts = [
        Attempt(index=index, number=0, agent=f"h{index % 3 + 1:02}", allowance_nusd=WORST, message_id=new_message_id())
        for index in range(tasks)
    ]
    return RoundPart(number=0, part=0, attempts=tuple(attempts))


def answered(world: World, attempt: Attempt) -> str:
    """Do the task of an attempt. Returns the signed answer."""
    asked = Asked.of(attempt)
    return asked.answer(Performative.INFORM, world.done(asked))


def settle(world: World, part: RoundPart, answers: dict[str, str], *, running: set[str] | None = None) -> RoundOutcome:
    settlement = RoundSettlement(an_order(), world.deps(0))
    return settlement.settle(part, answers, REGISTRY, running=running or set())


def test_believed_results_are_stored_and_recorded_with_their_answers() -> None:
    world, part = World(silent), a_part(2)
    answers = {attempt.message_id: answered(world, attempt) for attempt in part.attempts}
    outcome = settle(world, part, answers)
    assert (outcome.done, outcome.failed, outcome.unheard) == ({"t0001.0": COST, "t0002.0": COST}, {}, {})
    stored = world.parts[0, 0]
    assert (stored.settled, stored.findings_key) == (True, findings_key(KEY, 0, 0))
    assert [result.task_id for result in stored.results] == ["t0001", "t0002"]
    assert sorted(json.loads(world.objects[stored.findings_key])) == ["t0001.0", "t0002.0"]
    assert world.answers == list(answers.values())


def test_a_cost_above_the_allowance_is_stored_as_the_allowance() -> None:
    world, part = World(silent), a_part(1)
    asked = Asked.of(part.attempts[0])
    result = world.done(asked, cost_usd=20_000.0)
    answer = asked.answer(Performative.INFORM, result)
    assert settle(world, part, {part.attempts[0].message_id: answer}).done == {"t0001.0": WORST}
    assert [one.cost_nusd for one in world.results()] == [WORST]
    assert [row["cost_nusd"] for row in world.rows] == [WORST]


def test_no_row_is_recorded_of_an_attempt_that_was_not_asked_for() -> None:
    """An agent signs what it likes, and may complete the callback of a true request with it."""
    world, part = World(silent), a_part(1)
    (attempt,) = part.attempts
    invented = attempt.model_copy(update={"number": 7, "message_id": new_message_id()})
    payload = answered(world, invented)
    outcome = settle(world, part, {attempt.message_id: payload, invented.message_id: payload})
    assert (outcome.done, outcome.failed, world.rows, world.answers) == ({}, {}, [], [])


def test_a_part_that_is_settled_again_adds_what_is_found_later_and_repeats_nothing() -> None:
    world, part = World(silent), a_part(2)
    first, second = part.attempts
    assert settle(world, part, {first.message_id: answered(world, first)}).unheard == {"t0002.0": SILENT}
    answered(world, second)
    for expected in ({"t0002.0": COST}, {}):
        outcome = RoundSettlement(an_order(), world.deps(0)).settle(world.parts[0, 0], {}, Registry({}))
        assert outcome.done == expected
    assert [result.task_id for result in world.results()] == ["t0001", "t0002"]
    assert sorted(json.loads(world.objects[findings_key(KEY, 0, 0)])) == ["t0001.0", "t0002.0"]
    assert [row["task_id"] for row in world.rows] == ["t0001", "t0002"]


def test_a_failed_result_is_stored_without_findings() -> None:
    world, part = World(silent), a_part(1)
    asked = Asked.of(part.attempts[0])
    members = {"status": "FAILED", "error": {"reason": "model-refusal"}}
    failed = world.done(asked, **members).model_copy(update={"status": TaskStatus.FAILED, "reason": "model-refusal"})
    outcome = settle(world, part, {part.attempts[0].message_id: asked.answer(Performative.FAILURE, failed)})
    assert outcome.failed == {"t0001.0": ("model-refusal", COST)}
    assert (world.parts[0, 0].findings_key, len(world.objects)) == ("", 1)


@pytest.mark.parametrize(
    ("late_ms", "running", "reason"), [(0, False, SILENT), (0, True, NOT_NEEDED), (10**7, False, DEADLINE)]
)
def test_an_attempt_without_an_answer_has_the_reason_for_which_nobody_waits_longer(
    late_ms: int, running: bool, reason: str
) -> None:
    world, part = World(silent), a_part(1)
    world.now_ms += late_ms
    still = {part.attempts[0].message_id} if running else set()
    assert settle(world, part, {}, running=still).unheard == {"t0001.0": reason}
    assert world.parts[0, 0].settled


def test_an_answer_without_its_object_is_bad_evidence() -> None:
    world, part = World(silent), a_part(1)
    answer = answered(world, part.attempts[0])
    world.objects.clear()
    assert settle(world, part, {part.attempts[0].message_id: answer}).unheard == {"t0001.0": BAD_EVIDENCE}


def test_records_of_many_results_can_each_be_signed_and_sent() -> None:
    """The fake publisher refuses a record that KMS does not sign, or that a message of SQS does not hold."""
    world, part = World(silent), a_part(50)
    answers = {attempt.message_id: answered(world, attempt) for attempt in part.attempts}
    assert len(settle(world, part, answers).done) == 50
    assert world.answers == list(answers.values())


def test_records_of_many_padded_refusals_can_each_be_signed_and_sent() -> None:
    """Their rows are short, so that one record would hold twenty of them with their answers."""
    world, part = World(silent), a_part(50)
    nothing = {"s3_key": "", "evidence_hash": "", "size_bytes": 0, "cost_nusd": 0}
    answers = {}
    for attempt in part.attempts:
        asked = Asked.of(attempt)
        refusal = asked.result(b"", status=TaskStatus.FAILED, reason="b", **nothing)
        text = asked.answer(Performative.REFUSE, refusal, model="m")
        answers[attempt.message_id] = text + "\n" * (MAX_ANSWER_CHARS - len(text))
    assert len(settle(world, part, answers).failed) == 50
    assert world.answers == list(answers.values())


def test_an_outcome_survives_its_checkpoint() -> None:
    outcome = RoundOutcome(done={"t0001.0": 1}, failed={"t0002.0": ("budget", 2)}, unheard={"t0003.0": "silent"})
    assert RoundOutcome.read(json.loads(json.dumps(outcome.write()))) == outcome
