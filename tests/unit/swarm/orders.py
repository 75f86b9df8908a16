"""Orders for tests."""

from __future__ import annotations

from infrafabric.swarm.session_key import SessionKey
from infrafabric.swarm.shapes.order import Order

BUDGET_NUSD = 10**9
KEY = SessionKey("s1", "us-east-1")


def an_order(**changes: object) -> Order:
    """Return an order of session ``s1`` with these members changed."""
    members: dict[str, object] = {
        **KEY._asdict(),
        "owner": "default",
        "goal": None,
        "tasks": ("a",),
        "agents": 3,
        "created_ms": 1_000_000,
        "deadline_ms": 1_600_000,
        "budget_nusd": BUDGET_NUSD,
        "quorum": 1.0,
    }
    return Order(**{**members, **changes})  # type: ignore[arg-type]
