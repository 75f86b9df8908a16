"""What clients may send, checked whole before anything is done with it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import uuid
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from infrafabric.api.problems import ProblemError, bad_request
from infrafabric.swarm.session import NANO, Order

MAX_BODY_BYTES = 256 * 1024  # with room to spare below Lambda's limit for an asynchronous payload
MAX_TASKS = 1000
SESSION_ID = re.compile(r"[a-z0-9-]{1,64}")
_SHOWN_ERRORS = 20  # a thousand tasks may be wrong in a thousand ways

Text = Annotated[str, StringConstraints(min_length=1, max_length=20_000, pattern=r"\S")]


class NewSession(BaseModel):
    """The body of ``POST /sessions``. Strict: ``"5"`` is no number and ``true`` is none either."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    session_id: str | None = Field(None, pattern=r"^[a-z0-9-]{1,64}$")
    goal: Text | None = None
    tasks: list[Text] | None = Field(None, min_length=1, max_length=MAX_TASKS)
    agents: int | None = Field(None, ge=1)
    deadline_s: int = Field(1800, ge=30, le=86_400)
    budget_usd: float = Field(1.0, gt=0, le=10_000, allow_inf_nan=False)
    quorum: float = Field(1.0, ge=0, le=1, allow_inf_nan=False)

    @model_validator(mode="after")
    def _a_goal_or_tasks(self) -> Self:
        if (self.goal is None) == (self.tasks is None):
            raise ValueError("give either goal (a text) or tasks (a list of texts), not both and not neither")
        return self

    def order(self, *, now_ms: int, fleet: int) -> Order:
        """The order, with defaults in place of what was left out.

        Raises:
            ProblemError: more agents than the fleet has, or a budget too small to count.
        """
        if self.agents is not None and self.agents > fleet:
            detail = f"is {_short(self.agents)}, and this fleet has {fleet}"
            raise bad_request([{"field": "agents", "detail": detail}])
        budget = round(self.budget_usd * NANO)
        if budget < 1:
            raise bad_request([{"field": "budget_usd", "detail": "must be at least 0.000000001"}])
        return Order(
            session_id=self.session_id or str(uuid.uuid4()),
            goal=self.goal,
            tasks=tuple(self.tasks or ()),
            agents=self.agents or fleet,
            created_ms=now_ms,
            deadline_ms=now_ms + self.deadline_s * 1000,
            budget_nusd=budget,
            quorum=self.quorum,
        )

    def digest(self) -> str:
        """What makes two requests the same: their meaning, so that a default may be given or left out.

        Not so for ``agents``, whose default is the fleet's size and changes with it.
        """
        meaning = json.dumps(self.model_dump(exclude={"session_id"}), sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(meaning.encode()).hexdigest()


def text_of(body: str | None, *, is_base64: bool) -> str:
    """The body as text, as API Gateway hands it over. Raises ``ProblemError`` for bytes that are no text."""
    try:
        return base64.b64decode(body or "", validate=True).decode() if is_base64 else body or ""
    except ValueError:
        raise bad_request([{"field": "body", "detail": "is not text in UTF-8"}]) from None


def new_session(text: str) -> NewSession:
    """Raises ``ProblemError``: 413 for a body too large, 400 for anything else, each naming the field."""
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_BODY_BYTES:
        detail = f"the body has {size:,} bytes and may have {MAX_BODY_BYTES:,}: send fewer or shorter tasks"
        errors = [{"field": "body", "detail": detail}]
        raise ProblemError(413, "body-too-large", "The request is too large", detail, errors)
    try:
        value = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise bad_request([{"field": "body", "detail": f"is not JSON: {_short(error)}"}]) from None
    if not isinstance(value, dict):
        raise bad_request([{"field": "body", "detail": "must be a JSON object"}])
    try:
        return NewSession.model_validate(_numbers(value))
    except ValidationError as error:
        problems = error.errors()
        errors = [_field_error(dict(problem)) for problem in problems[:_SHOWN_ERRORS]]
        if len(problems) > _SHOWN_ERRORS:
            errors.append({"field": "body", "detail": f"has {len(problems) - _SHOWN_ERRORS} more problems"})
        raise bad_request(errors) from None


def session_id(text: str) -> str | None:
    """The id when it could be one, else None: there is no such session then."""
    return text if SESSION_ID.fullmatch(text) else None


def page(query: dict[str, str]) -> tuple[int, dict[str, Any] | None]:
    """``limit`` (1–100, default 20) and what ``cursor`` stands for. Raises ``ProblemError``."""
    for name in query:
        if name not in ("limit", "cursor"):
            raise bad_request([{"field": name[:40], "detail": "is not a parameter: limit and cursor are"}])
    limit = query.get("limit", "20")
    if not (limit.isascii() and limit.isdigit() and len(limit) <= 3 and 1 <= int(limit) <= 100):
        raise bad_request([{"field": "limit", "detail": f"= {limit[:20]!r}: must be a whole number from 1 to 100"}])
    return int(limit), _start(query["cursor"]) if query.get("cursor") else None


def cursor(last: dict[str, Any] | None) -> str | None:
    """Where the next page starts, as clients see it."""
    return base64.urlsafe_b64encode(json.dumps(last, sort_keys=True).encode()).decode() if last else None


def _start(text: str) -> dict[str, Any]:
    try:
        value = json.loads(base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True))
        if not isinstance(value, dict) or set(value) != {"pk", "sk", "listing", "created"}:
            raise ValueError("other members")
        if not all(isinstance(part, str) and part for part in value.values()):
            raise ValueError("no texts")
    except (ValueError, binascii.Error, RecursionError):
        detail = "is not one that GET /sessions gave: leave it out to start from the newest"
        raise bad_request([{"field": "cursor", "detail": detail}]) from None
    return value


def _numbers(value: dict[str, Any]) -> dict[str, Any]:
    """JSON knows one kind of number: ``30.0`` is a whole one, and ``1`` is a fine budget."""
    made = dict(value)
    for name in ("agents", "deadline_s"):
        number = made.get(name)
        if isinstance(number, float) and number.is_integer():
            made[name] = int(number)
    for name in ("budget_usd", "quorum"):
        number = made.get(name)
        if isinstance(number, int) and not isinstance(number, bool) and abs(number) < 1 << 53:
            made[name] = float(number)
    return made


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a member stands twice in one object")
    return made


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _field_error(problem: dict[str, Any]) -> dict[str, str]:
    where = ".".join(str(part) for part in problem["loc"]) or "body"
    if problem["type"] == "extra_forbidden":
        allowed = ", ".join(NewSession.model_fields)
        return {"field": _short(where), "detail": f"is not a field: allowed are {allowed}"}
    if problem["type"] == "value_error":
        return {"field": "goal", "detail": problem["msg"].removeprefix("Value error, ")}
    given = problem["input"]
    shown = f" (given: {_short(given)})" if isinstance(given, str | int | float | bool | None) else ""
    return {"field": _short(where), "detail": f"{problem['msg']}{shown}"}


def _short(value: object) -> str:
    text = value if isinstance(value, str) else str(value)
    text = text.encode("ascii", "backslashreplace").decode()
    return text if len(text) <= 60 else f"{text[:57]}..."
