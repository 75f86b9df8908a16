"""What remains of a session after its end, as the invariants judge it; and what remains of a whole run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infrafabric.swarm.shapes.model_call import ModelCall
from infrafabric.swarm.shapes.round import RoundPart
from infrafabric.swarm.shapes.session_item import SessionItem

AttemptKey = tuple[str, int, str]  # task, attempt, agent


@dataclass(frozen=True)
class StoredDocument:
    """Result document in an attempt's place."""

    evidence_hash: str
    status: str
    findings: list[Mapping[str, Any]]
    written_ms: int


@dataclass(frozen=True)
class HistoryRow:
    """Row of ``task_results``."""

    key: AttemptKey
    status: str
    evidence_hash: str
    cost_nusd: int


@dataclass(frozen=True, kw_only=True)
class SessionEvidence:
    """One session, after its end."""

    item: SessionItem
    texts: tuple[str, ...]  # of its tasks; empty if no plan was made
    rounds: tuple[RoundPart, ...]
    calls: tuple[ModelCall, ...]  # of the coordinator, for plan and summary
    report: Mapping[str, Any] | None
    report_began_ms: int  # time at which the last look for results was over
    documents: Mapping[AttemptKey, StoredDocument]
    history: tuple[HistoryRow, ...]
    history_sessions: tuple[tuple[str, int, int], ...]  # status, spent and committed nano-USD of each row
    highest_nusd: int = 0  # of spent and committed money together, as clients saw them while the session ran


@dataclass(frozen=True)
class LeftMessage:
    """Message that lies in a queue after all sessions have ended."""

    queue: str
    receives: int
    reason: str  # attribute of a dead-lettered message; "" without it
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class RunEvidence:
    """All sessions of a run together."""

    sessions: tuple[SessionEvidence, ...]
    struck: Mapping[str, int]  # by fault, such as "edge throttle" or "kill infrafabric-dev-h03"
    answered_tasks: int  # answered model calls of agents
    messages: tuple[LeftMessage, ...]
    cap_nusd: int  # by which the run changed the total of the owner's daily cap
    cap_running_nusd: int  # by which the run changed what the cap holds for running sessions
