"""A session under faults: throttles, errors, duplicates, killed workers and a failing model lose nothing."""

from __future__ import annotations

from tests.chaos.invariants import violations
from tests.chaos.plan import plan
from tests.chaos.run import ChaosRun
from tests.e2e.conftest import FINAL, Stage, until

SEED, TASKS = 50, 10


def test_a_session_under_faults_violates_no_invariant(stage: Stage) -> None:
    until(stage.nobody_works, "the other sessions to end, so that money and calls can be counted")
    run = ChaosRun(stage)
    session = run.session(plan(SEED, TASKS))
    evidence = run.evidence()
    assert session["status"] in FINAL
    assert violations(evidence) == []
    kinds = {fault.partition(" ")[0] for fault, count in evidence.struck.items() if count}
    assert {"kill", "model", "error-after"} <= kinds, "the seed was chosen for faults of these kinds"
