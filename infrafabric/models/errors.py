"""What can go wrong when a model is asked.

ModelError
├── Throttled       rate limit, overload or no capacity: the same call may pass later
├── TimedOut        no answer in the time given
├── Unreachable     no connection to the API, one that broke, or an API that is broken
├── RefusedToAnswer the model declined
├── CutOff          the answer did not fit max_tokens
├── BadAnswer       the answer does not fit the schema, or is no answer of this API
├── NotAllowed      the key or role is not accepted
├── OutOfCredit     the account cannot pay
├── TooLarge        the prompt is larger than the API takes
└── BadRequest      the API does not understand what we sent, or does not know the model

Each says whether the call was billed: an answer that cannot be used is paid too. Messages never hold prompts, answers
or keys.
"""

from __future__ import annotations

from infrafabric.models.usage import Usage


class ModelError(Exception):
    """``usage`` is what the call did use when the API said so; ``billed`` is None when nobody can know."""

    slug = "model-error"
    billed: bool | None = False

    def __init__(self, detail: str, *, usage: Usage | None = None, cost_unknown: bool = False) -> None:
        super().__init__(detail)
        self.usage = usage
        if cost_unknown:
            self.billed = None


class Throttled(ModelError):
    """``retry_after_s`` is how long the API asks to wait; 0 when it does not say."""

    slug = "throttled"

    def __init__(self, detail: str, *, retry_after_s: float = 0.0) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class TimedOut(ModelError):
    slug = "model-timeout"
    billed = None


class Unreachable(ModelError):
    slug = "model-unreachable"


class RefusedToAnswer(ModelError):
    slug = "model-refusal"
    billed = True


class CutOff(ModelError):
    slug = "model-cut-off"
    billed = True


class BadAnswer(ModelError):
    slug = "model-bad-answer"
    billed = True


class NotAllowed(ModelError):
    slug = "model-not-allowed"


class OutOfCredit(ModelError):
    slug = "model-out-of-credit"


class TooLarge(ModelError):
    slug = "model-prompt-too-large"


class BadRequest(ModelError):
    slug = "model-bad-request"
