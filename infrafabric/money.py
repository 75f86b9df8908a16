"""Money in nano-USD, as exact integers: a cached Haiku token costs 10 nano-USD."""

from __future__ import annotations

NANO = 1_000_000_000


def usd(nusd: int) -> float:
    """Return an amount of nano-USD in USD."""
    return nusd / NANO


def nano_usd(amount_usd: float) -> int:
    """Return an amount of USD in nano-USD, rounded."""
    return round(amount_usd * NANO)
