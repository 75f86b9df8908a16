"""Settlement of a round: which answers and objects are believed, and what is stored and recorded of them."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from infrafabric.bus.envelope import Citation, compose, parse
from infrafabric.bus.registry import Registry
from infrafabric.bus.structure import Performative
from infrafabric.bus.uris import COORDINATOR, conversation_uri, last_segment, new_message_id, session_uri
from infrafabric.swarm.beliefs import believed_answer, believed_object
from infrafabric.swarm.deps import CoordinatorDeps, HistoryRecord
from infrafabric.swarm.evidence import evidence_hash
from infrafabric.swarm.failure_reasons import BAD_EVIDENCE, DEADLINE, NOT_NEEDED, SILENT
from infrafabric.swarm.object_keys import findings_key
from infrafabric.swarm.result_document import AttemptId, stored_bytes
from infrafabric.swarm.shapes.attempt import Attempt
from infrafabric.swarm.shapes.order import Order
from infrafabric.swarm.shapes.records import RECORD_LIFETIME_MS, AttemptRow, AttemptRows, AttemptsRecord
from infrafabric.swarm.shapes.result import TaskResult
from infrafabric.swarm.shapes.round import RoundPart

_DEADLINE_MARGIN_MS = 1_000  # a callback times out to the second
_RECORD_BYTES = 190_000  # of a record's rows and answers, as texts in JSON: a message of SQS has 256 KiB


@dataclass
class RoundOutcome:
    """What a part of a round brought, small enough for a checkpoint. Costs are nano-USD."""

    done: dict[str, int] = field(default_factory=dict)  # cost by attempt
    failed: dict[str, tuple[str, int]] = field(default_factory=dict)  # reason and cost by attempt
    unheard: dict[str, str] = field(default_factory=dict)  # reason by attempt without a believed answer
    sent: bool = True  # False: nothing was sent, since the session was cancelled

    def write(self) -> dict[str, Any]:
        """Return the outcome as JSON-compatible values."""
        return {
            "done": self.done,
            "failed": {name: list(pair) for name, pair in self.failed.items()},
            "unheard": self.unheard,
            "sent": self.sent,
        }

    def add(self, other: RoundOutcome) -> None:
        """Add the attempts of another outcome."""
        self.done |= other.done
        self.failed |= other.failed
        self.unheard |= other.unheard

    @classmethod
    def read(cls, value: Mapping[str, Any]) -> RoundOutcome:
        """Return the outcome that ``write`` returned."""
        failed = {name: (str(pair[0]), int(pair[1])) for name, pair in value["failed"].items()}
        return cls(dict(value["done"]), failed, dict(value["unheard"]), value["sent"])


def attempt_id(order: Order, attempt: Attempt) -> AttemptId:
    """Return the identity that an attempt's document and answer must state."""
    return AttemptId(
        key=order.key,
        task_id=attempt.task_id,
        agent=attempt.agent,
        attempt=attempt.number,
        request=attempt.message_id,
        place=attempt.place(order.key),
    )


