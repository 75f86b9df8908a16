"""Limits of model calls and of what agents store."""

from __future__ import annotations

MAX_TOKENS = 8_192  # of one answer, unless settings or a session say otherwise
MOST_TOKENS = 64_000  # that settings or a session may allow
LEAST_TOKENS = 1_024  # of one answer: with less room, most answers would be cut off
MAX_FINDINGS = 100  # of one result; an answer of 8,192 tokens holds fewer
MAX_FINDINGS_BYTES = 128 * 1024  # of one result, as JSON; an answer of 8,192 tokens has about 32 KB
MAX_RESULT_BYTES = 1024 * 1024  # of an agent's result
# Characters of an agent's signed answer, white space included: KMS signs 4,096 bytes at most, and a message to the
# recorder carries the answers of several attempts.
MAX_ANSWER_CHARS = 8_192
