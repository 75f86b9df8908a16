"""Errors of model calls.

ModelError
├── Throttled       rate limit, overload or no capacity
├── TimedOut        no answer within the timeout
├── Unreachable     no connection to the API, a broken connection, or an internal error of the API
├── RefusedToAnswer the model declined
├── CutOff          the answer did not fit max_tokens
├── BadAnswer       the answer does not fit the schema, or is not from this API
├── NotAllowed      the key or role is not accepted
├── OutOfCredit     the account cannot pay, or has reached its usage limit
├── TooLarge        the prompt is larger than the API takes
└── BadRequest      the API rejects the request, or does not know the model

Each error tells whether the call was billed (an unusable answer is billed too), and whether the same call may succeed
later (``retryable``): of these the SDK, too, would repeat the call. Messages never hold prompts, answers or keys.
"""

from __future__ import annotations

from infrafabric.models.usage import Usage


class ModelError(Exception):
    """Base of all errors.

    ``usage`` is the usage if the API reported it, ``billed`` None if that is unknown, and ``retry_after_s`` the delay
    that the API asks for, 0 if it does not ask.
    """

    slug = "model-error"
    billed: bool | None = False
    retryable = False

    def __init__(
        self, detail: str, *, usage: Usage | None = None, cost_unknown: bool = False, retry_after_s: float = 0.0
    ) -> None:
        super().__init__(detail)
        self.usage, self.retry_after_s = usage, retry_after_s
        if cost_unknown:
            self.billed = None


class Throttled(ModelError):
    """Rate limit or overload."""

    slug = "throttled"
    retryable = True


class TimedOut(ModelError):
    """No answer within the timeout; the call may be billed."""

    slug = "model-timeout"
    billed = None
    retryable = True


class Unreachable(ModelError):
    """No connection, a broken connection, or an internal error of the API."""

    slug = "model-unreachable"
    retryable = True


class RefusedToAnswer(ModelError):
    """The model declined."""

    slug = "model-refusal"
    billed = True


class CutOff(ModelError):
    """The answer did not fit max_tokens."""

    slug = "model-cut-off"
    billed = True


class BadAnswer(ModelError):
    """The answer does not fit the schema, or is not from this API."""

    slug = "model-bad-answer"
    billed = True


class NotAllowed(ModelError):
    """The key or role is not accepted."""

    slug = "model-not-allowed"


class OutOfCredit(ModelError):
    """The account cannot pay, or has reached its usage limit."""

    slug = "model-out-of-credit"


class TooLarge(ModelError):
    """The prompt is larger than the API accepts."""

    slug = "model-prompt-too-large"


class BadRequest(ModelError):
    """The API rejects the request, or does not know the model."""

    slug = "model-bad-request"
