"""Requests of clients, validated whole before any effect."""

from __future__ import annotations

import base64
import binascii
import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

from infrafabric.api.identity import request_digest
from infrafabric.api.problems import ProblemError, bad_request
from infrafabric.money import nano_usd
from infrafabric.swarm.limits import LEAST_TOKENS, MOST_TOKENS
from infrafabric.swarm.session_ids import INTERNAL_ID, internal_id
from infrafabric.swarm.shapes.labels import LABEL_PATTERN, LABEL_RULE, MAX_LABELS, Label
from infrafabric.swarm.shapes.order import Order
from infrafabric.swarm.table_keys import INDEX_SORT_KEY, PARTITION_KEY, SESSION, SORT_KEY

MAX_BODY_BYTES = 256 * 1024  # with room to spare below Lambda's limit for an asynchronous payload
_MAX_ESCAPED_BYTES = 6 * MAX_BODY_BYTES  # \\u0041 takes six bytes for a character of one
MAX_TASKS = 1000
_LABEL = re.compile(LABEL_PATTERN)
_QUERY = ("limit", "cursor", "label")
# What DynamoDB takes as a place in the list; it refuses every other key as "invalid".
_CURSOR = {
    PARTITION_KEY: re.compile(INTERNAL_ID.pattern + r"#[a-z0-9-]{1,32}#e[0-9]{1,4}"),
    SORT_KEY: re.compile(re.escape(SESSION)),
    INDEX_SORT_KEY: re.compile(r"[a-z0-9.#-]{1,100}"),
}
_MAX_ERRORS = 20  # of one response: a thousand tasks may have a thousand errors

Text = Annotated[str, StringConstraints(min_length=1, max_length=20_000, pattern=r"\S")]


