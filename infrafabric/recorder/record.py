"""Message of the results queue: the coordinator's signed record, and beside it rows and the agents' signed answers.

A message is a JSON array of texts: the record, then, for a record of attempts, its rows, and each answer that the rows
name. The values of rows follow from these texts alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from infrafabric.bus.envelope import Envelope, parse
from infrafabric.bus.refusal import Refused
from infrafabric.bus.registry import Registry
from infrafabric.bus.uris import COORDINATOR, agent_uri, last_segment
from infrafabric.bus.verify import verify
from infrafabric.money import NANO
from infrafabric.swarm.evidence import evidence_hash
from infrafabric.swarm.object_keys import result_key
from infrafabric.swarm.session_key import SessionKey
from infrafabric.swarm.shapes.records import AttemptRow, AttemptRows, AttemptsRecord, SessionRecord
from infrafabric.swarm.shapes.shape import BadShapeError


class BadRecordError(Exception):
    """Trusted message that is not a record of the coordinator."""


# Answers as they travelled, None for one that is not trusted, by message id, sender, and the task and attempt that they
# name: an agent chooses its message ids, and may give several answers the same one.
Answers = Mapping[tuple[str, str, str], str | None]


def parts_of(body: str) -> list[str]:
    """Return the messages of a queue's message.

    Raises:
        BadRecordError: the body is not an array of texts.
    """
    try:
        parts = json.loads(body)
    except (ValueError, RecursionError):
        parts = None
    if not isinstance(parts, list) or not parts or not all(isinstance(part, str) for part in parts):
        raise BadRecordError("the body is not a JSON array of signed messages, the coordinator's first")
    return parts


def verified_answers(answers: Sequence[str], registry: Registry) -> tuple[Answers, list[tuple[str, Refused]]]:
    """Return the answers by what identifies them, and those that are not trusted with the reason.

    The coordinator trusted them all. Since then a key may have been revoked, which must keep no row from history: the
    coordinator has paid it, and other agents' rows lie beside it. The age of an answer was judged by the coordinator.

    Raises:
        Refused: an answer is no message.
    """
    found: dict[tuple[str, str, str], str | None] = {}
    refusals: list[tuple[str, Refused]] = []
    for body in answers:
        envelope = parse(body)
        identity = f"{envelope.content.get('task_id')}.{envelope.content.get('attempt')}"
        trusted: str | None = body
        try:
            verify(body, registry=registry, now_ms=envelope.timestamp, receiver=COORDINATOR)
        except Refused as refused:
            trusted = None
            refusals.append((body, refused))
        found[last_segment(envelope.message_id), envelope.sender, identity] = trusted
    return found, refusals


def rows_of(envelope: Envelope, beside: Sequence[str]) -> tuple[AttemptRow, ...]:
    """Return the rows of a record of attempts.

    Raises:
        BadRecordError: the rows are missing or changed, or have another shape.
    """
    rows = beside[0] if beside else ""
    if evidence_hash(rows.encode("utf-8", "surrogatepass")) != envelope.citation.evidence_hash:
        raise BadRecordError("the record's citation has the hash of other rows")
    try:
        return AttemptRows.read(json.loads(rows)).attempts
    except (ValueError, AttributeError) as error:
        problem = error.problem if isinstance(error, BadShapeError) else "not a JSON object"
        raise BadRecordError(f"rows: {problem}") from None


def attempt_values(record: AttemptsRecord, attempt: AttemptRow, envelope: Envelope, answers: Answers) -> dict[str, Any]:
    """Return an attempt's row, with the answer that the agent signed if the coordinator got one and it is trusted.

    Raises:
        BadRecordError: the answer is missing, another agent's or about another attempt.
    """
    key = SessionKey(record.session_id, record.home, record.epoch)
    identity = attempt.answer_id, agent_uri(attempt.agent), attempt.name
    if attempt.answer_id and identity not in answers:
        raise BadRecordError(f"attempt {attempt.name}: its answer is not that of {attempt.agent}")
    stored = bool(attempt.evidence_hash)
    return {
        **_with_exact_usd(attempt.write()),
        **key._asdict(),
        "s3_key": result_key(key, attempt.agent, attempt.task_id, attempt.attempt) if stored else "",
        "message_id": f"if://message/{attempt.answer_id}" if attempt.answer_id else envelope.message_id,
        "answer": answers.get(identity),
        "record_id": envelope.message_id,
    }


def session_values(record: SessionRecord, envelope: Envelope) -> dict[str, Any]:
    """Return a session's row."""
    return {**_with_exact_usd(record.write()), "record_id": envelope.message_id}


def signed_values(
    record: AttemptsRecord | SessionRecord, envelope: Envelope, body: str, rows: str | None
) -> dict[str, Any]:
    """Return the row of the signed record itself, as it travelled."""
    return {
        **SessionKey(record.session_id, record.home, record.epoch)._asdict(),
        "message_id": envelope.message_id,
        "signed_ms": envelope.timestamp,
        "record": body,
        "rows": rows,
    }


def _with_exact_usd(members: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members with each amount of nano-USD as an exact amount of USD."""
    return {
        **members,
        **{
            f"{name.removesuffix('_nusd')}_usd": Decimal(value) / NANO
            for name, value in members.items()
            if name.endswith("_nusd")
        },
    }


def record_of(envelope: Envelope) -> AttemptsRecord | SessionRecord:
    """Return the record in a verified message.

    Raises:
        BadRecordError: another principal than the coordinator signed it, or its content is no record.
    """
    if envelope.sender != COORDINATOR:
        raise BadRecordError(f"{envelope.sender} signed it: only {COORDINATOR} writes history")
    kind = envelope.content.get("kind")
    try:
        if kind == "attempts":
            return AttemptsRecord.read(envelope.content)
        if kind == "session":
            return SessionRecord.read(envelope.content)
    except BadShapeError as error:
        raise BadRecordError(f"content.{error.problem}") from None
    raise BadRecordError(f"content.kind = {kind!r:.40}: must be attempts or session")
