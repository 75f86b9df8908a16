"""Refusals of a session that costs more than its owner may spend, as problem documents."""

from __future__ import annotations

import datetime

from infrafabric.api.problems import ProblemError
from infrafabric.environment import SpendLimits
from infrafabric.money import nano_usd, usd
from infrafabric.swarm.daily_cap import CapUse, day_end_ms


def max_budget_nusd(limits: SpendLimits) -> int:
    """Return the largest budget of one session."""
    return nano_usd(limits.max_budget_usd)


def daily_cap_nusd(limits: SpendLimits) -> int:
    """Return what the sessions of one UTC day may cost together."""
    return nano_usd(limits.daily_cap_usd)


def budget_too_large(budget_nusd: int, limits: SpendLimits) -> ProblemError:
    """Return a 403: no repetition of this request will be served (RFC 9457 shows an account without credit as 403)."""
    detail = (
        f"budget_usd is {usd(budget_nusd):g} and may be {limits.max_budget_usd:g} at most for this caller: "
        "start a smaller session, or ask the operator of this stack for a larger maxBudgetUsd"
    )
    errors = [{"field": "budget_usd", "detail": f"must be {limits.max_budget_usd:g} or less"}]
    members = {"max_budget_usd": limits.max_budget_usd}
    return ProblemError(403, "budget-too-large", "The budget is larger than this caller's", detail, errors, members)


def daily_cap_reached(budget_nusd: int, limits: SpendLimits, use: CapUse, *, now_ms: int) -> ProblemError:
    """Return a 429 that says what is taken from the cap, and when the next day's cap begins."""
    end_ms = day_end_ms(now_ms)
    resets_at = datetime.datetime.fromtimestamp(end_ms / 1000, datetime.UTC).isoformat().replace("+00:00", "Z")
    detail = (
        f"budget_usd is {usd(budget_nusd):g}, and of {limits.daily_cap_usd:g} USD a day sessions that ended have used "
        f"{usd(use.used_nusd):.6f} and running sessions reserve {usd(use.running_nusd):.6f}: wait for one of them to "
        f"end, start a smaller session, or wait for the next UTC day, which begins at {resets_at}"
    )
    members = {
        "cap_usd": limits.daily_cap_usd,
        "used_usd": usd(use.used_nusd),
        "reserved_usd": usd(use.running_nusd),
        "resets_at": resets_at,
    }
    headers = {"Retry-After": str(-(-(end_ms - now_ms) // 1000))}
    return ProblemError(429, "daily-cap-reached", "The daily cap is reached", detail, [], members, headers)