class NewSession(BaseModel):
    """Body of ``POST /sessions``. Strict: neither ``"5"`` nor ``true`` is a number."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    session_id: str | None = Field(None, pattern=r"^[a-z0-9-]{1,64}$")
    goal: Text | None = None
    tasks: list[Text] | None = Field(None, min_length=1, max_length=MAX_TASKS)
    agents: int | None = Field(None, ge=1)
    deadline_s: int = Field(1800, ge=30, le=86_400)
    budget_usd: float = Field(1.0, gt=0, le=10_000, allow_inf_nan=False)
    quorum: float = Field(1.0, ge=0, le=1, allow_inf_nan=False)
    max_tokens: int | None = Field(None, ge=LEAST_TOKENS, le=MOST_TOKENS)
    labels: list[Label] = Field([], max_length=MAX_LABELS)

    @field_validator("labels")
    @classmethod
    def _without_duplicates(cls, labels: list[str]) -> list[str]:
        return list(dict.fromkeys(labels))

    @model_validator(mode="after")
    def _check_goal_or_tasks(self) -> Self:
        if (self.goal is None) == (self.tasks is None):
            raise ValueError("give either goal (a text) or tasks (a list of texts), not both and not neither")
        return self

    def order(self, *, now_ms: int, fleet: int, owner: str, home: str) -> Order:
        """Return the owner's order, with defaults for the members that the request leaves out.

        Raises:
            ProblemError: more agents than the fleet has, or a budget below one nano-USD.
        """
        if self.agents is not None and self.agents > fleet:
            detail = f"is {_short(self.agents)}, and this fleet has {fleet}"
            raise bad_request([{"field": "agents", "detail": detail}])
        budget_nusd = nano_usd(self.budget_usd)
        if budget_nusd < 1:
            raise bad_request([{"field": "budget_usd", "detail": "must be at least 0.000000001"}])
        return Order(
            session_id=internal_id(self.session_id or str(uuid.uuid4()), owner),
            home=home,
            owner=owner,
            goal=self.goal,
            tasks=tuple(self.tasks or ()),
            agents=self.agents or fleet,
            created_ms=now_ms,
            deadline_ms=now_ms + self.deadline_s * 1000,
            budget_nusd=budget_nusd,
            quorum=self.quorum,
            labels=tuple(self.labels),
            max_tokens=self.max_tokens,
        )

    def digest(self) -> str:
        """Return the request's identity; see ``request_digest``.

        ``agents`` is the exception: its default is the size of the fleet, which changes, so stating the default is
        another request.
        """
        defaults = {name: field.get_default() for name, field in type(self).model_fields.items()}
        return request_digest(self.model_dump(exclude={"session_id"}), defaults)


@dataclass(frozen=True)
class ListQuery:
    """Query of ``GET /sessions``: page size, the key that the page starts after, and a label to filter by."""

    limit: int
    after: dict[str, Any] | None
    label: str | None


def decoded_body(body: str | None, *, is_base64: bool) -> str:
    """Return the body of an API Gateway event as text.

    Raises:
        ProblemError: 400, the body is not UTF-8.
    """
    try:
        return base64.b64decode(body or "", validate=True).decode() if is_base64 else body or ""
    except ValueError:
        raise bad_request([{"field": "body", "detail": "is not text in UTF-8"}]) from None


def new_session(text: str) -> NewSession:
    """Parse the body of ``POST /sessions``.

    Raises:
        ProblemError: 413 for a body that is too large, 400 for any other error; each error names its field.
    """
    _check_size(text, _MAX_ESCAPED_BYTES)
    try:
        value = json.loads(text, object_pairs_hook=_unique_members, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise bad_request([{"field": "body", "detail": f"is not JSON: {_short(error)}"}]) from None
    if not isinstance(value, dict):
        raise bad_request([{"field": "body", "detail": "must be a JSON object"}])
    _check_size(json.dumps(value, ensure_ascii=False, separators=(",", ":")), MAX_BODY_BYTES)
    for name, member in value.items():
        if member is None and name in NewSession.model_fields:
            raise bad_request([{"field": name, "detail": "must not be null: leave it out for the default"}])
    try:
        return NewSession.model_validate(_with_number_types(value))
    except ValidationError as error:
        problems = error.errors()
        errors = [_field_error(dict(problem)) for problem in problems[:_MAX_ERRORS]]
        if len(problems) > _MAX_ERRORS:
            errors.append({"field": "body", "detail": f"has {len(problems) - _MAX_ERRORS} more problems"})
        raise bad_request(errors) from None


def _check_size(text: str, allowed: int) -> None:
    """Refuse a body whose meaning is too large; white space and escapes of a client's JSON do not count.

    Raises:
        ProblemError: 413.
    """
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > allowed:
        detail = f"the body has {size:,} bytes and may have {MAX_BODY_BYTES:,}: send fewer or shorter tasks"
        errors = [{"field": "body", "detail": detail}]
        raise ProblemError(413, "body-too-large", "The request is too large", detail, errors)


def list_query(query: Mapping[str, str]) -> ListQuery:
    """Parse the query of ``GET /sessions``: ``limit`` (1 to 100, default 20), ``cursor`` and ``label``.

    Raises:
        ProblemError: 400, naming the parameter.
    """
    for name in query:
        if name not in _QUERY:
            raise bad_request([{"field": name[:40], "detail": f"is not a parameter: allowed are {', '.join(_QUERY)}"}])
    limit = query.get("limit", "20")
    if not (limit.isascii() and limit.isdigit() and len(limit) <= 3 and 1 <= int(limit) <= 100):
        raise bad_request([{"field": "limit", "detail": f"= {limit[:20]!r}: must be a whole number from 1 to 100"}])
    label = query.get("label")
    if label is not None and not _LABEL.fullmatch(label):
        raise bad_request([{"field": "label", "detail": f"= {_short(label)}: a label is {LABEL_RULE}"}])
    after = _key_of_cursor(query["cursor"]) if query.get("cursor") else None
    return ListQuery(limit=int(limit), after=after, label=label)


def cursor_of(key: Mapping[str, Any] | None) -> str | None:
    """Return the cursor that clients receive for the key after which the next page starts."""
    return base64.urlsafe_b64encode(json.dumps(key, sort_keys=True).encode()).decode() if key else None


def _key_of_cursor(text: str) -> dict[str, Any]:
    try:
        key = json.loads(base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True))
        if not isinstance(key, dict) or set(key) != set(_CURSOR):
            raise ValueError("other members")
        if not all(isinstance(key[name], str) and part.fullmatch(key[name]) for name, part in _CURSOR.items()):
            raise ValueError("other values")
    except (ValueError, binascii.Error, RecursionError):
        detail = "is not a cursor of GET /sessions: leave it out to start from the newest"
        raise bad_request([{"field": "cursor", "detail": detail}]) from None
    return key


def _with_number_types(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members with numbers of the expected types: JSON has a single type, and ``30.0`` is a whole number."""
    members = dict(value)
    for name in ("agents", "deadline_s"):
        number = members.get(name)
        if isinstance(number, float) and number.is_integer():
            members[name] = int(number)
    for name in ("budget_usd", "quorum"):
        number = members.get(name)
        if isinstance(number, int | float) and not isinstance(number, bool) and abs(number) < 1 << 53:
            members[name] = float(number) + 0.0  # -0.0 is 0, also for the digest of the request
    return members


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("an object has the same member twice")
    return members


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def _field_error(problem: dict[str, Any]) -> dict[str, str]:
    where = ".".join(str(part) for part in problem["loc"]) or "body"
    if problem["type"] == "extra_forbidden":
        allowed = ", ".join(NewSession.model_fields)
        return {"field": _short(where), "detail": f"is not a field: allowed are {allowed}"}
    if problem["type"] == "value_error":
        return {"field": "goal", "detail": problem["msg"].removeprefix("Value error, ")}
    value = problem["input"]
    suffix = f" (given: {_short(value)})" if isinstance(value, str | int | float | bool | None) else ""
    rule = f"a label is {LABEL_RULE}" if where.startswith("labels.") else problem["msg"]
    return {"field": _short(where), "detail": f"{rule}{suffix}"}


def _short(value: object) -> str:
    text = value if isinstance(value, str) else str(value)
    text = text.encode("unicode_escape").decode()  # one line, whatever a client sent
    return text if len(text) <= 60 else f"{text[:57]}..."
