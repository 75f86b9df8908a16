"""Limits of model calls."""

from __future__ import annotations

MAX_TOKENS = 4096  # of one answer
