"""What the coordinator believes: an answer of the agent that was asked, and an object in the attempt's place.

Callback ids are no secret: whoever may complete callbacks can complete any of them. So an answer counts only if it
verifies, and everything else counts as silence.
"""

from __future__ import annotations

from infrafabric.bus.envelope import Envelope, parse
from infrafabric.bus.refusal import Refused
from infrafabric.bus.registry import Registry
from infrafabric.bus.structure import Performative
from infrafabric.bus.uris import COORDINATOR, agent_uri
from infrafabric.bus.verify import verify
from infrafabric.swarm.limits import MAX_ANSWER_CHARS
from infrafabric.swarm.result_document import AttemptId, StoredResult, is_model, is_reason, read_result
from infrafabric.swarm.shapes.records import TaskRecord
from infrafabric.swarm.shapes.shape import BadShapeError
from infrafabric.swarm.status import TaskStatus

_STATUS = {
    Performative.INFORM: TaskStatus.DONE,
    Performative.FAILURE: TaskStatus.FAILED,
    Performative.REFUSE: TaskStatus.FAILED,
}


def believed_answer(payload: str, attempt: AttemptId, registry: Registry) -> TaskRecord | None:
    """Return the record of an answer to ``attempt``'s request; None for anything else.

    Pure, so that a replay comes to the same end: the age is not judged, since the request's deadline bounds it.

    Args:
        payload: what completed the callback.
        registry: trusted keys of the agents that were asked.
    """
    if len(payload) > MAX_ANSWER_CHARS:
        return None
    try:
        envelope = verify(payload, registry=registry, now_ms=parse(payload).timestamp, receiver=COORDINATOR)
        record = TaskRecord.read(envelope.content)
    except (Refused, BadShapeError):
        return None
    return record if _answers(envelope, record, attempt) else None


def _answers(envelope: Envelope, record: TaskRecord, attempt: AttemptId) -> bool:
    asked = (agent_uri(attempt.agent), attempt.request, attempt.key, attempt.task_id, attempt.agent, attempt.attempt)
    said = (envelope.sender, envelope.in_reply_to, record.key, record.task_id, record.agent, record.attempt)
    refused = envelope.performative is Performative.REFUSE
    return (
        said == asked
        and record.status is _STATUS.get(envelope.performative)
        and record.s3_key == ("" if refused else attempt.place)
        and (not refused or _nothing_stored(record))
        and (record.done or is_reason(record.reason))
        and is_model(record.model)
        and record.cost_nusd >= 0
    )


def _nothing_stored(record: TaskRecord) -> bool:
    """Tell whether a refusal states no result: no object would prove its members, which go into the session's items."""
    return (record.evidence_hash, record.size_bytes, record.tokens_in, record.tokens_out) == ("", 0, 0, 0)


def believed_object(stored: bytes | None, attempt: AttemptId, answer: TaskRecord | None) -> StoredResult | None:
    """Return the result in an attempt's place; None if the object is missing, malformed or not the answer's.

    Only the agent that was asked may write there, and only once. So without an answer the object speaks for itself.
    """
    found = None if stored is None else read_result(stored, attempt)
    if found is None or answer is None:
        return found
    stated = (answer.evidence_hash, answer.size_bytes, answer.status)
    return found if stated == (found.result.evidence_hash, found.result.size_bytes, found.result.status) else None