class RoundSettlement:
    """Settles parts of rounds. Idempotent: a repeated step comes to the same items, objects and rows."""

    def __init__(self, order: Order, deps: CoordinatorDeps) -> None:
        self._order, self._deps = order, deps

    def settle(
        self, part: RoundPart, answers: Mapping[str, str], registry: Registry, *, running: Collection[str] = ()
    ) -> RoundOutcome:
        """Look into the place of each attempt that has no believed answer yet, and store what is believed now.

        Args:
            part: as it was stored before.
            answers: what completed the callbacks, by message id of the request; those that verified.
            registry: trusted keys of the agents that were asked.
            running: message ids of the requests that nobody waits for any more.
        """
        open_attempts = part.open_attempts()
        ids = [attempt_id(self._order, attempt) for attempt in open_attempts]
        payloads = [answers.get(attempt.message_id, "") for attempt in open_attempts]
        records = [
            believed_answer(text, one, registry) if text else None for text, one in zip(payloads, ids, strict=True)
        ]
        places = [one.place for one, record in zip(ids, records, strict=True) if record is None or record.s3_key]
        bodies = dict(zip(places, self._deps.objects.find_all(places), strict=True))
        believed: list[_Believed] = []
        disbelieved: list[str] = []
        outcome = RoundOutcome()
        for attempt, one, record, payload in zip(open_attempts, ids, records, payloads, strict=True):
            body = bodies.get(one.place)
            found = believed_object(body, one, record)
            if record is not None and not record.s3_key:
                believed.append(_Believed.of(attempt, record.result, [], record.model, payload))
            elif found is not None:
                believed.append(_Believed.of(attempt, found.result, found.findings, found.model, payload))
            else:
                lied = record is not None or body is not None
                if lied:
                    disbelieved.append(attempt.message_id)
                waiting = NOT_NEEDED if attempt.message_id in running else self._reason_of_silence()
                outcome.unheard[attempt.name] = BAD_EVIDENCE if lied else waiting
        self._store(part, believed, disbelieved)
        for one in believed:
            if one.result.done:
                outcome.done[one.result.name] = one.result.cost_nusd
            else:
                outcome.failed[one.result.name] = (one.result.reason, one.result.cost_nusd)
        return outcome

    def _reason_of_silence(self) -> str:
        over = self._deps.now_ms() >= self._order.tasks_deadline_ms - _DEADLINE_MARGIN_MS
        return DEADLINE if over else SILENT

    def _store(self, part: RoundPart, believed: Sequence[_Believed], disbelieved: Sequence[str]) -> None:
        """Store findings and part, and send the records of what is new. The part is last: it says that all is done."""
        key, deps = self._order.key, self._deps
        if part.settled and not believed and not disbelieved:
            return
        place = part.findings_key
        found = {one.result.name: one.findings for one in believed if one.result.done}
        if found:
            earlier = json.loads(deps.objects.get(place)) if place else {}
            place = place or findings_key(key, part.number, part.part)
            deps.objects.put(place, stored_bytes({**earlier, **found}))
        records = [self._record(rows) for rows in _in_records(believed)]
        if records:
            deps.publisher.record(records)
        results = (*part.results, *(one.result for one in believed))
        told = {"disbelieved": (*part.disbelieved, *disbelieved), "findings_key": place}
        deps.store.put_round(key, part.model_copy(update={"settled": True, "results": results, **told}))

    def _record(self, believed: Sequence[_Believed]) -> HistoryRecord:
        order, now_ms = self._order, self._deps.now_ms()
        content = AttemptsRecord(**order.key._asdict())
        rows = AttemptRows(attempts=tuple(one.row(now_ms) for one in believed)).model_dump_json(exclude_defaults=True)
        draft = compose(
            performative=Performative.INFORM,
            sender=COORDINATOR,
            receiver=COORDINATOR,
            conversation_id=conversation_uri(order.session_id),
            message_id=new_message_id(),
            timestamp=now_ms,
            content=content.write(),
            citation=Citation(session_uri(order.session_id), evidence_hash(rows.encode())),
            reply_by=now_ms + RECORD_LIFETIME_MS,
        )
        answers = [one.answer for one in believed if one.answer]
        return HistoryRecord(self._deps.publisher.sign(draft), (rows, *answers))


@dataclass(frozen=True)
class _Believed:
    """Result that the coordinator believes, with the agent's signed answer if there is one."""

    result: TaskResult
    findings: list[dict[str, Any]]
    model: str
    answer: str

    @classmethod
    def of(
        cls, attempt: Attempt, result: TaskResult, findings: list[dict[str, Any]], model: str, answer: str
    ) -> _Believed:
        """Return a believed result; an agent may state a cost above its allowance, and it counts as the allowance."""
        cost_nusd = min(result.cost_nusd, attempt.allowance_nusd)
        return cls(result.model_copy(update={"cost_nusd": cost_nusd}), findings, model, answer)

    def row(self, now_ms: int) -> AttemptRow:
        answer_id = last_segment(parse(self.answer).message_id) if self.answer else ""
        members = self.result.model_dump(exclude={"s3_key"})
        return AttemptRow(**members, answer_id=answer_id, model=self.model, at_ms=now_ms)


def _in_records(believed: Iterable[_Believed]) -> list[list[_Believed]]:
    """Return groups of results whose rows and answers fit into one message of SQS."""
    groups: list[list[_Believed]] = []
    size_bytes = 0
    for one in believed:
        row = one.row(1 << 41).model_dump_json(exclude_defaults=True)
        own_bytes = len(json.dumps([row, one.answer]).encode())
        if not groups or size_bytes + own_bytes > _RECORD_BYTES:
            groups.append([])
            size_bytes = 0
        groups[-1].append(one)
        size_bytes += own_bytes
    return groups
