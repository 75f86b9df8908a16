"""Limits of model calls and of what agents store."""

from __future__ import annotations

MAX_TOKENS = 4096  # of one answer
MAX_FINDINGS = 100  # of one result; an answer of 4,096 tokens holds fewer
