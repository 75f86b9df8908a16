"""Table of what struck and of what was counted, for a terminal and as JSON."""

from __future__ import annotations

from collections import Counter
from typing import Any

from infrafabric.money import usd
from tests.chaos.evidence import RunEvidence, SessionEvidence
from tests.chaos.invariants import RUN_INVARIANTS, SESSION_INVARIANTS, unanswered_nusd, violations


def figures(run: RunEvidence, seeds: dict[str, int]) -> dict[str, Any]:
    """Return all figures of a run.

    Args:
        seeds: seed by client's session id.
    """
    tasks = sum(len(session.texts) for session in run.sessions)
    return {
        "sessions": [_session_row(session, seeds) for session in run.sessions],
        "struck": dict(sorted((fault, count) for fault, count in run.struck.items() if count)),
        "missed": sorted(fault for fault, count in run.struck.items() if not count),
        "tasks": tasks,
        "answered_per_task": round(run.answered_tasks / tasks, 3) if tasks else 0.0,
        "messages_left": dict(Counter(f"{m.queue} {m.reason}".strip() for m in run.messages)),
        "invariants": [one.__name__ for one in (*SESSION_INVARIANTS, *RUN_INVARIANTS)],
        "violations": violations(run),
    }


def _session_row(session: SessionEvidence, seeds: dict[str, int]) -> dict[str, Any]:
    item = session.item
    return {
        "seed": seeds[item.session_id.rpartition(".")[0]],
        "status": str(item.status),
        "reason": item.reason,
        "tasks": len(session.texts),
        "done": item.tasks_done,
        "rows": len(session.history),
        "attempts": sum(len(part.attempts) for part in session.rounds),
        "rounds": len({part.number for part in session.rounds}),
        "seconds": round(((item.ended_ms or item.created_ms) - item.created_ms) / 1000, 1),
        "spent_usd": usd(item.spent_nusd),
        "may_still_spend_usd": usd(unanswered_nusd(session)),
        "budget_usd": usd(item.budget_nusd),
    }


def text(found: dict[str, Any]) -> str:
    """Return the figures as lines for a terminal."""
    lines = ["seed  status     done/tasks  attempts rounds rows   s      spent    may still spend  reason"]
    lines += [
        f"{row['seed']:<5} {row['status']:<10} {row['done']:>4}/{row['tasks']:<5} {row['attempts']:>9}"
        f" {row['rounds']:>6} {row['rows']:>4} {row['seconds']:>6} {row['spent_usd']:>9.6f}"
        f" {row['may_still_spend_usd']:>12.6f}     {row['reason']}"
        for row in found["sessions"]
    ]
    struck, by_kind = found["struck"], Counter[str]()
    for fault, count in struck.items():
        kind = fault.partition(" ")[0]
        by_kind[fault if kind in ("clock", "kill", "model", "stop") else kind] += count
    lines += ["", "struck"]
    lines += [f"  {fault:<40} {count:>5}" for fault, count in sorted(by_kind.items())]
    lines += [f"  faults whose call never came: {len(found['missed'])}", ""]
    lines += [f"tasks {found['tasks']}, answered model calls per task {found['answered_per_task']}"]
    lines += [f"messages left: {found['messages_left'] or 'none'}"]
    lines += [f"violations of {len(found['invariants'])} invariants: {len(found['violations'])}"]
    return "\n".join(lines + [f"  {one}" for one in found["violations"]])
